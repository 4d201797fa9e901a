"""Jobs and calls in SQL: each function is a part of one transaction, and can be run again."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from orchestrator.call.events import CallEvent
from orchestrator.ledger.postgresql.connection import Connection, tell
from orchestrator.ledger.postgresql.held import release
from orchestrator.ledger.postgresql.outbox import enqueue
from orchestrator.ledger.records import (
    CallEnd,
    CallStep,
    Entry,
    JobRow,
    JobState,
    NewJob,
    OpenCall,
    Outgoing,
    Requeue,
    Submitted,
    Verdict,
)
from orchestrator.notify.delivery import Delivery

# Notifications stay in the outbox until their job is forgotten, so the last one's number is the count.
JOB: Final = (
    "jobs.id, jobs.state, body, created_at, next_at, expires_at, attempts,"
    " coalesce((SELECT max(sequence) FROM outbox WHERE lane = jobs.id), 0) AS sequence,"
    " cancel, outcome, reason, jobs.ended_at"
)
_WIDTH: Final = 12

_encode = msgspec.json.Encoder().encode
_decode_event: msgspec.json.Decoder[CallEvent] = msgspec.json.Decoder(CallEvent)


def job_row(row: asyncpg.Record) -> JobRow:
    """A row that begins with the `JOB` columns as a record."""
    id_, state, body, created, next_at, expires, attempts, sequence, cancel, outcome, reason, ended = row[
        :_WIDTH
    ]
    return JobRow(
        id=id_,
        state=JobState(state),
        body=body,
        created_at=created,
        next_at=next_at,
        expires_at=expires,
        attempts=attempts,
        sequence=sequence,
        cancel=cancel,
        outcome=outcome,
        reason=reason,
        ended_at=ended,
    )


async def get_job(db: Connection, job_id: str, lock: str = "") -> JobRow | None:
    row = await db.fetchrow(f"SELECT {JOB} FROM jobs WHERE id = $1 {lock}", job_id)  # noqa: S608
    return None if row is None else job_row(row)


# ── jobs ──


async def submit(db: Connection, jobs: Sequence[NewJob]) -> list[Submitted]:
    """Store those that are not known. What became of each, in order."""
    # In one order for all who submit: two that submit the same jobs would wait for each other.
    rows = sorted(jobs, key=lambda job: job.id)
    stored = await db.fetch(
        "INSERT INTO jobs (id, state, fingerprint, sealed, body, priority, caller_id, created_at, next_at,"
        " expires_at) SELECT id, 'queued', fingerprint, sealed, body, priority, caller_id, created_at,"
        " next_at, expires_at FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[], $5::int[],"
        " $6::text[], $7::float8[], $8::float8[], $9::float8[]) AS new (id, fingerprint, sealed, body,"
        " priority, caller_id, created_at, next_at, expires_at) ON CONFLICT (id) DO NOTHING RETURNING id",
        [job.id for job in rows],
        [job.fingerprint for job in rows],
        [job.sealed for job in rows],
        [job.body for job in rows],
        [job.priority for job in rows],
        [job.caller_id or "" for job in rows],
        [job.created_at for job in rows],
        [job.not_before for job in rows],
        [job.expires_at for job in rows],
    )
    new = {row[0] for row in stored}
    if new:
        await tell(db)
    known: dict[str, bytes] = {}
    if len(new) < len(jobs):
        rows_known = await db.fetch(
            "SELECT id, fingerprint FROM jobs WHERE id = ANY($1)", [job.id for job in jobs]
        )
        known = {row[0]: row[1] for row in rows_known}
    became: list[Submitted] = []
    for job in jobs:
        if job.id in new:
            new.remove(job.id)
            became.append("new")
        else:
            became.append("same" if known[job.id] == job.fingerprint else "conflict")
    return became


async def end_queued(
    db: Connection, worker: str, job_id: str, verdict: Verdict, build: Callable[[JobRow], Outgoing | None]
) -> list[Delivery]:
    """End a job that has no call. A job that was claimed or ended meanwhile stays as it is, and one that
    another worker has in hand just now is left to it."""
    job = await get_job(db, job_id, "FOR NO KEY UPDATE SKIP LOCKED")
    if job is None or job.state is not JobState.QUEUED:
        return []
    await _end_jobs(db, [(job_id, verdict)])
    outgoing = build(job)
    return [] if outgoing is None else await enqueue(db, worker, [outgoing])


async def _end_jobs(db: Connection, verdicts: Sequence[tuple[str, Verdict]]) -> None:
    await db.execute(
        "UPDATE jobs SET state = 'ended', outcome = e.outcome, reason = e.reason, ended_at = e.at,"
        " sealed = NULL FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[])"
        " AS e (id, outcome, reason, at) WHERE jobs.id = e.id",
        [job_id for job_id, _ in verdicts],
        [verdict.outcome for _, verdict in verdicts],
        [verdict.reason for _, verdict in verdicts],
        [verdict.at for _, verdict in verdicts],
    )


async def overdue(db: Connection, now: float, limit: int) -> list[JobRow]:
    """Queued jobs that have expired or that somebody cancelled."""
    rows = await db.fetch(
        f"SELECT {JOB} FROM jobs WHERE state = 'queued' AND expires_at <= $1"  # noqa: S608
        f" UNION SELECT {JOB} FROM jobs WHERE cancel AND state <> 'ended' AND state = 'queued' LIMIT $2",
        now,
        limit,
    )
    return [job_row(row) for row in rows]


async def next_expiry(db: Connection) -> float | None:
    found: float | None = await db.fetchval("SELECT min(expires_at) FROM jobs WHERE state = 'queued'")
    return found


async def cancelled_active(db: Connection, worker: str) -> list[str]:
    """Jobs in a call of this worker that somebody cancelled."""
    rows = await db.fetch(
        "SELECT jobs.id FROM jobs JOIN calls ON calls.job_id = jobs.id AND calls.ended_at IS NULL"
        " WHERE cancel AND state <> 'ended' AND state = 'active' AND calls.worker = $1",
        worker,
    )
    return [row[0] for row in rows]


async def request_cancel(db: Connection, job_id: str) -> JobRow | None:
    """Mark a job as cancelled; whoever runs it acts on that. The job as it was, None when there is none."""
    job = await get_job(db, job_id, "FOR NO KEY UPDATE")
    if job is not None and job.state is not JobState.ENDED:
        await db.execute("UPDATE jobs SET cancel = true WHERE id = $1", job_id)
        await tell(db)
    return job


async def undial(db: Connection, job_id: str, call: str, at: float) -> None:
    """Give an attempt back whose originate never left: nobody was rung, so it leaves no trace."""
    gone = await db.fetchrow(
        "DELETE FROM calls WHERE id = $1 AND ended_at IS NULL"
        " RETURNING number, callee, caller, application, limited",
        call,
    )
    if gone is not None:
        await db.execute("DELETE FROM journal WHERE call = $1", gone[0])
        await db.execute("DELETE FROM starts WHERE channel = $1", call)
        await db.execute(
            "UPDATE jobs SET state = 'queued', attempts = attempts - 1, next_at = $2 WHERE id = $1",
            job_id,
            at,
        )
        await release(db, [(*gone[1:], at)])


# ── calls ──


async def record_all(db: Connection, worker: str, steps: Sequence[CallStep]) -> list[Delivery]:
    """Steps of calls, in order: their journal lines, their notifications and, where a call has ended, its CDR
    and its job's fate. An end that was recorded before changes nothing and is not told again."""
    await db.execute(
        "INSERT INTO journal (call, n, at, event) SELECT number, line.n, line.at, line.event"
        " FROM unnest($1::text[], $2::int[], $3::float8[], $4::bytea[]) AS line (call, n, at, event)"
        " JOIN calls ON calls.id = line.call ON CONFLICT DO NOTHING",
        [step.call_id for step in steps],
        [step.entry.n for step in steps],
        [step.entry.at for step in steps],
        [_encode(step.entry.event) for step in steps],
    )
    ends: dict[str, CallEnd] = {}
    for step in steps:
        if step.end is not None:
            ends.setdefault(step.call_id, step.end)
    new = await _end_calls(db, tuple(ends.values())) if ends else set()
    told = [
        step for step in steps if step.end is None or (step.call_id in new and step.end is ends[step.call_id])
    ]
    return await enqueue(db, worker, [out for step in told for out in step.outgoing])


async def _end_calls(db: Connection, ends: Sequence[CallEnd]) -> set[str]:
    """End these calls and settle their jobs. The ids of those that had not ended before."""
    ended = await db.fetch(
        "UPDATE calls SET ended_at = e.at, cdr = e.cdr FROM unnest($1::text[], $2::float8[], $3::bytea[])"
        " AS e (id, at, cdr) WHERE calls.id = e.id AND calls.ended_at IS NULL"
        " RETURNING calls.id, callee, caller, application, limited, calls.ended_at",
        [end.call_id for end in ends],
        [end.ended_at for end in ends],
        [end.cdr for end in ends],
    )
    new = {row[0] for row in ended}
    verdicts: list[tuple[str, Verdict]] = []
    again: list[tuple[str, float]] = []
    for end in ends:
        if end.call_id not in new:
            continue
        match end.then:
            case Requeue(at):
                again.append((end.job_id, at))
            case Verdict() as verdict:
                verdicts.append((end.job_id, verdict))
    if again:
        await db.execute(
            "UPDATE jobs SET state = 'queued', next_at = e.at FROM unnest($1::text[], $2::float8[])"
            " AS e (id, at) WHERE jobs.id = e.id",
            [job_id for job_id, _ in again],
            [at for _, at in again],
        )
    if verdicts:
        await _end_jobs(db, verdicts)
    recorded = [end for end in ends if end.recording is not None and end.call_id in new]
    if recorded:
        await db.execute(
            "INSERT INTO recordings (call_id, pbx, recording, at) SELECT calls.id, pbx, e.recording, e.at"
            " FROM unnest($1::text[], $2::text[], $3::float8[]) AS e (id, recording, at)"
            " JOIN calls ON calls.id = e.id ON CONFLICT DO NOTHING",
            [end.call_id for end in recorded],
            [end.recording for end in recorded],
            [end.ended_at for end in recorded],
        )
    await release(db, [tuple(row[1:]) for row in ended])
    return new


async def open_calls(db: Connection, worker: str) -> list[OpenCall]:
    """Every call of this worker without an end, with its journal."""
    found = await db.fetch(
        f"SELECT {JOB}, sealed, calls.id AS call, attempt FROM calls JOIN jobs ON jobs.id = job_id"  # noqa: S608
        " WHERE calls.ended_at IS NULL AND worker = $1 AND sealed IS NOT NULL",
        worker,
    )
    return [
        OpenCall(
            job=job_row(row),
            call_id=row["call"],
            attempt=row["attempt"],
            sealed=row["sealed"],
            journal=await read_journal(db, row["call"]),
        )
        for row in found
    ]


async def read_journal(db: Connection, call: str) -> tuple[Entry, ...]:
    rows: list[Any] = await db.fetch(
        "SELECT n, at, event FROM journal WHERE call = (SELECT number FROM calls WHERE id = $1) ORDER BY n",
        call,
    )
    return tuple(Entry(n, at, _decode_event.decode(event)) for n, at, event in rows)
