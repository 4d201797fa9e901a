"""The clock was set back between two lives of the worker: times in the ledger now lie ahead."""

import sqlite3

TOLERANCE = 1.0
"""Seconds that the clock may be behind the last beat without anything being done about it."""


def set_back(db: sqlite3.Connection, seen_at: float, now: float) -> int:
    """Move what waits by as much as the clock was moved. How many jobs and notifications that were.

    What was due at `seen_at` is due now; a retry, an expiry and a delivery keep their distance. A job that
    has not been tried and was to wait for a time of day (`not_before`) still waits for that.
    """
    back = seen_at - now
    if back <= TOLERANCE:
        return 0
    jobs = db.execute(
        "UPDATE jobs SET expires_at = expires_at - :back,"
        " next_at = CASE WHEN next_at <= :seen_at THEN min(next_at, :now) ELSE next_at - :back END"
        " WHERE state <> 'ended' AND (attempts > 0 OR next_at <= :seen_at)",
        {"back": back, "seen_at": seen_at, "now": now},
    ).rowcount
    deliveries = db.execute(
        "UPDATE outbox SET next_at = next_at - ? WHERE state = 'pending' AND next_at > ?", (back, now)
    ).rowcount
    return int(jobs) + int(deliveries)
