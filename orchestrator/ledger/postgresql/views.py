"""What people ask of the ledger, and what keeps it small. Each function is a part of one transaction."""

import msgspec

from orchestrator.ledger.limits import limit_of
from orchestrator.ledger.postgresql.connection import Connection
from orchestrator.ledger.postgresql.jobs import get_job, read_journal
from orchestrator.ledger.records import Followed, JobState, Kept, Summary


async def follow(db: Connection, job_id: str) -> Followed | None:
    """The job and the journal of each of its calls; None when there is no such job."""
    job = await get_job(db, job_id)
    if job is None:
        return None
    calls = await db.fetch("SELECT id, attempt FROM calls WHERE job_id = $1 ORDER BY attempt", job_id)
    return Followed(
        job=job, calls=tuple([(call, attempt, await read_journal(db, call)) for call, attempt in calls])
    )


async def summary(db: Connection, job_id: str) -> Summary | None:
    """The job, its call records and what became of its notifications; None when there is no such job."""
    job = await get_job(db, job_id)
    if job is None:
        return None
    cdrs = await db.fetch(
        "SELECT cdr FROM calls WHERE job_id = $1 AND cdr IS NOT NULL ORDER BY attempt", job_id
    )
    states = await db.fetch("SELECT state, count(*) FROM outbox WHERE lane = $1 GROUP BY state", job_id)
    problem = await db.fetchval(
        "SELECT error FROM outbox WHERE lane = $1 AND state <> 'delivered' AND error <> ''"
        " ORDER BY id LIMIT 1",
        job_id,
    )
    held = await db.fetchval("SELECT held FROM jobs WHERE id = $1", job_id)
    return Summary(
        job=job,
        cdrs=tuple(msgspec.json.decode(row[0]) for row in cdrs),
        notifications={row[0]: row[1] for row in states},
        problem=problem or "",
        waits_for=limit_of(held) if held is not None and job.state is JobState.QUEUED else "",
    )


async def counts(db: Connection) -> dict[str, int]:
    """How many jobs are queued and active, and how many notifications wait or were given up."""
    # Each is counted in a partial index, so that what has ended costs nothing here.
    row = await db.fetchrow(
        "SELECT (SELECT count(*) FROM jobs WHERE state = 'queued') AS jobs_queued,"
        " (SELECT count(*) FROM calls WHERE ended_at IS NULL) AS jobs_active,"
        " (SELECT count(*) FROM outbox WHERE state = 'pending') AS outbox_pending,"
        " (SELECT count(*) FROM outbox WHERE state = 'dead') AS outbox_dead"
    )
    return {name: int(count) for name, count in row.items()} if row is not None else {}


async def forget(db: Connection, before: float, limit: int) -> int:
    """Delete jobs that ended before `before` and whose notifications all have their fate. How many."""
    jobs = [
        row[0]
        for row in await db.fetch(
            "SELECT id FROM jobs WHERE state = 'ended' AND ended_at < $1 AND NOT EXISTS"
            " (SELECT 1 FROM outbox WHERE lane = jobs.id AND outbox.state = 'pending')"
            " LIMIT $2 FOR UPDATE SKIP LOCKED",
            before,
            limit,
        )
    ]
    if jobs:
        await db.execute(
            "DELETE FROM journal WHERE call IN (SELECT number FROM calls WHERE job_id = ANY($1))", jobs
        )
        for rows in ("calls WHERE job_id", "outbox WHERE lane", "jobs WHERE id"):
            await db.execute(f"DELETE FROM {rows} = ANY($1)", jobs)  # noqa: S608
    await db.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE type = 'cdr' AND state <> 'pending'"
        " AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before,
        limit,
    )
    return len(jobs)


async def recordings(db: Connection, before: float, limit: int) -> list[Kept]:
    """Recordings of calls that ended before `before`, the oldest first."""
    rows = await db.fetch(
        "SELECT call_id, pbx, recording FROM recordings WHERE at < $1 ORDER BY at LIMIT $2", before, limit
    )
    return [Kept(*row) for row in rows]


async def recording_gone(db: Connection, call_id: str) -> None:
    """The recording lies on its PBX no more."""
    await db.execute("DELETE FROM recordings WHERE call_id = $1", call_id)
