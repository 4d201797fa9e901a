"""A cancellation that a task group has swallowed."""

import asyncio


def raise_if_cancelled() -> None:
    """Raise the cancellation of the current task, if there is one that was not raised yet.

    Before Python 3.13 a task group whose task fails while the group is being cancelled raises the failure
    alone, and who cancelled it waits for ever
    (https://docs.python.org/3/library/asyncio-task.html#task-groups).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
