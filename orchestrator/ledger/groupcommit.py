"""One thread that owns the connection, and one transaction for all that came within a few milliseconds.

A function given to `post` or `call` is a part of a transaction: it is called with the connection, in the
order given, on the thread, and perhaps again, when the transaction has to be made anew. Whoever needs
durability awaits `call`; it returns after the commit.

A full disk or a lock held by another process stops nothing but the commit: the whole group is rolled back
and tried again until it goes through, so what was posted is never lost while the process lives. A function
that fails for another reason is undone alone (savepoint) and its caller told. What came while a commit was
on its way goes into the next one together.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from orchestrator.ledger.errors import LedgerClosed

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

RETRY_EVERY: Final = 0.25
"""Seconds between two tries to commit while the disk is full or the database locked."""
TIDY_EVERY: Final = 5.0
"""Seconds between two calls of `tidy`, while there is something to tidy."""

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""Primary result codes of faults that time or an operator mends."""

_log = structlog.get_logger(__name__)


class Part:
    """One operation, whoever waits for it, and whoever wants its result after the commit."""

    __slots__ = ("error", "future", "operation", "result", "then", "weight")

    def __init__(
        self,
        operation: Operation[Any],
        future: asyncio.Future[Any] | None,
        then: Callable[[Any], None] | None,
    ) -> None:
        self.operation = operation
        self.future = future
        self.then = then
        self.result: Any = None
        self.error: Exception | None = None
        self.weight = 1


class GroupCommit:
    """Gathers operations over `interval` seconds and commits them together on a thread of its own."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        interval: float,
        tidy: Callable[[sqlite3.Connection], None] = lambda db: None,
    ) -> None:
        self._connect = connect
        self._interval = interval
        self._tidy = tidy
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Part] = []
        self._timer: asyncio.TimerHandle | None = None
        self._groups: queue.SimpleQueue[list[Part] | None] = queue.SimpleQueue()
        self._waiting = 0
        self.group = 0
        """The number of the group that is being gathered."""
        self._closed = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.fault: str | None = None
        """Why nothing can be committed now; None while all is well."""
        self.broken: asyncio.Future[None] = self._loop.create_future()
        """Fails when a posted operation failed by a fault of ours; the worker must not go on."""

    @property
    def waiting(self) -> int:
        """How many operations are not committed yet."""
        return self._waiting

    async def open(self) -> None:
        """Open the connection on its thread. Raises whatever `connect` raises."""
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="ledger", daemon=True)
        self._thread.start()
        await opened

    def post(self, operation: Operation[T], then: Callable[[T], None] | None = None) -> Part:
        """Have `operation` committed with the next group; `then` gets its result, on the loop, afterwards."""
        part = Part(operation, None, then)
        self._add(part)
        return part

    def weigh(self, part: Part) -> None:
        """Count one more write into `part`, which is still being gathered."""
        part.weight += 1
        self._waiting += 1

    async def call(self, operation: Operation[T]) -> T:
        """Have `operation` committed with the next group, and wait for that."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._add(Part(operation, future, None))
        return await future

    async def close(self) -> None:
        """Commit what was handed over, and close. What cannot be committed now is given up: whoever awaits it
        gets `LedgerClosed`."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        self._closing.set()
        self._groups.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if not self.broken.done():
            self.broken.cancel()

    def _add(self, part: Part) -> None:
        if self._closed:
            raise LedgerClosed("the ledger is closed; nothing was stored")
        self._gathered.append(part)
        self._waiting += 1
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            group, self._gathered = self._gathered, []
            self.group += 1
            self._hand_over(group)

    def _hand_over(self, group: list[Part]) -> None:
        self._groups.put(group)

    # On the loop, after a commit.

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

    def _give_up(self, group: list[Part], why: str) -> None:
        error = LedgerClosed(f"the ledger was closed before this could be stored: {why}")
        for part in group:
            part.error, part.then = error, None
            if part.future is None:
                self._waiting -= part.weight
        self._deliver([part for part in group if part.future is not None])

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    def _opened(self, opened: asyncio.Future[None], error: Exception | None) -> None:
        if opened.done():
            return
        if error is None:
            opened.set_result(None)
        else:
            opened.set_exception(error)

    # On the thread.

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            db = self._connect()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever awaits `open`
            self._loop.call_soon_threadsafe(self._opened, opened, error)
            return
        self._loop.call_soon_threadsafe(self._opened, opened, None)
        with contextlib.closing(db):
            try:
                self._serve(db)
            except Exception as error:  # noqa: BLE001 - this thread must not die in silence
                self._tell(self._break, error)

    def _serve(self, db: sqlite3.Connection) -> None:
        last = False
        tidied_at, seen = time.monotonic(), db.total_changes
        while not last:
            group, last = self._next()
            if not group:
                continue
            why = self._commit_until_done(db, group)
            if why is None:
                self._tell(self._deliver, group)
            else:
                self._tell(self._give_up, group, why)
            if time.monotonic() - tidied_at >= TIDY_EVERY and db.total_changes != seen and not last:
                self._tidy(db)
                tidied_at, seen = time.monotonic(), db.total_changes

    def _next(self) -> tuple[list[Part], bool]:
        """All that waits, as one group, and whether it is the last."""
        group: list[Part] = []
        gathered = self._groups.get()
        while gathered is not None:
            group += gathered
            try:
                gathered = self._groups.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _tell(self, what: Callable[..., None], *about: object) -> None:
        # A loop that is gone has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *about)

    def _commit_until_done(self, db: sqlite3.Connection, group: list[Part]) -> str | None:
        """Commit, however often that takes. Why not, when the ledger was closed meanwhile."""
        while True:
            try:
                self._commit(db, group)
            except (sqlite3.Error, MemoryError) as error:
                with contextlib.suppress(sqlite3.Error):  # SQLite has rolled some back by itself
                    db.execute("ROLLBACK")
                if self.fault is None:
                    _log.error("ledger_stuck", error=str(error), mend="free disk space, or end what locks it")
                self.fault = str(error)
                if self._closing.wait(RETRY_EVERY):
                    _log.error("ledger_gave_up", lost=len(group), error=str(error))
                    return str(error)
            else:
                if self.fault is not None:
                    _log.info("ledger_goes_on")
                self.fault = None
                return None

    def _commit(self, db: sqlite3.Connection, group: list[Part]) -> None:
        # Failures are rare and savepoints are not free: try without, and do it again with them if need be.
        if not self._commit_all(db, group):
            self._commit_each(db, group)

    def _commit_all(self, db: sqlite3.Connection, group: list[Part]) -> bool:
        """Commit the group as it is. False, with nothing done, when one of it fails."""
        db.execute("BEGIN IMMEDIATE")
        for part in group:
            part.error = None
            try:
                part.result = part.operation(db)
            except Exception as error:
                if is_passing(error):
                    raise
                db.execute("ROLLBACK")
                return False
        db.execute("COMMIT")
        return True

    def _commit_each(self, db: sqlite3.Connection, group: list[Part]) -> None:
        """Commit the group, each under a savepoint of its own: those that fail are undone and told."""
        db.execute("BEGIN IMMEDIATE")
        for part in group:
            db.execute("SAVEPOINT part")
            try:
                part.result = part.operation(db)
            except Exception as error:
                if is_passing(error):
                    raise
                db.execute("ROLLBACK TO part")
                part.error = error
            db.execute("RELEASE part")
        db.execute("COMMIT")


def is_passing(error: Exception) -> bool:
    """Whether time or an operator mends it: a full disk, a lock, no memory."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, MemoryError) or (code is not None and (code & 0xFF) in _PASSING)
