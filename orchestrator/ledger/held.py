"""Limits in SQLite: what is used of them, who waits for them, whom the end of a call lets go on."""

import sqlite3
from collections.abc import Iterable, Sequence

from orchestrator.ledger.bulk import execute_many
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
from orchestrator.ledger.records import Claim


def judged(
    db: sqlite3.Connection, claims: Sequence[Claim], room: int, limits: CallLimits, now: float
) -> Judged:
    """Which of `claims` may be dialled, `room` at most. The others are due later from here on."""
    if not limits.concern(claims):
        return Judged(taken=tuple(claims[:room]))
    found = judge(claims, room, limits, _used(db, claims, limits, now))
    later: list[tuple[str, Key | None, float]] = [
        (claim.job.id, key, look_again_at(claim, now)) for claim, key in found.held
    ]
    later += [(blocked.job_id, None, now + UNENDED_WAIT) for blocked in found.blocked]
    execute_many(
        db,
        "UPDATE jobs SET held = e.column2, next_at = e.column3 FROM (VALUES {rows}) AS e"
        " WHERE jobs.id = e.column1",
        later,
    )
    return found


def _used(db: sqlite3.Connection, claims: Sequence[Claim], limits: CallLimits, now: float) -> Used:
    keys = {key for claim in claims for key, _ in limits.bounds(claim)}
    used = Used(live={}, hour={}, day={})
    for key in keys:
        kind, _, name = key.partition(":")
        if kind == "application":
            live = "SELECT count(*) FROM calls WHERE application = ? AND ended_at IS NULL"
            used.live[key] = db.execute(live, (name,)).fetchone()[0]
            continue
        live = " + ".join(
            f"(SELECT count(*) FROM calls WHERE {leg} = ?1 AND ended_at IS NULL)"  # noqa: S608
            for leg in ("callee", "caller")
        )
        used.live[key] = db.execute(f"SELECT {live}", (name,)).fetchone()[0]
        for most, counts, span in (
            (limits.callee_per_hour, used.hour, HOUR),
            (limits.callee_per_day, used.day, DAY),
        ):
            if most is not None:
                since = " + ".join(
                    f"(SELECT count(*) FROM calls WHERE {leg} = ?1 AND at > ?2)"  # noqa: S608
                    for leg in ("callee", "caller")
                )
                counts[key] = db.execute(f"SELECT {since}", (name, now - span)).fetchone()[0]
    return used


def columns(claim: Claim, limits: CallLimits) -> tuple[str | None, str | None, str | None, bool]:
    """A call's `callee`, `caller`, `application` and `limited`."""
    callee, caller = (*claim.callees, None, None)[:2] if limits.of_callees else (None, None)
    return callee, caller, claim.application, limits.halt(claim)


Freed = tuple[str | None, str | None, str | None, bool, float]
"""Of a call that is over: `columns`, and when it ended."""


def release(db: sqlite3.Connection, freed: Iterable[Freed]) -> None:
    """Calls are over: let those go on that waited for them, the most urgent first."""
    for callee, caller, application, limited, at in freed:
        for key in keys_of(callee, caller, application) if limited else ():
            _release(db, key, at)


def _release(db: sqlite3.Connection, key: Key, at: float) -> None:
    db.execute(
        "UPDATE jobs SET held = NULL, next_at = ?2 WHERE id IN (SELECT id FROM jobs WHERE held = ?1"
        " AND state = 'queued' ORDER BY priority DESC, created_at LIMIT ?3)",
        (key, at, RELEASED),
    )
