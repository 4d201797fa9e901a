"""Limits in PostgreSQL: what is used of them, who waits for them, whom the end of a call lets go on.

Whose calls are counted for a claim is locked (advisory, until the transaction ends), so no other worker can
claim for the same meanwhile. A claim never waits for such a lock, as it has others: what it cannot have at
once, it leaves for later. The end of a call shares the lock with other ends, and waits for claims. So a job
that is made to wait is always seen by the end that it waits for, and nobody waits for each other.
"""

from collections.abc import Sequence
from typing import Final

from orchestrator.ledger.limits import (
    DAY,
    HOUR,
    RELEASED,
    UNENDED_WAIT,
    CallLimits,
    Judged,
    Key,
    Used,
    judge,
    keys_of,
    look_again_at,
)
from orchestrator.ledger.postgresql.connection import Connection, tell
from orchestrator.ledger.records import Claim

_SPACE: Final = 2
"""Apart from other advisory locks: the seed of the keys' hash."""


async def judged(
    db: Connection, claims: Sequence[Claim], room: int, limits: CallLimits, now: float
) -> Judged:
    """Which of `claims` may be dialled, `room` at most. The others are due later from here on."""
    if not limits.concern(claims):
        return Judged(taken=tuple(claims[:room]))
    found = judge(claims, room, limits, await _used(db, claims, limits, now))
    later: list[tuple[str, Key | None, float]] = [
        (claim.job.id, key, look_again_at(claim, now)) for claim, key in found.held
    ]
    later += [(blocked.job_id, None, now + UNENDED_WAIT) for blocked in found.blocked]
    if later:
        await db.execute(
            "UPDATE jobs SET held = e.held, next_at = e.at"
            " FROM unnest($1::text[], $2::text[], $3::float8[]) AS e (id, held, at) WHERE jobs.id = e.id",
            [job_id for job_id, _, _ in later],
            [key for _, key, _ in later],
            [at for _, _, at in later],
        )
    return found


async def _used(db: Connection, claims: Sequence[Claim], limits: CallLimits, now: float) -> Used:
    keys = sorted({key for claim in claims for key, _ in limits.bounds(claim)})
    ours = await db.fetch(
        "SELECT key, pg_try_advisory_xact_lock(hashtextextended(key, $2)) FROM unnest($1::text[]) AS key",
        keys,
        _SPACE,
    )
    free = [row[0] for row in ours if row[1]]
    # A statement of its own: only one that begins after the locks were had sees what others did before.
    rows = await db.fetch(
        "SELECT key, CASE WHEN kind = 'application'"
        " THEN (SELECT count(*) FROM calls WHERE application = name AND ended_at IS NULL)"
        " ELSE (SELECT count(*) FROM calls WHERE callee = name AND ended_at IS NULL)"
        " + (SELECT count(*) FROM calls WHERE caller = name AND ended_at IS NULL) END AS live,"
        " CASE WHEN kind = 'callee' AND $2 THEN (SELECT count(*) FROM calls WHERE callee = name AND at > $3)"
        " + (SELECT count(*) FROM calls WHERE caller = name AND at > $3) ELSE 0 END AS hour,"
        " CASE WHEN kind = 'callee' AND $4 THEN (SELECT count(*) FROM calls WHERE callee = name AND at > $5)"
        " + (SELECT count(*) FROM calls WHERE caller = name AND at > $5) ELSE 0 END AS day"
        " FROM unnest($1::text[]) AS key,"
        " LATERAL (SELECT split_part(key, ':', 1) AS kind, split_part(key, ':', 2) AS name) AS whose",
        free,
        limits.callee_per_hour is not None,
        now - HOUR,
        limits.callee_per_day is not None,
        now - DAY,
    )
    return Used(
        live={row["key"]: row["live"] for row in rows},
        hour={row["key"]: row["hour"] for row in rows},
        day={row["key"]: row["day"] for row in rows},
        busy=frozenset(keys).difference(free),
    )


Freed = tuple[str | None, str | None, str | None, bool, float]
"""Of a call that is over: its `callee`, `caller`, `application`, `limited`, and when it ended."""


async def release(db: Connection, freed: Sequence[Freed]) -> None:
    """Calls are over: let those go on that waited for them, the most urgent first."""
    ended: dict[Key, tuple[int, float]] = {}
    for callee, caller, application, limited, at in freed:
        for key in keys_of(callee, caller, application) if limited else ():
            count, latest = ended.get(key, (0, at))
            ended[key] = count + RELEASED, max(at, latest)
    if not ended:
        return
    await db.execute(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended(key, $2)) FROM unnest($1::text[]) AS key",
        list(ended),
        _SPACE,
    )
    # Sees what claims stored that it may just have waited for.
    let_go = await db.execute(
        "UPDATE jobs SET held = NULL, next_at = picked.at FROM (SELECT id, e.at"
        " FROM unnest($1::text[], $2::int[], $3::float8[]) AS e (key, count, at),"
        " LATERAL (SELECT id FROM jobs WHERE held = e.key AND state = 'queued'"
        " ORDER BY priority DESC, created_at LIMIT e.count FOR NO KEY UPDATE SKIP LOCKED) AS waiting"
        ") AS picked WHERE jobs.id = picked.id",
        list(ended),
        [count for count, _ in ended.values()],
        [at for _, at in ended.values()],
    )
    if let_go != "UPDATE 0":
        await tell(db)
