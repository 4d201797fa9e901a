"""The ledger's SQL: each function is a part of one transaction, and can be run again."""

import sqlite3
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from orchestrator.call.events import CallEvent
from orchestrator.ledger.bulk import execute_many
from orchestrator.ledger.held import columns, judged, release
from orchestrator.ledger.intent import claim_of
from orchestrator.ledger.limits import AT_ONCE, ROUNDS, UNLIMITED, CallLimits, limit_of
from orchestrator.ledger.outbox import enqueue
from orchestrator.ledger.records import (
    Blocked,
    CallEnd,
    CallStep,
    Claim,
    Claimed,
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
_SEQUENCE = "coalesce((SELECT max(sequence) FROM outbox WHERE lane = jobs.id), 0)"
_JOB = (
    "id, state, body, created_at, next_at, expires_at, attempts, cancel, outcome, reason, ended_at,"
    f" {_SEQUENCE} AS sequence"
)
_COLUMNS = tuple(part.split(" AS ")[-1].strip() for part in _JOB.replace(_SEQUENCE, "").split(","))

_CANCELLED = "cancel = 1 AND state <> 'ended'"
"""As the partial index `jobs_cancel` says it; without the second half SQLite would not use that index."""

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_decode_event: msgspec.json.Decoder[CallEvent] = msgspec.json.Decoder(CallEvent)


def job_row(row: Sequence[object]) -> JobRow:
    """A row of `_JOB` columns as a record."""
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), JobRow, strict=False)


def get_job(db: sqlite3.Connection, job_id: str) -> JobRow | None:
    row = db.execute(f"SELECT {_JOB} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608
    return None if row is None else job_row(row)


# ── jobs ──


def submit(db: sqlite3.Connection, job: NewJob) -> Submitted:
    known = db.execute("SELECT fingerprint FROM jobs WHERE id = ?", (job.id,)).fetchone()
    if known is not None:
        return "same" if known[0] == job.fingerprint else "conflict"
    db.execute(
        "INSERT INTO jobs (id, state, fingerprint, sealed, body, priority, caller_id, created_at, next_at,"
        " expires_at) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id,
            job.fingerprint,
            job.sealed,
            job.body,
            job.priority,
            job.caller_id,
            job.created_at,
            job.not_before,
            job.expires_at,
        ),
    )
    return "new"


def claim(
    db: sqlite3.Connection,
    pbx: str,
    caller_ids: Sequence[str],
    now: float,
    limit: int,
    only: str | None = None,
    limits: CallLimits = UNLIMITED,
) -> Claimed:
    """Take up to `limit` due jobs for `pbx`, the highest priority and the longest due first, of those that
    `limits` let be dialled now.

    Each intent to dial is in the journal when this commits. `only` restricts it to one job.
    """
    claims: list[Claim] = []
    held: list[str] = []
    blocked: list[Blocked] = []
    wanted = limit
    for _ in range(ROUNDS):
        rows = _due(db, caller_ids, now, wanted) if only is None else _due_one(db, caller_ids, now, only)
        found = [_claim(row, pbx, caller_ids, now) for row in rows[:wanted]]
        may = judged(db, found, limit - len(claims), limits, now)
        _take(db, may.taken, pbx, limits)
        claims += may.taken
        held += (limit_of(key) for _, key in may.held)
        blocked += may.blocked
        if len(claims) == limit or len(found) < wanted:
            break
        wanted = AT_ONCE
    next_at = db.execute("SELECT min(next_at) FROM jobs WHERE state = 'queued'").fetchone()[0]
    return Claimed(tuple(claims), next_at, tuple(held), tuple(blocked))


_DUE = (
    f"SELECT {_JOB}, sealed, caller_id FROM jobs WHERE state = 'queued'"  # noqa: S608
    " AND next_at <= ? AND expires_at > ? AND cancel = 0"
)
_NEXT_AT = _COLUMNS.index("next_at")


def _due(db: sqlite3.Connection, caller_ids: Sequence[str], now: float, limit: int) -> list[Row]:
    """The due jobs that may show one of `caller_ids`. Those that may not are never looked at."""
    callers = (None, *caller_ids)
    there = db.execute(
        "WITH RECURSIVE p(priority) AS (SELECT 9 UNION ALL SELECT priority - 1 FROM p WHERE priority > 0),"  # noqa: S608
        f" c(caller) AS (VALUES {','.join(['(?)'] * len(callers))})"
        " SELECT priority, caller FROM p CROSS JOIN c WHERE EXISTS (SELECT 1 FROM jobs"
        " WHERE state = 'queued' AND caller_id IS caller AND jobs.priority = p.priority AND next_at <= ?)",
        (*callers, now),
    ).fetchall()
    query = f"{_DUE} AND caller_id IS ? AND priority = ? ORDER BY next_at LIMIT ?"
    found: list[Row] = []
    for priority in sorted({row[0] for row in there}, reverse=True):
        same: list[Row] = []
        for caller in (row[1] for row in there if row[0] == priority):
            same += db.execute(query, (now, now, caller, priority, limit))
        found += sorted(same, key=itemgetter(_NEXT_AT))
        if len(found) >= limit:
            break
    return found


def _due_one(db: sqlite3.Connection, caller_ids: Sequence[str], now: float, only: str) -> list[Row]:
    marks = ",".join("?" * len(caller_ids))
    query = f"{_DUE} AND id = ? AND (caller_id IS NULL OR caller_id IN ({marks}))"
    return db.execute(query, (now, now, only, *caller_ids)).fetchall()


def _claim(row: Row, pbx: str, caller_ids: Sequence[str], now: float) -> Claim:
    *columns, sealed, caller_id = row
    assert isinstance(sealed, bytes)  # noqa: S101 - a queued job is always sealed
    return claim_of(job_row(columns), sealed, caller_id, pbx, caller_ids, now)


def _take(db: sqlite3.Connection, claims: Sequence[Claim], pbx: str, limits: CallLimits) -> None:
    execute_many(
        db,
        "UPDATE jobs SET state = 'active', attempts = attempts + 1, held = NULL WHERE id IN (VALUES {rows})",
        [(claim.job.id,) for claim in claims],
    )
    execute_many(
        db,
        "INSERT INTO calls (id, job_id, attempt, pbx, at, callee, caller, application, limited)"
        " VALUES {rows}",
        [
            (claim.call_id, claim.job.id, claim.attempt, pbx, claim.at, *columns(claim, limits))
            for claim in claims
        ],
    )
    journal(db, [(claim.call_id, Entry(1, claim.at, claim.planned)) for claim in claims])


def undial(db: sqlite3.Connection, job_id: str, call: str, at: float) -> None:
    """Give an attempt back whose originate never left: nobody was rung, so it leaves no trace."""
    gone = db.execute(
        "DELETE FROM calls WHERE id = ? AND ended_at IS NULL"
        " RETURNING number, callee, caller, application, limited",
        (call,),
    ).fetchall()
    if gone:
        db.execute("DELETE FROM journal WHERE call = ?", gone[0][:1])
        release(db, [(*gone[0][1:], at)])
        db.execute(
            "UPDATE jobs SET state = 'queued', attempts = attempts - 1, next_at = ? WHERE id = ?",
            (at, job_id),
        )


def end_queued(
    db: sqlite3.Connection, job_id: str, verdict: Verdict, build: Callable[[JobRow], Outgoing | None]
) -> list[Delivery]:
    """End a job that has no call. A job that was claimed or ended meanwhile stays as it is."""
    job = get_job(db, job_id)
    if job is None or job.state is not JobState.QUEUED:
        return []
    _end_jobs(db, [(job_id, verdict)])
    outgoing = build(job)
    if outgoing is None:
        return []
    return enqueue(db, [outgoing])


def _end_jobs(db: sqlite3.Connection, verdicts: Sequence[tuple[str, Verdict]]) -> None:
    execute_many(
        db,
        "UPDATE jobs SET state = 'ended', outcome = e.column2, reason = e.column3, ended_at = e.column4,"
        " sealed = NULL FROM (VALUES {rows}) AS e WHERE jobs.id = e.column1",
        [(job_id, verdict.outcome, verdict.reason, verdict.at) for job_id, verdict in verdicts],
    )


def overdue(db: sqlite3.Connection, now: float, limit: int) -> list[JobRow]:
    """Queued jobs that have expired or that somebody cancelled."""
    rows = db.execute(
        f"SELECT {_JOB} FROM jobs WHERE state = 'queued' AND expires_at <= ?"  # noqa: S608
        f" UNION SELECT {_JOB} FROM jobs WHERE {_CANCELLED} AND state = 'queued' LIMIT ?",
        (now, limit),
    )
    return [job_row(row) for row in rows]


def next_expiry(db: sqlite3.Connection) -> float | None:
    found: float | None = db.execute("SELECT min(expires_at) FROM jobs WHERE state = 'queued'").fetchone()[0]
    return found


def cancelled_active(db: sqlite3.Connection) -> list[str]:
    """Jobs in a call that somebody cancelled."""
    query = f"SELECT id FROM jobs WHERE {_CANCELLED} AND state = 'active'"  # noqa: S608
    return [row[0] for row in db.execute(query)]


def request_cancel(db: sqlite3.Connection, job_id: str) -> JobRow | None:
    """Mark a job as cancelled; whoever runs it acts on that. The job as it was, None when there is none."""
    job = get_job(db, job_id)
    if job is not None and job.state is not JobState.ENDED:
        db.execute("UPDATE jobs SET cancel = 1 WHERE id = ?", (job_id,))
    return job


# ── calls ──


def journal(db: sqlite3.Connection, lines: Sequence[tuple[str, Entry]]) -> None:
    """Write (call id, entry) lines. One that is there already stays as it is; one of no call is left out."""
    execute_many(
        db,
        # A join would have SQLite put the rows into a table first.
        "INSERT OR IGNORE INTO journal (call, n, at, event)"
        " SELECT (SELECT number FROM calls WHERE id = e.column1), e.column2, e.column3, e.column4"
        " FROM (VALUES {rows}) AS e",
        [(call, entry.n, entry.at, _encode(entry.event)) for call, entry in lines],
    )


def record_all(db: sqlite3.Connection, steps: Sequence[CallStep]) -> list[Delivery]:
    """Steps of calls, in order: their journal lines, their notifications and, where a call has ended, its CDR
    and its job's fate. An end that was recorded before changes nothing and is not told again."""
    journal(db, [(step.call_id, step.entry) for step in steps])
    ends: dict[str, CallEnd] = {}
    for step in steps:
        if step.end is not None:
            ends.setdefault(step.call_id, step.end)
    new = _end_calls(db, tuple(ends.values())) if ends else set()
    told = [
        step for step in steps if step.end is None or (step.call_id in new and step.end is ends[step.call_id])
    ]
    return enqueue(db, [out for step in told for out in step.outgoing])


def _end_calls(db: sqlite3.Connection, ends: Sequence[CallEnd]) -> set[str]:
    """End these calls and settle their jobs. The ids of those that had not ended before."""
    ended = execute_many(
        db,
        "UPDATE calls SET ended_at = e.column2, cdr = e.column3 FROM (VALUES {rows}) AS e"
        " WHERE calls.id = e.column1 AND calls.ended_at IS NULL"
        " RETURNING calls.id, callee, caller, application, limited, calls.ended_at",
        [(end.call_id, end.ended_at, end.cdr) for end in ends],
    )
    new = {row[0] for row in ended}
    release(db, (row[1:] for row in ended))
    verdicts: list[tuple[str, Verdict]] = []
    for end in ends:
        if end.call_id not in new:
            continue
        match end.then:
            case Requeue(at):
                db.execute("UPDATE jobs SET state = 'queued', next_at = ? WHERE id = ?", (at, end.job_id))
            case Verdict() as verdict:
                verdicts.append((end.job_id, verdict))
    _end_jobs(db, verdicts)
    recorded = [end for end in ends if end.recording is not None and end.call_id in new]
    if recorded:
        db.executemany(
            "INSERT OR IGNORE INTO recordings (call_id, pbx, recording, at)"
            " SELECT id, pbx, ?, ? FROM calls WHERE id = ?",
            [(end.recording, end.ended_at, end.call_id) for end in recorded],
        )
    return new


def open_calls(db: sqlite3.Connection) -> list[OpenCall]:
    """Every call without an end, with its journal."""
    found = db.execute("SELECT id, job_id, attempt FROM calls WHERE ended_at IS NULL").fetchall()
    calls = []
    for call, job_id, attempt in found:
        job = get_job(db, job_id)
        sealed = db.execute("SELECT sealed FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if job is None or sealed[0] is None:
            continue
        calls.append(
            OpenCall(job=job, call_id=call, attempt=attempt, sealed=sealed[0], journal=read_journal(db, call))
        )
    return calls


def read_journal(db: sqlite3.Connection, call: str) -> tuple[Entry, ...]:
    rows = db.execute(
        "SELECT n, at, event FROM journal WHERE call = (SELECT number FROM calls WHERE id = ?) ORDER BY n",
        (call,),
    )
    return tuple(Entry(n, at, _decode_event.decode(event)) for n, at, event in rows)
