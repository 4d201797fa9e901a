"""One transaction for all that came within a few milliseconds, and one thread that waits for the disk.

A function given to `post` or `call` is a part of a transaction: it is called with the connection, in the
order given, on the loop, and perhaps again, when the transaction has to be made anew. Whoever needs
durability awaits `call`; it returns after the commit.

SQLite's own work is microseconds in memory; the disk is what takes long. So the statements run on the loop,
and only COMMIT, which waits for the disk without holding the interpreter, runs on the thread. Were the
statements there too, loop and thread would fight for the interpreter's lock at each of them. While a commit
is on its way, what comes is gathered and goes into the next one together.

A full disk or a lock held by another process stops nothing but the commit: the whole group is rolled back
and tried again until it goes through, so what was posted is never lost while the process lives. A function
that fails for another reason is undone alone (savepoint) and its caller told.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from orchestrator.ledger.diskthread import DiskThread
from orchestrator.ledger.errors import LeaseLost, LedgerClosed, LedgerError
from orchestrator.ledger.passing import is_passing, primary_code

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

RETRY_EVERY: Final = 0.25
"""Seconds between two tries to commit while the disk is full or the database locked."""
LOCKED_RETRY: Final = 0.005
"""Seconds between two tries while another process writes, which takes it milliseconds."""
LOCKED_PATIENCE: Final = 5.0
"""Seconds of that before it counts as a fault."""
SOON: Final = 0.005
"""Seconds over which writes are gathered at most once somebody waits for one of them."""
TIDY_EVERY: Final = 5.0
"""Seconds between two calls of `tidy`, while there is something to tidy."""

_log = structlog.get_logger(__name__)


class Part:
    """One operation, whoever waits for it, and whoever wants its result after the commit."""

    __slots__ = ("error", "future", "operation", "result", "soon", "then", "weight")

    def __init__(
        self,
        operation: Operation[Any],
        future: asyncio.Future[Any] | None,
        then: Callable[[Any], None] | None,
        soon: bool,
    ) -> None:
        self.operation = operation
        self.future = future
        self.soon = soon
        self.then = then
        self.result: Any = None
        self.error: Exception | None = None
        self.weight = 1


class GroupCommit:
    """Gathers operations and commits them together, once in `interval` seconds at most; within `SOON` when
    somebody waits for one of them, or the last commit is as long ago.

    `connect` and `tidy` run on the thread. The connection must not wait for locks by itself. `guard` is asked
    in each transaction; when it raises `LeaseLost`, nothing is or will be written any more.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        interval: float,
        tidy: Callable[[sqlite3.Connection], None] = lambda db: None,
        guard: Callable[[sqlite3.Connection], None] = lambda db: None,
    ) -> None:
        self._connect = connect
        self._interval = interval
        self._soon = min(interval, SOON)
        self._tidy = tidy
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Part] = []
        self._stuck: list[Part] = []
        self._timer: asyncio.TimerHandle | None = None
        self._hurried = False
        self._at_work: asyncio.Future[None] | None = None
        self._waiting = 0
        self._closed = False
        self._lost: LeaseLost | None = None
        self._locked_since: float | None = None
        self._began_at = self._tidied_at = self._loop.time()
        self._tidied = 0
        self._thread: DiskThread | None = None
        self._db: sqlite3.Connection
        self.group = 0
        """The number of the group that is being gathered."""
        self.fault: str | None = None
        """Why nothing can be committed now; None while all is well."""
        self.broken: asyncio.Future[None] = self._loop.create_future()
        """Fails when a posted operation failed by a fault of ours; the worker must not go on."""

    @property
    def waiting(self) -> int:
        """How many operations are not committed yet."""
        return self._waiting

    async def open(self) -> None:
        """Open the connection. Raises whatever `connect` raises."""
        thread = DiskThread("ledger")
        try:
            self._db = await thread.result(self._connect)
        except BaseException:
            await thread.end()
            raise
        self._thread = thread
        self._tidied = self._db.total_changes

    def post(
        self, operation: Operation[T], then: Callable[[T], None] | None = None, *, soon: bool = False
    ) -> Part:
        """Have `operation` committed with the next group; `then` gets its result, on the loop, afterwards.
        `soon` says that something waits for it."""
        part = Part(operation, None, then, soon)
        self._add(part)
        return part

    def weigh(self, part: Part) -> None:
        """Count one more write into `part`, which is still being gathered."""
        part.weight += 1
        self._waiting += 1

    async def call(self, operation: Operation[T], *, soon: bool = True) -> T:
        """Have `operation` committed with the next group, and wait for that. Without `soon` it has time, and
        goes with a commit that is due anyway."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._add(Part(operation, future, None, soon))
        return await future

    async def read(self, operation: Operation[T], *, soon: bool = True) -> T:
        """Read what is stored: at once, and without the lock for writing, where nothing waits to be committed
        here; else after that."""
        idle = not self._gathered and not self._stuck and self._at_work is None
        if idle and not self._closed and self._lost is None:
            try:
                self._db.execute("BEGIN")
                try:
                    return operation(self._db)
                finally:
                    self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if not is_passing(error):
                    raise
        return await self.call(operation, soon=soon)

    def look(self, read: Operation[T]) -> T | None:
        """Read something that no transaction is needed for, now. None while the connection is at work."""
        if self._at_work is not None or self._closed:
            return None
        try:
            return read(self._db)
        except sqlite3.Error as error:
            if not is_passing(error):
                raise
            return None

    async def close(self) -> None:
        """Commit what was handed over, and close. What cannot be committed now is given up: whoever awaits it
        gets `LedgerClosed`."""
        if self._closed:
            return
        self._closed = True
        self._set_timer(None)
        await self._settled()
        while (self._stuck or self._gathered) and self.fault is None:
            if not self._flush():
                await asyncio.sleep(LOCKED_RETRY)
            await self._settled()
        if self._stuck or self._gathered:  # one last try
            self._flush()
            await self._settled()
        left = self._stuck + self._gathered
        self._stuck, self._gathered = [], []
        if left:
            _log.error("ledger_gave_up", lost=len(left), error=self.fault)
            why = self.fault or "it is locked by another process"
            self._give_up(left, LedgerClosed(f"the ledger was closed before this could be stored: {why}"))
        if self._thread is not None:
            await self._thread.end(self._db.close)
        if not self.broken.done():
            self.broken.cancel()

    async def _settled(self) -> None:
        if self._at_work is not None:
            await asyncio.wait([self._at_work])

    def _add(self, part: Part) -> None:
        if self._closed:
            raise LedgerClosed("the ledger is closed; nothing was stored")
        if self._lost is not None:  # whoever waits is told, the rest is the new owner's
            if part.future is not None:
                part.future.set_exception(self._lost)
            return
        self._gathered.append(part)
        self._waiting += 1
        if self._at_work is None and (self._timer is None or (part.soon and not self._hurried)):
            self._gather(part.soon)

    def _gather(self, soon: bool) -> None:
        """Commit after a short while if something waits for it or the last commit is long ago; else when
        `interval` has passed since that."""
        due = self._began_at + self._interval - self._loop.time()
        self._set_timer(self._soon if soon else max(self._soon, due))
        self._hurried = soon

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._hurried = True
        self._timer = None if seconds is None else self._loop.call_later(seconds, self._flush)

    # One group: its statements here, its commit on the thread.

    def _flush(self) -> bool:
        """Begin to commit all that waits. False when it cannot be done now and is to be tried again."""
        self._set_timer(None)
        self._began_at = self._loop.time()
        group, self._stuck, self._gathered = self._stuck + self._gathered, [], []
        self.group += 1
        try:
            self._execute(group)
        except LeaseLost as lost:
            self._lose(group, lost)
            return False
        except (sqlite3.Error, MemoryError) as error:
            self._roll_back(group, error)
            return False
        self._on_thread(lambda: self._db.execute("COMMIT"), lambda error: self._committed(group, error))
        return True

    def _execute(self, group: list[Part]) -> None:
        # Failures are rare and savepoints are not free: try without, and do it again with them if need be.
        if not self._execute_all(group):
            self._execute_each(group)

    def _execute_all(self, group: list[Part]) -> bool:
        """False, with nothing done, when one of the group fails."""
        self._db.execute("BEGIN IMMEDIATE")
        self._guard(self._db)
        for part in group:
            part.error = None
            try:
                part.result = part.operation(self._db)
            except Exception as error:
                if is_passing(error):
                    raise
                self._db.execute("ROLLBACK")
                return False
        return True

    def _execute_each(self, group: list[Part]) -> None:
        """Each under a savepoint of its own: those that fail are undone and told."""
        self._db.execute("BEGIN IMMEDIATE")
        self._guard(self._db)
        for part in group:
            self._db.execute("SAVEPOINT part")
            try:
                part.result = part.operation(self._db)
            except Exception as error:
                if is_passing(error):
                    raise
                self._db.execute("ROLLBACK TO part")
                part.error = error
            self._db.execute("RELEASE part")

    def _committed(self, group: list[Part], error: Exception | None) -> None:
        if error is not None:
            self._roll_back(group, error)
            if not isinstance(error, sqlite3.Error | MemoryError):
                self._break(error)
            return
        if self.fault is not None:
            _log.info("ledger_goes_on")
        self.fault = self._locked_since = None
        self._deliver(group)
        now = self._loop.time()
        changes = self._db.total_changes
        if now - self._tidied_at >= TIDY_EVERY and changes != self._tidied and not self._closed:
            self._tidied_at, self._tidied = now, changes
            self._set_timer(None)  # what was posted by those just told of it waits for the connection
            self._on_thread(lambda: self._tidy(self._db), self._tidied_up)
        elif self._gathered and self._timer is None and not self._closed:
            self._gather(any(part.soon for part in self._gathered))

    def _tidied_up(self, error: Exception | None) -> None:
        if error is not None:
            self._break(error)
        if self._gathered and self._timer is None and not self._closed:
            self._set_timer(0.0)

    def _roll_back(self, group: list[Part], error: Exception) -> None:
        with contextlib.suppress(sqlite3.Error):  # SQLite has rolled some back by itself
            self._db.execute("ROLLBACK")
        self._stuck = group
        locked = primary_code(error) == sqlite3.SQLITE_BUSY
        if locked and self._locked_since is None:
            self._locked_since = self._loop.time()
        patient = locked and self._loop.time() - (self._locked_since or 0.0) < LOCKED_PATIENCE
        if not patient:
            if self.fault is None:
                _log.error("ledger_stuck", error=str(error), mend="free disk space, or end what locks it")
            self.fault = str(error)
        if not self._closed:
            self._set_timer(LOCKED_RETRY if patient else RETRY_EVERY)

    def _lose(self, group: list[Part], lost: LeaseLost) -> None:
        """Give up all that waits, now and from now on: it is the new owner's to write."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        self._lost = lost
        self._give_up(group + self._gathered, lost)
        self._gathered = []
        self._break(lost)

    # After a commit.

    def _deliver(self, group: list[Part]) -> None:
        self._waiting -= sum(part.weight for part in group)
        for part in group:
            if part.future is not None:
                if part.future.done():
                    continue
                if part.error is not None:
                    part.future.set_exception(part.error)
                else:
                    part.future.set_result(part.result)
            elif part.error is not None:
                self._break(part.error)
            elif part.then is not None:
                try:
                    part.then(part.result)
                except Exception as error:  # noqa: BLE001 - a fault of ours, but the others' results are due
                    self._break(error)

    def _give_up(self, group: list[Part], why: LedgerError) -> None:
        self._waiting -= sum(part.weight for part in group)
        for part in group:
            if part.future is not None and not part.future.done():
                part.future.set_exception(why)

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    def _on_thread(self, work: Callable[[], object], then: Callable[[Exception | None], None]) -> None:
        """Do `work` on the thread; the connection is the thread's until `then` is called, on the loop."""
        assert self._thread is not None  # noqa: S101 - opened, or there would be nothing to do
        done: asyncio.Future[None] = self._loop.create_future()
        self._at_work = done

        def finished(error: Exception | None) -> None:
            self._at_work = None
            done.set_result(None)
            then(error)

        self._thread.do(work, finished)
