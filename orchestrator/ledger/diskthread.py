"""One thread for what waits for the disk: work in the order given, each result told on the loop."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DiskThread:
    """Made on the loop that its results are for. It lives until `end`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], object], then: Callable[[Exception | None], None]) -> None:
        """Do `work`; `then` is called on the loop, with what it failed with."""
        self._work.put(lambda: self._done(work, then))

    async def result(self, work: Callable[[], T]) -> T:
        """Do `work` and wait for it. Raises what it raises."""
        future: asyncio.Future[None] = self._loop.create_future()
        made: list[T] = []

        def told(error: Exception | None) -> None:
            if future.done():
                return  # nobody waits any more
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(None)

        self.do(lambda: made.append(work()), told)
        await future
        return made[0]

    async def end(self, last: Callable[[], object] = lambda: None) -> None:
        """Do what was given, then `last`, and be gone."""
        self._work.put(last)
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _done(self, work: Callable[[], object], then: Callable[[Exception | None], None]) -> None:
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits on the loop
            failure = error
        # A loop that is gone has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(then, failure)
