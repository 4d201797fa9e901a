"""The outbox in SQL: notifications until their receiver has them. Each function is part of a transaction."""

import sqlite3
from collections.abc import Callable, Collection, Sequence

from orchestrator.ledger.bulk import execute_many
from orchestrator.ledger.records import DeadLetter, Outgoing
from orchestrator.notify.delivery import Delivery

_DELIVERY = "id, event_id, lane, sequence, url, type, body, attempts, created_at, next_at"


def enqueue(db: sqlite3.Connection, outgoing: Sequence[Outgoing]) -> list[Delivery]:
    """Put notifications into the outbox. Those of a lane that its receiver stopped are kept, not sent."""
    stopped = _stopped(db, {out.lane for out in outgoing if out.sequence > 1})
    returned = execute_many(
        db,
        "INSERT INTO outbox (event_id, lane, sequence, url, type, body, state, created_at, next_at)"
        " VALUES {rows} RETURNING event_id, id",
        [
            (
                out.event_id,
                out.lane,
                out.sequence,
                out.url,
                out.type,
                out.body,
                "stopped" if out.lane in stopped else "pending",
                out.at,
                out.at,
            )
            for out in outgoing
        ],
    )
    ids = dict(returned)
    return [_delivery(ids[out.event_id], out) for out in outgoing if out.lane not in stopped]


def _stopped(db: sqlite3.Connection, lanes: Collection[str]) -> set[str]:
    if not lanes or db.execute("SELECT 1 FROM outbox WHERE state = 'stopped' LIMIT 1").fetchone() is None:
        return set()
    query = "SELECT DISTINCT lane FROM outbox WHERE state = 'stopped' AND lane IN (VALUES {rows})"
    return {row[0] for row in execute_many(db, query, [(lane,) for lane in lanes])}


def _delivery(id_: int, out: Outgoing) -> Delivery:
    return Delivery(
        id=id_,
        event_id=out.event_id,
        lane=out.lane,
        sequence=out.sequence,
        url=out.url,
        type=out.type,
        body=out.body,
        attempts=0,
        created_at=out.at,
        next_at=out.at,
    )


_HEADS = (
    "FROM outbox AS o WHERE state = 'pending'{due} AND NOT EXISTS (SELECT 1 FROM outbox AS p"
    " WHERE p.lane = o.lane AND p.sequence < o.sequence AND p.state = 'pending') ORDER BY next_at"
)


def due(db: sqlite3.Connection, now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
    heads = db.execute(f"SELECT lane {_HEADS.format(due=' AND next_at <= ?')}", (now,))
    found: list[Delivery] = []
    for (lane,) in heads:
        if lane in skip:
            continue
        rows = db.execute(
            f"SELECT {_DELIVERY} FROM outbox WHERE lane = ? AND state = 'pending'"  # noqa: S608
            " ORDER BY sequence LIMIT ?",
            (lane, limit - len(found)),
        )
        found += [Delivery(*row) for row in rows]
        if len(found) >= limit:
            break
    return found


def next_due(db: sqlite3.Connection, skip: Collection[str]) -> float | None:
    for lane, next_at in db.execute(f"SELECT lane, next_at {_HEADS.format(due='')}"):
        if lane not in skip:
            return float(next_at)
    return None


def delivered(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    execute_many(
        db,
        "UPDATE outbox SET state = 'delivered' WHERE id IN (VALUES {rows})",
        [(id_,) for id_ in ids],
    )


def retry(db: sqlite3.Connection, id_: int, attempts: int, next_at: float, error: str) -> None:
    db.execute(
        "UPDATE outbox SET attempts = ?, error = CASE ? WHEN '' THEN error ELSE ? END WHERE id = ?",
        (attempts, error, error, id_),
    )
    # Those behind it wait as long, so that nobody reads past them in search of what is due.
    db.execute(
        "UPDATE outbox SET next_at = ? WHERE state = 'pending' AND lane ="
        " (SELECT lane FROM outbox WHERE id = ?)",
        (next_at, id_),
    )


def dead(db: sqlite3.Connection, id_: int, attempts: int, error: str) -> None:
    db.execute(
        "UPDATE outbox SET state = 'dead', attempts = ?, error = ? WHERE id = ?", (attempts, error, id_)
    )


def hasten(db: sqlite3.Connection, receiver: str, now: float) -> None:
    db.execute(
        "UPDATE outbox SET next_at = :now, attempts = max(attempts - 1, 0)"
        " WHERE state = 'pending' AND next_at > :now AND substr(url, 1, :length) = :receiver"
        " AND substr(url, :length + 1, 1) IN ('', '/', '?', '#')",
        {"now": now, "length": len(receiver), "receiver": receiver},
    )


def stop_lane(db: sqlite3.Connection, lane: str, error: str) -> None:
    db.execute(
        "UPDATE outbox SET state = 'stopped', error = ? WHERE lane = ? AND state = 'pending'", (error, lane)
    )


# ── dead letters ──


_OWN = (
    " AND (:application IS NULL OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = outbox.lane"
    " AND json_extract(CAST(jobs.body AS TEXT), '$.application') = :application))"
)
"""Of one application's jobs, or of all."""


def dead_letters(db: sqlite3.Connection, limit: int, application: str | None = None) -> list[DeadLetter]:
    """The notifications that were given up, the oldest first."""
    rows = db.execute(
        "SELECT id, lane, type, url, sequence, created_at, attempts, error FROM outbox"  # noqa: S608
        f" WHERE state = 'dead'{_OWN} ORDER BY id LIMIT :limit",
        {"application": application, "limit": limit},
    )
    return [
        DeadLetter(
            id=id_,
            job_id=lane,
            type=type_,
            url=url,
            sequence=sequence,
            created_at=created_at,
            attempts=attempts,
            error=error,
        )
        for id_, lane, type_, url, sequence, created_at, attempts, error in rows
    ]


def replay_dead(
    db: sqlite3.Connection, lanes: Collection[str], now: float, application: str | None = None
) -> int:
    """Make dead letters pending again: those of the jobs `lanes`, or all. How many there were."""
    named = {f"lane{n}": lane for n, lane in enumerate(lanes)}
    where = f" AND lane IN ({','.join(f':{name}' for name in named)})" if named else ""
    done = db.execute(
        "UPDATE outbox SET state = 'pending', attempts = 0, next_at = :now, error = ''"  # noqa: S608
        f" WHERE state = 'dead'{where}{_OWN}",
        {"now": now, "application": application, **named},
    )
    return done.rowcount


def batch_cdrs(
    db: sqlite3.Connection, limit: int, build: Callable[[list[bytes]], Outgoing]
) -> tuple[list[Delivery], int]:
    """Make one notification of up to `limit` call records that were not sent yet. The records' number too."""
    rows = db.execute(
        "SELECT id, cdr FROM calls WHERE cdr_sent = 0 AND cdr IS NOT NULL ORDER BY ended_at LIMIT ?", (limit,)
    ).fetchall()
    if not rows:
        return [], 0
    db.executemany("UPDATE calls SET cdr_sent = 1 WHERE id = ?", [(row[0],) for row in rows])
    return enqueue(db, [build([row[1] for row in rows])]), len(rows)
