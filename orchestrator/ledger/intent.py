"""The intent to dial, as the first line of a call's journal says it. The same for every ledger. Pure."""

import uuid
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.ledger.records import Claim, JobRow

_CALLS = uuid.UUID("0d8f7f0e-4f7c-4f0b-9d61-3c1f1d0a7e55")


class DialPlan(msgspec.Struct, frozen=True):
    """What the ledger needs of a job's body to write the intent to dial."""

    to: str
    ring_timeout: float
    max_duration: float
    plays: int
    play_seconds: int
    notice: ev.Notice | None = None
    second: ev.Second | None = None
    """Of a callback: its second leg, without the caller ID where the job names none."""
    caller: str | None = None
    caller_from: str | None = None
    application: str | None = None
    """Whose job it is, of those who may come by HTTP."""
    application_calls: int | None = None
    intake: str | None = None
    """The queue that it came from."""


_decode_plan = msgspec.json.Decoder(DialPlan).decode


def call_id(job_id: str, attempt: int) -> str:
    """The id of a job's attempt, and of its channel: the same attempt always has the same."""
    return str(uuid.uuid5(_CALLS, f"{job_id}/{attempt}"))


def claim_of(
    job: JobRow,
    sealed: bytes,
    caller_id: str | None,
    pbx: str,
    caller_ids: Sequence[str],
    now: float,
) -> Claim:
    """The next attempt of a job that `pbx` takes at `now`. A job without a `caller_id` shows the first of
    `caller_ids`."""
    attempt = job.attempts + 1
    plan = _decode_plan(job.body)
    shown = str(caller_id) if caller_id else (caller_ids[0] if caller_ids else None)
    second = plan.second
    if second is not None and second.caller_id is None:
        second = replace(second, caller_id=shown)
    planned = ev.Planned(
        pbx=pbx,
        number=plan.caller if second is not None and plan.caller is not None else plan.to,
        plays=plan.plays,
        play_seconds=plan.play_seconds,
        notice=plan.notice,
        ring_timeout=plan.ring_timeout,
        max_duration=plan.max_duration,
        caller_id=plan.caller_from or shown,
        second=second,
    )
    return Claim(
        job=job,
        call_id=call_id(job.id, attempt),
        attempt=attempt,
        sealed=sealed,
        planned=planned,
        at=now,
        callees=(plan.to,) if plan.caller is None or plan.caller == plan.to else (plan.to, plan.caller),
        application=plan.application or plan.intake,
        application_calls=plan.application_calls,
    )
