"""What people ask of the ledger, and what keeps it small. Each function is a part of one transaction."""

import sqlite3

import msgspec

from orchestrator.ledger.limits import limit_of
from orchestrator.ledger.queries import get_job, read_journal
from orchestrator.ledger.records import Followed, JobState, Kept, Summary


def follow(db: sqlite3.Connection, job_id: str) -> Followed | None:
    """The job and the journal of each of its calls; None when there is no such job."""
    job = get_job(db, job_id)
    if job is None:
        return None
    calls = db.execute(
        "SELECT id, attempt FROM calls WHERE job_id = ? ORDER BY attempt", (job_id,)
    ).fetchall()
    return Followed(job=job, calls=tuple((call, attempt, read_journal(db, call)) for call, attempt in calls))


def summary(db: sqlite3.Connection, job_id: str) -> Summary | None:
    """The job, its call records and what became of its notifications; None when there is no such job."""
    job = get_job(db, job_id)
    if job is None:
        return None
    cdrs = db.execute(
        "SELECT cdr FROM calls WHERE job_id = ? AND cdr IS NOT NULL ORDER BY attempt", (job_id,)
    ).fetchall()
    states = db.execute("SELECT state, count(*) FROM outbox WHERE lane = ? GROUP BY state", (job_id,))
    problem = db.execute(
        "SELECT error FROM outbox WHERE lane = ? AND state <> 'delivered' AND error <> ''"
        " ORDER BY id LIMIT 1",
        (job_id,),
    ).fetchone()
    held = db.execute("SELECT held FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
    return Summary(
        job=job,
        cdrs=tuple(msgspec.json.decode(row[0]) for row in cdrs),
        notifications=dict(states),
        problem=problem[0] if problem else "",
        waits_for=limit_of(held) if held is not None and job.state is JobState.QUEUED else "",
    )


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """How many jobs are queued and active, and how many notifications wait or were given up."""
    # Each is counted in a partial index, so that what has ended costs nothing here.
    return {
        name: int(db.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])  # noqa: S608
        for name, rows in (
            ("jobs_queued", "jobs WHERE state = 'queued'"),
            ("jobs_active", "calls WHERE ended_at IS NULL"),
            ("outbox_pending", "outbox WHERE state = 'pending'"),
            ("outbox_dead", "outbox WHERE state = 'dead'"),
        )
    }


def forget(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Delete jobs that ended before `before` and whose notifications all have their fate. How many."""
    jobs = [
        row[0]
        for row in db.execute(
            "SELECT id FROM jobs WHERE state = 'ended' AND ended_at < ? AND NOT EXISTS"
            " (SELECT 1 FROM outbox WHERE lane = jobs.id AND state = 'pending') LIMIT ?",
            (before, limit),
        )
    ]
    for job_id in jobs:
        db.execute("DELETE FROM journal WHERE call IN (SELECT number FROM calls WHERE job_id = ?)", (job_id,))
        db.execute("DELETE FROM calls WHERE job_id = ?", (job_id,))
        db.execute("DELETE FROM outbox WHERE lane = ?", (job_id,))
        db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
    db.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE type = 'cdr' AND state <> 'pending'"
        " AND created_at < ? LIMIT ?)",
        (before, limit),
    )
    return len(jobs)


def recordings(db: sqlite3.Connection, before: float, limit: int) -> list[Kept]:
    """Recordings of calls that ended before `before`, the oldest first."""
    rows = db.execute(
        "SELECT call_id, pbx, recording FROM recordings WHERE at < ? ORDER BY at LIMIT ?", (before, limit)
    )
    return [Kept(*row) for row in rows]


def recording_gone(db: sqlite3.Connection, call_id: str) -> None:
    """The recording lies on its PBX no more."""
    db.execute("DELETE FROM recordings WHERE call_id = ?", (call_id,))
