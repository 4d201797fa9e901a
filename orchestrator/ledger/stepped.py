"""The clock was set between two lives of the worker: times in the ledger are those of another clock."""

import sqlite3

from orchestrator.clock import Moment, ahead
from orchestrator.ledger.limits import DAY


def was(seen: Moment, now: Moment) -> float:
    """What the former owner's clock would show now. After a boot that is known no more, but that the time
    which it saw lies ahead: then no later than that."""
    seconds = ahead(seen, now)
    return now.at + seconds if seconds is not None else max(now.at, seen.at)


def move(db: sqlite3.Connection, was: float, now: float) -> int:
    """Move what waits from a clock that showed `was` to one that shows `now`. How many jobs and notifications
    that were.

    What was due is due; a retry, an expiry and a delivery keep their distance. A job that has not been tried
    and was to wait for a time of day (`not_before`) still waits for that. One that a limit makes
    wait is looked at again, and calls that are counted by the hour and the day keep their distance too.
    """
    by = now - was
    if by == 0:
        return 0
    jobs = db.execute(
        "UPDATE jobs SET expires_at = expires_at + :by,"
        " next_at = CASE WHEN held IS NOT NULL THEN :now WHEN next_at <= :was THEN min(next_at, :now)"
        " ELSE next_at + :by END"
        " WHERE state <> 'ended' AND (attempts > 0 OR next_at <= :was OR held IS NOT NULL)",
        {"by": by, "was": was, "now": now},
    ).rowcount
    db.execute("UPDATE calls SET at = at + ? WHERE callee IS NOT NULL AND at > ?", (by, min(was, now) - DAY))
    deliveries = db.execute(
        "UPDATE outbox SET next_at = next_at + ? WHERE state = 'pending' AND next_at > ?",
        (by, min(was, now)),
    ).rowcount
    return int(jobs) + int(deliveries)
