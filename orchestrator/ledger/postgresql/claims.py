"""Claims in SQL: which jobs are dialled next, within what their node and the limits leave.

Each function is a part of one transaction, and can be run again.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import asyncpg
import msgspec

from orchestrator.ledger.intent import claim_of
from orchestrator.ledger.limits import AT_ONCE, BUSY_WAIT, ROUNDS, UNLIMITED, CallLimits, limit_of
from orchestrator.ledger.postgresql.connection import Connection
from orchestrator.ledger.postgresql.held import judged
from orchestrator.ledger.postgresql.jobs import JOB, job_row
from orchestrator.ledger.postgresql.slots import Limits, reserve, slots_of
from orchestrator.ledger.records import Blocked, Claim, Claimed

_encode = msgspec.json.Encoder().encode


async def claim(
    db: Connection,
    worker: str,
    pbx: str,
    caller_ids: Sequence[str],
    now: float,
    limit: int,
    only: str | None,
    limits: Limits | None,
    soonest: float,
    call_limits: CallLimits = UNLIMITED,
) -> Claimed:
    """Take up to `limit` due jobs for `pbx`, the highest priority and the longest due first, within what the
    node has left of its `limits`, which all workers share, to be dialled at `soonest` or later; of those that
    `call_limits` let be dialled now.

    Each intent to dial is in the journal when this commits. `only` restricts it to one job.
    """
    room = await slots_of(db, pbx, now, soonest, limit, limits)
    if room.count <= 0:
        return Claimed((), room.again_at)
    claims: list[Claim] = []
    held: list[str] = []
    blocked: list[Blocked] = []
    wanted, busy = room.count, False
    for _ in range(ROUNDS):
        if only is None:
            rows = await _due(db, caller_ids, now, wanted)
        else:
            rows = await _due_one(db, caller_ids, now, only)
        found = [
            claim_of(job_row(row), row["sealed"], row["caller_id"] or None, pbx, caller_ids, now)
            for row in rows[:wanted]
        ]
        may = await judged(db, found, room.count - len(claims), call_limits, now)
        if may.taken:
            await _take(db, may.taken, pbx, worker, call_limits)
        claims += may.taken
        held += (limit_of(key) for _, key in may.held)
        blocked += may.blocked
        busy = busy or may.busy
        if busy or len(claims) == room.count or len(found) < wanted:
            break
        wanted = AT_ONCE
    if claims:
        claims = await reserve(db, pbx, claims, room, limits)
    next_at = await db.fetchval("SELECT min(next_at) FROM jobs WHERE state = 'queued'")
    return Claimed(tuple(claims), now + BUSY_WAIT if busy else next_at, tuple(held), tuple(blocked))


_DUE: Final = (
    f"SELECT {JOB}, sealed, caller_id, priority FROM jobs WHERE state = 'queued'"  # noqa: S608
    " AND next_at <= $1 AND expires_at > $1 AND NOT cancel"
)


async def _due(db: Connection, caller_ids: Sequence[str], now: float, limit: int) -> list[asyncpg.Record]:
    """The due jobs that may show one of `caller_ids`. Those that may not are never looked at, nor those that
    another worker is taking just now."""
    there = await db.fetch(
        "SELECT series.priority, caller FROM generate_series(9, 0, -1) AS series (priority)"
        " CROSS JOIN unnest($2::text[]) AS callers (caller) WHERE EXISTS (SELECT 1 FROM jobs"
        " WHERE state = 'queued' AND caller_id = caller AND jobs.priority = series.priority"
        " AND next_at <= $1)",
        now,
        ["", *caller_ids],
    )
    query = (
        f"{_DUE} AND caller_id = $2 AND priority = $3 ORDER BY next_at LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED"
    )
    found: list[asyncpg.Record] = []
    pairs_there = sorted(((row[0], row[1]) for row in there), reverse=True)
    for priority, pairs in groupby(pairs_there, key=itemgetter(0)):
        same: list[asyncpg.Record] = []
        for _, caller in pairs:
            same += await db.fetch(query, now, caller, priority, limit)
        found += sorted(same, key=itemgetter("next_at"))
        if len(found) >= limit:
            break
    return found


async def _due_one(db: Connection, caller_ids: Sequence[str], now: float, only: str) -> list[asyncpg.Record]:
    query = f"{_DUE} AND id = $2 AND caller_id = ANY($3) FOR NO KEY UPDATE SKIP LOCKED"
    found: list[asyncpg.Record] = await db.fetch(query, now, only, ["", *caller_ids])
    return found


async def _take(db: Connection, claims: Sequence[Claim], pbx: str, worker: str, limits: CallLimits) -> None:
    callees = [claim.callees if limits.of_callees else () for claim in claims]
    await db.execute(
        "WITH taken AS (UPDATE jobs SET state = 'active', attempts = attempts + 1, held = NULL"
        " WHERE id = ANY($1)),"
        " dialled AS (INSERT INTO calls (id, job_id, attempt, pbx, worker, at, callee, caller, application,"
        " limited, legs) SELECT id, job_id, attempt, $6, $7, $5, callee, caller, application, limited, legs"
        " FROM unnest($2::text[], $1::text[], $3::int[], $8::text[], $9::text[], $10::text[], $11::bool[],"
        " $12::int[]) AS new (id, job_id, attempt, callee, caller, application, limited, legs)"
        " RETURNING id, number)"
        " INSERT INTO journal (call, n, at, event) SELECT number, 1, $5, event"
        " FROM unnest($2::text[], $4::bytea[]) AS line (id, event) JOIN dialled USING (id)",
        [claim.job.id for claim in claims],
        [claim.call_id for claim in claims],
        [claim.attempt for claim in claims],
        [_encode(claim.planned) for claim in claims],
        claims[0].at,
        pbx,
        worker,
        [numbers[0] if numbers else None for numbers in callees],
        [numbers[1] if len(numbers) > 1 else None for numbers in callees],
        [claim.application for claim in claims],
        [limits.halt(claim) for claim in claims],
        [claim.legs for claim in claims],
    )
