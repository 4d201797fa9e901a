"""A job's notifications, made anew from its calls' journals: the same events with the same numbers that a
receiver gets, for every job, whether or not there is a receiver. Pure.

They are made by what makes the real ones, so a job's `notify.events` leaves out the same types here.
"""

from collections.abc import Iterator

import msgspec

from orchestrator.call.either import AnyCall, advance, new_call
from orchestrator.call.facts import Over
from orchestrator.ledger.records import Followed, JobState, Outgoing
from orchestrator.report import Reporter

NOWHERE = "about:blank"
"""Stands where a receiver's address would."""


def notifications(followed: Followed, worker: str) -> list[Outgoing]:
    """What has been told of the job so far, in order. `worker` stands in each event's `source`."""
    return list(_told(followed, worker))


def _told(followed: Followed, worker: str) -> Iterator[Outgoing]:
    job = followed.job
    reporter = Reporter(msgspec.structs.replace(job, sequence=0), NOWHERE, worker)
    last: AnyCall | None = None
    attempts = job.attempts
    for call_id, attempt, journal in followed.calls:
        if not journal:
            continue
        call = new_call(call_id, journal[0].event)
        for entry in journal:
            call, _, facts = advance(call, entry.event, entry.at)
            for fact in facts:
                told = reporter.outgoing(fact, call, attempt)
                if told is not None:
                    yield told
                if isinstance(fact, Over) and fact.at == job.ended_at:
                    last, attempts = call, attempt  # this call's end was the job's
    if job.state is JobState.ENDED and job.ended_at is not None:
        verdict = reporter.ended(job.outcome or "", job.reason or "", attempts, job.ended_at, last)
        if verdict is not None:
            yield verdict
