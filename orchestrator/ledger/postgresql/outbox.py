"""The outbox in SQL: notifications until their receiver has them. Each function is part of a transaction.

Each notification has one worker that delivers it: the one that made it, or the one that took over from that.
A job that was dialled by several workers has notifications of several in its lane; whoever made them, only
the lane's head may go, so their order is kept.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from orchestrator.ledger.postgresql.connection import Connection, tell
from orchestrator.ledger.records import DeadLetter, Outgoing
from orchestrator.notify.delivery import Delivery

_DELIVERY: Final = "id, event_id, lane, sequence, url, type, body, attempts, created_at, next_at"


async def enqueue(db: Connection, worker: str, outgoing: Sequence[Outgoing]) -> list[Delivery]:
    """Put notifications into the outbox. Those of a lane that its receiver stopped are kept, not sent."""
    if not outgoing:
        return []
    rows = await db.fetch(
        "INSERT INTO outbox (event_id, lane, sequence, url, type, body, worker, state, created_at, next_at)"
        " SELECT event_id, lane, sequence, url, type, body, $8, CASE WHEN sequence > 1 AND EXISTS"
        " (SELECT 1 FROM outbox AS s WHERE s.lane = new.lane AND s.state = 'stopped')"
        " THEN 'stopped' ELSE 'pending' END, at, at FROM unnest($1::text[], $2::text[], $3::int[],"
        " $4::text[], $5::text[], $6::bytea[], $7::float8[])"
        " AS new (event_id, lane, sequence, url, type, body, at)"
        " RETURNING event_id, id, state",
        [out.event_id for out in outgoing],
        [out.lane for out in outgoing],
        [out.sequence for out in outgoing],
        [out.url for out in outgoing],
        [out.type for out in outgoing],
        [out.body for out in outgoing],
        [out.at for out in outgoing],
        worker,
    )
    ids = {event_id: id_ for event_id, id_, state in rows if state == "pending"}
    return [_delivery(ids[out.event_id], out) for out in outgoing if out.event_id in ids]


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


_HEADS: Final = (
    "FROM outbox AS o WHERE o.state = 'pending' AND o.worker = $1{due} AND NOT EXISTS"
    " (SELECT 1 FROM outbox AS p WHERE p.lane = o.lane AND p.sequence < o.sequence AND p.state = 'pending')"
    " AND NOT EXISTS (SELECT 1 FROM unnest($2::text[]) AS s (lane) WHERE s.lane = o.lane)"
)


async def due(db: Connection, worker: str, now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
    await _adopt(db, worker)
    heads = await db.fetch(
        f"SELECT o.lane, o.sequence {_HEADS.format(due=' AND o.next_at <= $3')} ORDER BY o.next_at LIMIT $4",
        worker,
        list(skip),
        now,
        limit,
    )
    if not heads:
        return []
    # What another worker made in between is the other's to deliver, and what lies behind it must wait.
    rows = await db.fetch(
        f"SELECT {_DELIVERY} FROM outbox AS o JOIN unnest($1::text[]) WITH ORDINALITY AS h (lane, place)"  # noqa: S608
        " USING (lane) WHERE state = 'pending' AND worker = $2 AND NOT EXISTS (SELECT 1 FROM outbox AS p"
        " WHERE p.lane = o.lane AND p.sequence < o.sequence AND p.state = 'pending' AND p.worker <> $2)"
        " ORDER BY place, sequence LIMIT $3",
        [head["lane"] for head in heads],
        worker,
        limit,
    )
    return [Delivery(*row) for row in rows]


async def _adopt(db: Connection, worker: str) -> None:
    """Take what is anybody's. Two that do so at once share it; a lane's head goes first all the same."""
    await db.execute(
        "UPDATE outbox SET worker = $1 WHERE id IN (SELECT id FROM outbox WHERE state = 'pending'"
        " AND worker = '' FOR NO KEY UPDATE SKIP LOCKED)",
        worker,
    )


async def next_due(db: Connection, worker: str, skip: Collection[str]) -> float | None:
    found: float | None = await db.fetchval(
        f"SELECT min(o.next_at) {_HEADS.format(due='')}", worker, list(skip)
    )
    return found


async def delivered(db: Connection, ids: Sequence[int]) -> None:
    await db.execute("UPDATE outbox SET state = 'delivered' WHERE id = ANY($1::bigint[])", list(ids))


async def retry(db: Connection, id_: int, attempts: int, next_at: float, error: str) -> None:
    # Those behind it wait as long, so that nobody reads past them in search of what is due.
    await db.execute(
        "UPDATE outbox SET next_at = CASE WHEN state = 'pending' THEN $3 ELSE next_at END,"
        " attempts = CASE WHEN id = $1 THEN $2 ELSE attempts END,"
        " error = CASE WHEN id = $1 AND $4 <> '' THEN $4 ELSE error END"
        " WHERE id = $1 OR (state = 'pending' AND lane = (SELECT lane FROM outbox WHERE id = $1))",
        id_,
        attempts,
        next_at,
        error,
    )


async def dead(db: Connection, id_: int, attempts: int, error: str) -> None:
    await db.execute(
        "UPDATE outbox SET state = 'dead', attempts = $2, error = $3 WHERE id = $1", id_, attempts, error
    )


async def hasten(db: Connection, receiver: str, now: float) -> None:
    await db.execute(
        "UPDATE outbox SET next_at = $2, attempts = greatest(attempts - 1, 0)"
        " WHERE state = 'pending' AND next_at > $2 AND substr(url, 1, length($1)) = $1"
        " AND substr(url, length($1) + 1, 1) IN ('', '/', '?', '#')",
        receiver,
        now,
    )


async def stop_lane(db: Connection, lane: str, error: str) -> None:
    await db.execute(
        "UPDATE outbox SET state = 'stopped', error = $2 WHERE lane = $1 AND state = 'pending'", lane, error
    )


# ── dead letters ──


_OWN: Final = (
    " AND ($1::text IS NULL OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = outbox.lane"
    " AND convert_from(jobs.body, 'UTF8')::json ->> 'application' = $1))"
)
"""Of one application's jobs, or of all."""


async def dead_letters(db: Connection, limit: int, application: str | None = None) -> list[DeadLetter]:
    """The notifications that were given up, the oldest first."""
    rows = await db.fetch(
        "SELECT id, lane, type, url, sequence, created_at, attempts, error FROM outbox"  # noqa: S608
        f" WHERE state = 'dead'{_OWN} ORDER BY id LIMIT $2",
        application,
        limit,
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


async def replay_dead(
    db: Connection, lanes: Collection[str], now: float, application: str | None = None
) -> int:
    """Make dead letters pending again, for any worker: those of the jobs `lanes`, or all. How many."""
    done = await db.execute(
        "UPDATE outbox SET state = 'pending', attempts = 0, next_at = $2, error = '', worker = ''"  # noqa: S608
        f" WHERE state = 'dead' AND (cardinality($3::text[]) = 0 OR lane = ANY($3)){_OWN}",
        application,
        now,
        list(lanes),
    )
    await tell(db)
    return int(done.rpartition(" ")[2])


async def batch_cdrs(
    db: Connection, worker: str, limit: int, build: Callable[[list[bytes]], Outgoing]
) -> tuple[list[Delivery], int]:
    """Make one notification of up to `limit` call records that were not sent yet. The records' number too."""
    rows = await db.fetch(
        "SELECT number, cdr FROM calls WHERE NOT cdr_sent AND cdr IS NOT NULL ORDER BY ended_at LIMIT $1"
        " FOR NO KEY UPDATE SKIP LOCKED",
        limit,
    )
    if not rows:
        return [], 0
    await db.execute("UPDATE calls SET cdr_sent = true WHERE number = ANY($1)", [row[0] for row in rows])
    return await enqueue(db, worker, [build([row[1] for row in rows])]), len(rows)
