"""Who owns the ledger: one worker at a time, and the proof of it in every write.

The row `lease` names the owner. Its `token` grows with each owner, and every transaction of a worker first
sees that the token is still its own (`guard`), so that a worker which was stopped in its tracks and wakes up
after another has taken over cannot write any more. Its `beat` grows while the owner lives; whoever sees it
stand still long enough may take over. No clock of one process is ever compared with that of another.
"""

import os
import sqlite3
from collections.abc import Mapping

import msgspec

from orchestrator.clock import Moment
from orchestrator.ledger.errors import LeaseLost


class Lease(msgspec.Struct, frozen=True):
    """The ledger's owner, as its row says."""

    token: int
    beat: int
    worker: str
    pid: int
    locked: bool
    """Whether the owner holds the lock file too. If so, a free lock file proves that it is dead."""
    apps: dict[str, str]
    """By PBX node, the application in which the channels of the ledger's calls live there."""
    seen: Moment
    """The owner's clock at its last beat."""


def read(db: sqlite3.Connection) -> Lease | None:
    """The lease; None when the ledger never had an owner."""
    row = db.execute(
        "SELECT token, beat, worker, pid, locked, apps, seen_at, seen_monotonic, boot FROM lease"
    ).fetchone()
    if row is None:
        return None
    token, beat, worker, pid, locked, apps, *seen = row
    names = msgspec.json.decode(apps, type=dict[str, str])
    return Lease(token, beat, worker, pid, bool(locked), names, Moment(*seen))


def take(
    db: sqlite3.Connection,
    instead_of: Lease | None,
    worker: str,
    apps: Mapping[str, str],
    *,
    locked: bool,
    seen: Moment,
) -> Lease | None:
    """Become the owner, in the place of exactly `instead_of`. The new lease; None when it has moved since.

    While calls are open, the names of the former owners' applications stay: there their channels live, also
    when the new owner dies before it takes them up.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        now = read(db)
        same = (now and (now.token, now.beat)) == (instead_of and (instead_of.token, instead_of.beat))
        calls = db.execute("SELECT 1 FROM calls WHERE ended_at IS NULL LIMIT 1").fetchone()
        names = {**apps, **now.apps} if now and calls else dict(apps)
        taken = Lease((now.token if now else 0) + 1, 0, worker, os.getpid(), locked, names, seen)
        if same:
            db.execute(
                "INSERT OR REPLACE INTO lease (one, token, beat, worker, pid, locked, apps, seen_at,"
                " seen_monotonic, boot) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (taken.token, taken.beat, worker, taken.pid, locked, msgspec.json.encode(names), *_row(seen)),
            )
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return taken if same else None


def beat(db: sqlite3.Connection, *, locked: bool, seen: Moment) -> None:
    """Show that the owner lives. Part of a guarded transaction."""
    db.execute(
        "UPDATE lease SET beat = beat + 1, locked = ?, seen_at = ?, seen_monotonic = ?, boot = ?",
        (locked, *_row(seen)),
    )


def _row(seen: Moment) -> tuple[float, float, str]:
    return seen.at, seen.monotonic, seen.boot


def token_of(db: sqlite3.Connection) -> int:
    """The owner's token now."""
    row = db.execute("SELECT token FROM lease").fetchone()
    return 0 if row is None else int(row[0])


def guard(db: sqlite3.Connection, token: int) -> None:
    """Raises `LeaseLost` unless `token` is the owner's. Within a write transaction this is proof: nobody can
    take over before it ends."""
    if token_of(db) != token:
        raise LeaseLost(
            "another worker has taken the ledger over while this one stood still; "
            "the calls are the other's now"
        )
