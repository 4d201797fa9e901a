"""A cancellation that a task group has swallowed.

Before Python 3.13 a task group whose task fails while the group is being cancelled raises the failure alone,
and who cancelled it waits for ever (https://docs.python.org/3/library/asyncio-task.html#task-groups). The
task still knows that it was cancelled; but it knows that too when the group itself has cancelled it, unless
it was in the group's body. So a group's body ends with `for_ever`, and after it comes `raise_if_cancelled`.
"""

import asyncio


async def for_ever() -> None:
    """Stay in the body of a task group until one of its tasks fails."""
    await asyncio.get_running_loop().create_future()


def raise_if_cancelled() -> None:
    """Raise the cancellation of the current task, if there is one that was not raised yet."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
