"""The right to work on a ledger: waiting for it, proving it, keeping it.

A worker that finds the ledger owned stands by. It takes over in two cases. The lock file is free and the
lease says that the owner held it: then the owner is dead, and the kernel has proved it. Or the lease's beat
stands still for `worker.lease` seconds: then the owner may be dead or merely stopped, so the new one waits
HOLD seconds more after it has taken the lease. The old one may ask a PBX for something only within HOLD
seconds of having seen that the lease is still its own; by then it asks for nothing any more, and what it
writes is refused (`ledger.lease.guard`). Never are there two owners. One that was stopped in the middle of a
transaction still holds the ledger's write lock: it is killed, as nothing else would free it.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from orchestrator.clock import Clock, Moment, moment
from orchestrator.ledger import lease
from orchestrator.ledger.errors import LedgerStuck
from orchestrator.ledger.holder import write_lock_holder
from orchestrator.ledger.lease import Lease
from orchestrator.ledger.sqlite import SqliteLedger, WorkerLock, connect

HOLD: Final = 1.0
"""Seconds for which having seen the own lease gives the right to act."""
LOOK_EVERY: Final = 0.25
"""Seconds between two looks of one that stands by."""
BEATS: Final = 4
"""How often the owner shows itself while one that stands by would wait."""

_log = structlog.get_logger(__name__)


class Tenure:
    """One worker's time as the owner. Made by `take_tenure`."""

    def __init__(
        self, path: Path, db: sqlite3.Connection, taken: Lease, lock: WorkerLock | None, before: Lease | None
    ) -> None:
        self.token = taken.token
        self.apps = taken.apps
        """By PBX node, the application to work in: the former owner's, while calls live on in it."""
        self.before = before
        """The lease that this one followed."""
        self._path = path
        self._db = db
        self._lock = lock
        self._until = 0.0

    def holds(self) -> bool:
        """Whether nobody else can be acting now. Cheap: looks at the ledger once in HOLD seconds."""
        now = time.monotonic()
        if now < self._until:
            return True
        try:
            if lease.token_of(self._db) != self.token:
                return False
        except sqlite3.Error:  # it cannot be seen now, so it is not certain
            return False
        self._until = now + HOLD
        return True

    async def keep(self, ledger: SqliteLedger, clock: Clock, seconds: float) -> None:
        """Show that the owner lives, until cancelled or lost. `seconds`: how long the others are patient."""
        while True:
            if self._lock is None:
                self._lock = WorkerLock.take(self._path)
            await ledger.beat(locked=self._lock is not None, seen=moment(clock))
            await asyncio.sleep(seconds / BEATS)

    def release(self) -> None:
        """Let another worker have it."""
        self._db.close()
        if self._lock is not None:
            self._lock.release()


async def take_tenure(
    path: Path,
    worker: str,
    apps: Mapping[str, str],
    clock: Clock,
    *,
    patience: float,
    stop: asyncio.Event,
    standing_by: Callable[[str], None] | None,
) -> Tenure | None:
    """Become the ledger's owner. None when `stop` was set first, or at once when `standing_by` is None and
    somebody else owns it; otherwise `standing_by` is told, once, who that is.

    Raises `LedgerUnusable`.
    """
    db = await asyncio.to_thread(connect, path)
    try:
        tenure = await _wait_for_it(path, db, worker, apps, clock, patience, stop, standing_by)
    except BaseException:
        db.close()
        raise
    if tenure is None:
        db.close()
    return tenure


async def _wait_for_it(
    path: Path,
    db: sqlite3.Connection,
    worker: str,
    apps: Mapping[str, str],
    clock: Clock,
    patience: float,
    stop: asyncio.Event,
    standing_by: Callable[[str], None] | None,
) -> Tenure | None:
    seen: tuple[int, int] | None = None
    since = time.monotonic()
    looks = 0
    held_by: int | None = None
    while not stop.is_set():
        found = await _read(db)
        now = time.monotonic()
        if found is not None and (found.token, found.beat) != seen:
            seen, since = (found.token, found.beat), now
        lock = WorkerLock.take(path)
        stale = found is not None and now - since >= patience
        if stale or (lock is not None and (found is None or found.locked)):
            taken = _take(db, found, worker, apps, moment(clock), lock is not None)
            if taken is not None:
                if found is not None and standing_by is not None and looks:
                    _log.warning("worker_took_over", worker=worker, of=found.worker, dead=lock is not None)
                if stale and not (lock is not None and found is not None and found.locked):
                    await asyncio.sleep(HOLD)
                return Tenure(path, db, taken, lock, found)
        if lock is not None:
            lock.release()
        if stale and found is not None:
            held_by = _free_the_ledger(path, found, held_by)
        looks += 1
        if standing_by is None and looks > 1:
            return None
        if looks == 2 and standing_by is not None:
            standing_by(found.worker if found is not None else "another worker")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await stop.wait()
    return None


def _free_the_ledger(path: Path, owner: Lease, told: int | None) -> int | None:
    """An owner that was stopped within a transaction holds the write lock. Only its end frees that. The
    process that holds it, which is told of unless it was (`told`)."""
    holder = write_lock_holder(path)
    if holder is None:
        return None
    note = "" if holder == owner.pid else f"end it, if it is not at work: kill {holder}"
    if holder != told:
        _log.error(
            "ledger_held", ledger=str(path), owner=owner.worker, owner_pid=owner.pid, pid=holder, note=note
        )
    if holder == owner.pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(holder, signal.SIGKILL)
            _log.warning("stalled_owner_killed", worker=owner.worker, pid=holder)
    return holder


async def _read(db: sqlite3.Connection) -> Lease | None:
    while True:
        try:
            return lease.read(db)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            await asyncio.sleep(LOOK_EVERY)  # another process restores the file after a crash


def _take(
    db: sqlite3.Connection,
    found: Lease | None,
    worker: str,
    apps: Mapping[str, str],
    now: Moment,
    locked: bool,
) -> Lease | None:
    try:
        return lease.take(db, found, worker, apps, locked=locked, seen=now)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return (
                None  # somebody writes: the owner lives after all, or another one that stands by was faster
            )
        raise LedgerStuck(f"the ledger cannot be written now: {error}. Free disk space.") from None
