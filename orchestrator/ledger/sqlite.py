"""The embedded ledger: SQLite in WAL mode, every commit on disk before it counts.

One worker at a time: it owns the lease (`lease.py`) and holds a lock on `<ledger>.lock`, which the kernel
lets go when it dies. Other processes (the command line) may read and submit beside it; SQLite sees to that.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Generic, TextIO, TypeVar

import structlog

from orchestrator.clock import Clock, Moment, ahead, moment
from orchestrator.ledger import lease, outbox, queries, stepped, views
from orchestrator.ledger.bulk import CACHED
from orchestrator.ledger.errors import LedgerStuck, LedgerUnusable
from orchestrator.ledger.groupcommit import GroupCommit, Operation, Part
from orchestrator.ledger.limits import UNLIMITED, CallLimits
from orchestrator.ledger.passing import primary_code
from orchestrator.ledger.records import (
    Booking,
    CallEnd,
    CallStep,
    Claimed,
    DeadLetter,
    Entry,
    Followed,
    JobRow,
    Kept,
    NewJob,
    OpenCall,
    Outgoing,
    Submitted,
    Summary,
    Verdict,
)
from orchestrator.ledger.schema import SchemaError, check, migrate
from orchestrator.notify.delivery import Delivery

_log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

BUSY_TIMEOUT = 5.0
"""Seconds that opening waits for another process's lock. Later on nothing waits: it is tried again."""
LOOK = 0.005
"""Seconds between two tries of what SQLite does not wait for by itself."""
CACHE_KIB = 32 * 1024
"""Memory for pages. Calls and journals are found by random ids, so a small cache would read much anew."""
CHECKPOINT_PAGES = 8000
"""Pages (4 KiB) that the write-ahead log may hold. `erase` empties it sooner, unless much is written."""


_NOT_NOW = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, make or migrate its schema.

    Raises `LedgerUnusable`; `LedgerStuck` when it is locked or the disk is full.
    """
    try:
        if path.name != ":memory:":
            _make_private(path)
        db = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED,
        )
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnusable(
            f"ledger {path} cannot be opened: {error}. Check the folder and its owner."
        ) from None
    try:
        check(db, str(path))  # before anything is changed: it may be somebody else's file
        _patiently(db, "PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        migrate(db, str(path))
        db.execute("PRAGMA busy_timeout = 0")
    except SchemaError as error:
        db.close()
        raise LedgerUnusable(str(error)) from None
    except sqlite3.Error as error:
        db.close()
        if primary_code(error) in _NOT_NOW:
            raise LedgerStuck(
                f"ledger {path} cannot be used now: {error}. Free disk space, or end what locks it."
            ) from None
        raise LedgerUnusable(f"ledger {path} cannot be used: {error}.") from None
    return db


def _make_private(path: Path) -> None:
    """Make the file for its owner alone: codes are sealed, but numbers are not, and nobody else's business.

    One that exists must never be opened here: closing it would drop every lock that this process has on it
    (https://sqlite.org/howtocorrupt.html, 2.2), and the next process to close the ledger would delete the
    write-ahead log under our hands.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _patiently(db: sqlite3.Connection, statement: str) -> None:
    """Several processes that make the same new file at once would deadlock on the change to WAL, so SQLite
    tells one of them at once that it is locked, whatever `busy_timeout` says."""
    until = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            db.execute(statement)
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(LOOK)
        else:
            return


def erase(db: sqlite3.Connection) -> None:
    """Take the sealed codes of ended jobs out of the write-ahead log too; later, when somebody is reading."""
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        _log.warning("ledger_not_tidied", error=str(error))


class WorkerLock:
    """The right to be the ledger's one worker."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    @classmethod
    def take(cls, ledger: Path) -> "WorkerLock | None":
        """The lock, or None while another worker has it."""
        path = ledger.with_name(ledger.name + ".lock")
        try:
            file = path.open("a+", encoding="ascii")
        except OSError as error:
            raise LedgerUnusable(f"{path} cannot be opened: {error.strerror}.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return cls(file)

    def release(self) -> None:
        """Let another worker have it."""
        self._file.close()


class _Batch(Generic[T]):
    """Members of one operation that is still being gathered, so that they become one statement."""

    def __init__(
        self,
        commits: GroupCommit,
        run: Callable[[sqlite3.Connection, Sequence[T]], R],
        then: Callable[[R], None],
    ) -> None:
        self._commits = commits
        self._run = run
        self._then = then
        self._members: list[T] = []
        self._part: Part | None = None
        self._group = -1

    def add(self, member: T) -> None:
        """Add to the open batch, or to a new one when there is none or its group has gone to be committed."""
        if self._part is not None and self._group == self._commits.group:
            self._members.append(member)
            self._commits.weigh(self._part)
            return
        members = self._members = [member]
        self._part = self._commits.post(lambda db: self._run(db, members), self._then)
        self._group = self._commits.group

    def close(self) -> None:
        """Take no more: something else comes between."""
        self._part = None


class SqliteLedger:
    """Keeps the protocol `Ledger`. Made by `open`, which must run on the loop that will use it."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits
        self._data_version = -1
        self._steps: _Batch[CallStep] = _Batch(commits, queries.record_all, self._announce)
        self._delivered: _Batch[int] = _Batch(commits, outbox.delivered, lambda nothing: None)
        self.on_deliveries: Callable[[Sequence[Delivery]], None] = lambda deliveries: None

    @classmethod
    async def open(cls, path: Path, commit_interval: float = 0.0, token: int | None = None) -> "SqliteLedger":
        """Open or make the ledger. With a `token`, only for as long as it is the owner's.

        Raises `LedgerUnusable`.
        """

        def guard(db: sqlite3.Connection) -> None:
            if token is not None:
                lease.guard(db, token)

        commits = GroupCommit(lambda: connect(path), commit_interval, erase, guard)
        await commits.open()
        return cls(commits)

    @property
    def waiting(self) -> int:
        return self._commits.waiting

    @property
    def fault(self) -> str | None:
        return self._commits.fault

    async def broken(self) -> None:
        await asyncio.shield(self._commits.broken)

    async def close(self) -> None:
        await self._commits.close()

    async def _call(self, operation: Operation[T]) -> T:
        self._close_batches()
        return await self._commits.call(operation)

    async def _in_time(self, operation: Operation[T]) -> T:
        """For upkeep: a commit of its own would cost more than it."""
        self._close_batches()
        return await self._commits.call(operation, soon=False)

    def _post(self, operation: Operation[None]) -> None:
        self._close_batches()
        self._commits.post(operation)

    def _close_batches(self) -> None:
        """Whatever comes next must see all that came before it."""
        self._steps.close()
        self._delivered.close()

    def _announce(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self.on_deliveries(deliveries)

    # Jobs.

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        return await self._call(lambda db: [queries.submit(db, job) for job in jobs])

    async def claim(
        self,
        pbx: str,
        caller_ids: Sequence[str],
        now: float,
        limit: int,
        only: str | None = None,
        limits: CallLimits = UNLIMITED,
    ) -> Claimed:
        # The batches stay open: steps of other calls may as well come before it as after it.
        return await self._commits.call(
            lambda db: queries.claim(db, pbx, caller_ids, now, limit, only, limits)
        )

    async def end_queued(
        self, job_id: str, verdict: Verdict, build: Callable[[JobRow], Outgoing | None]
    ) -> None:
        self._announce(await self._call(lambda db: queries.end_queued(db, job_id, verdict, build)))

    async def overdue(self, now: float, limit: int) -> list[JobRow]:
        return await self._in_time(lambda db: queries.overdue(db, now, limit))

    async def next_expiry(self) -> float | None:
        return await self._in_time(queries.next_expiry)

    async def cancelled_active(self) -> list[str]:
        return await self._in_time(queries.cancelled_active)

    async def request_cancel(self, job_id: str) -> JobRow | None:
        return await self._call(lambda db: queries.request_cancel(db, job_id))

    # Calls.

    def record(
        self, job_id: str, call_id: str, entry: Entry, outgoing: Sequence[Outgoing], end: CallEnd | None
    ) -> None:
        self._steps.add(CallStep(call_id=call_id, entry=entry, outgoing=tuple(outgoing), end=end))

    async def book(self, pbx: str, channel: str, now: float) -> Booking:
        """At once: nobody shares this ledger's nodes, and their own pace is kept by who asks."""
        return Booking(now, True, shared=False)

    def made(self, channel: str, at: float) -> None:
        """Nobody else counts starts."""

    def durable(self, then: Callable[[], None]) -> None:
        self._close_batches()
        self._commits.post(lambda db: None, lambda nothing: then(), soon=True)

    def undial(self, job_id: str, call_id: str, at: float) -> None:
        self._close_batches()
        self._commits.post(lambda db: queries.undial(db, job_id, call_id, at), soon=True)

    async def open_calls(self) -> list[OpenCall]:
        return await self._call(queries.open_calls)

    # Outbox.

    async def due(self, now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
        return await self._in_time(lambda db: outbox.due(db, now, limit, skip))

    async def next_due(self, skip: Collection[str]) -> float | None:
        return await self._in_time(lambda db: outbox.next_due(db, skip))

    def delivered(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            self._delivered.add(id_)

    def retry(self, id: int, attempts: int, next_at: float, error: str) -> None:
        self._post(lambda db: outbox.retry(db, id, attempts, next_at, error))

    def dead(self, id: int, attempts: int, error: str) -> None:
        self._post(lambda db: outbox.dead(db, id, attempts, error))

    def hasten(self, receiver: str, now: float) -> None:
        self._post(lambda db: outbox.hasten(db, receiver, now))

    def stop_lane(self, lane: str, error: str) -> None:
        self._post(lambda db: outbox.stop_lane(db, lane, error))

    async def batch_cdrs(self, limit: int, build: Callable[[list[bytes]], Outgoing]) -> int:
        deliveries, count = await self._in_time(lambda db: outbox.batch_cdrs(db, limit, build))
        self._announce(deliveries)
        return count

    async def dead_letters(self, limit: int, application: str | None = None) -> list[DeadLetter]:
        return await self._commits.read(lambda db: outbox.dead_letters(db, limit, application))

    async def replay_dead(self, job_ids: Collection[str], now: float, application: str | None = None) -> int:
        return await self._call(lambda db: outbox.replay_dead(db, job_ids, now, application))

    # People, and upkeep.

    async def changed(self) -> bool:
        version = self._commits.look(_data_version)
        if version is None:
            return False
        changed, self._data_version = version != self._data_version, version
        return changed

    async def beat(self, *, locked: bool, seen: Moment) -> None:
        await self._in_time(lambda db: lease.beat(db, locked=locked, seen=seen))

    async def clock_set(self, was: float, now: float) -> int:
        return await self._call(lambda db: stepped.move(db, was, now))

    async def clock(self, own: Clock) -> Clock:
        owner = await self._commits.read(lease.read)
        seconds = ahead(owner.seen, moment(own)) if owner is not None else None
        return own if not seconds else lambda: own() + seconds

    async def follow(self, job_id: str) -> Followed | None:
        return await self._commits.read(lambda db: views.follow(db, job_id))

    async def summary(self, job_id: str) -> Summary | None:
        return await self._commits.read(lambda db: views.summary(db, job_id))

    async def counts(self) -> dict[str, int]:
        return await self._commits.read(views.counts, soon=False)

    async def recordings(self, before: float, limit: int) -> list[Kept]:
        return await self._in_time(lambda db: views.recordings(db, before, limit))

    async def recording_gone(self, call_id: str) -> None:
        await self._in_time(lambda db: views.recording_gone(db, call_id))

    async def forget(self, before: float, limit: int) -> int:
        return await self._in_time(lambda db: views.forget(db, before, limit))


def _data_version(db: sqlite3.Connection) -> int:
    """A number that changes when another connection commits (https://sqlite.org/pragma.html)."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])
