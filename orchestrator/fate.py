"""What becomes of a job when one of its calls has ended: dialled again, or over. Pure."""

import msgspec

from orchestrator.call.facts import Over
from orchestrator.call.outcome import Outcome
from orchestrator.ledger.records import JobRow, Requeue, Verdict


class RetryPolicy(msgspec.Struct, frozen=True):
    """A job's `retry`."""

    attempts: int
    delay: float
    on: tuple[str, ...]


class _Body(msgspec.Struct, frozen=True):
    retry: RetryPolicy | None = None


_decode_body = msgspec.json.Decoder(_Body).decode


def fate(job: JobRow, attempt: int, over: Over) -> Requeue | Verdict:
    """Whether the job is dialled again. Never when it is not certain that the phone did not ring."""
    verdict = Verdict(over.outcome.value, over.reason, over.at)
    retry = _decode_body(job.body).retry
    if retry is None or over.outcome.value not in retry.on or not over.certain:
        return verdict
    if over.outcome is Outcome.CANCELLED or attempt >= retry.attempts:
        return verdict
    again = over.at + retry.delay
    if again >= job.expires_at:
        return Verdict(over.outcome.value, f"{over.reason}; it expires before another attempt", over.at)
    return Requeue(again)
