"""What receivers are told: a call's facts made into notifications, and into its call detail record.

A job's notifications are numbered 1, 2, 3… as they are made, so a receiver that sees no gap missed nothing.
Types that a job's `notify.events` leaves out are not made at all; `job.ended` always is.
"""

import re
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from orchestrator.call.conversation import Conversation
from orchestrator.call.either import AnyCall
from orchestrator.call.facts import Answer, Collected, Dialing, Fact, Leg, Over, Rings
from orchestrator.ledger.records import JobRow, Outgoing
from orchestrator.notify import payload

_NUMBER = re.compile(r"\{(?:number|e164)\}")
_AFTER_AT = re.compile(r"@([A-Za-z0-9_.\-]+)")


class Told(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The parts of a stored job that receivers hear."""

    kind: payload.Kind
    to: str
    from_: str | None = None
    user_data: str = ""
    notify_url: str | None = None
    notify_events: tuple[str, ...] | None = None


_decode = msgspec.json.Decoder(Told).decode


class Reporter:
    """Makes one job's notifications. Keeps count of them, so one job has one reporter at a time."""

    def __init__(self, job: JobRow, default_url: str | None, worker: str) -> None:
        self.job_id = job.id
        self.told = _decode(job.body)
        self.sequence = job.sequence
        self.created_at = job.created_at
        self._url = self.told.notify_url or default_url
        self._worker = worker

    def outgoing(self, fact: Fact, call: AnyCall, attempt: int) -> Outgoing | None:
        """The notification of one fact; None for facts that nobody is told, or that nobody asked for."""
        match fact:
            case Dialing():
                return self._make(payload.Dialing, call, attempt, fact.at, fact.leg)
            case Rings():
                early = fact.early_media
                return self._make(payload.Ringing, call, attempt, fact.at, fact.leg, early_media=early)
            case Answer():
                rang = _seconds(fact.ring_seconds)
                return self._make(payload.Answered, call, attempt, fact.at, fact.leg, ring_seconds=rang)
            case Collected():
                return self._make(
                    payload.Digits,
                    call,
                    attempt,
                    fact.at,
                    item=fact.item,
                    digits=fact.digits,
                    complete=fact.complete,
                )
            case Over():
                return self._make(
                    payload.HungUp,
                    call,
                    attempt,
                    fact.at,
                    fact.leg,
                    outcome=fact.outcome.value,
                    cause=fact.cause,
                    sip_status=fact.sip_status,
                    talk_seconds=_seconds(fact.talk_seconds),
                    plays_completed=fact.plays_completed,
                    hung_up_by=fact.hung_up_by,
                )
            case _:
                return None

    def ended(
        self, outcome: str, reason: str, attempts: int, at: float, call: AnyCall | None
    ) -> Outgoing | None:
        """The verdict of the job."""
        return self._make(
            payload.JobEnded, call, attempts, at, outcome=outcome, attempts=attempts, reason=reason
        )

    def _make(
        self,
        kind: Callable[..., payload.Notification],
        call: AnyCall | None,
        attempt: int,
        at: float,
        leg: Leg = "callee",
        **extra: object,
    ) -> Outgoing | None:
        type_: str = kind.TYPE  # type: ignore[attr-defined]  # every notification class names its type
        if self._url is None or not self._wanted(type_):
            return None
        self.sequence += 1
        data = kind(
            job_id=self.job_id,
            call_id=call.id if call is not None else msgspec.UNSET,
            attempt=attempt,
            sequence=self.sequence,
            kind=self.told.kind,
            to=self.told.to,
            from_=(_shown(call, leg) if call is not None else None) or self.told.from_,
            leg=leg,
            user_data=self.told.user_data,
            **extra,
        )
        id_ = payload.event_id(self.job_id, self.sequence)
        return Outgoing(
            event_id=id_,
            lane=self.job_id,
            sequence=self.sequence,
            url=self._url,
            type=type_,
            body=payload.envelope(data, worker=self._worker, at=at, id=id_),
            at=at,
        )

    def _wanted(self, type_: str) -> bool:
        events = self.told.notify_events
        return events is None or type_ in events or type_ == payload.JobEnded.TYPE


def trunk_of(dial: str) -> str | None:
    """The trunk that a dial template names: `carrier` of `PJSIP/{number}@carrier`, of
    `sofia/gateway/carrier/{number}` and of `Local/{number}@carrier/n`. None where it names none."""
    before, *after = _NUMBER.split(dial, maxsplit=1)
    if found := _AFTER_AT.search("".join(after)):
        return found.group(1)
    # The first part is the technology; the last, empty mostly, belongs to the number.
    parts = before.split("/")[:-1]
    return parts[-1] if len(parts) > 1 else None


def _shown(call: AnyCall, leg: Leg) -> str | None:
    """The number that a leg's phone was shown."""
    return call.callee.caller_id if isinstance(call, Conversation) and leg == "callee" else call.caller_id


def _legs(call: AnyCall) -> tuple[payload.LegRecord, ...] | UnsetType:
    """Both legs of a callback."""
    if not isinstance(call, Conversation):
        return UNSET
    both = ((call.caller, call.caller_over), (call.callee, call.callee_over))
    return tuple(
        payload.LegRecord(
            leg=leg.leg,
            number=leg.number,
            from_=leg.caller_id,
            dialed_at=_time(leg.dialed_at),
            ringing_at=_time(leg.ringing_at),
            answered_at=_time(leg.answered_at),
            ended_at=_time(leg.ended_at),
            cause=over.cause if over is not None else None,
            sip_status=over.sip_status if over is not None else None,
        )
        for leg, over in both
    )


def cdr(reporter: Reporter, call: AnyCall, over: Over, attempt: int, trunk: str | None) -> bytes:
    """The call detail record of an ended call, encoded."""
    return msgspec.json.encode(
        payload.CdrRecord(
            job_id=reporter.job_id,
            call_id=call.id,
            attempt=attempt,
            kind=reporter.told.kind,
            from_=call.caller_id,
            to=reporter.told.to,
            pbx=call.pbx,
            trunk=trunk,
            created_at=payload.rfc3339(reporter.created_at),
            dialed_at=_time(call.dialed_at),
            ringing_at=_time(call.ringing_at),
            answered_at=_time(call.answered_at),
            ended_at=payload.rfc3339(over.at),
            ring_seconds=_seconds(over.ring_seconds),
            talk_seconds=_seconds(over.talk_seconds),
            outcome=over.outcome.value,
            cause=over.cause,
            sip_status=over.sip_status,
            hung_up_by=over.hung_up_by,
            plays_completed=over.plays_completed,
            digits_collected=call.collected,
            recording=over.recording,
            user_data=reporter.told.user_data,
            legs=_legs(call),
        )
    )


_decode_cdr = msgspec.json.Decoder(payload.CdrRecord).decode


def cdr_batch(records: Sequence[bytes], url: str, worker: str, at: float) -> Outgoing:
    """One notification of up to 50 call records. Its id is a function of the calls in it."""
    decoded = [_decode_cdr(record) for record in records]
    batch = f"{decoded[0].call_id}+{len(decoded)}"
    return Outgoing(
        event_id=payload.batch_event_id(batch),
        lane=f"cdr:{batch}",
        sequence=1,
        url=url,
        type=payload.CDR,
        body=payload.cdr_envelope(batch, decoded, worker=worker, at=at),
        at=at,
    )


def _seconds(value: float) -> float:
    return round(value, 3)


def _time(at: float | None) -> str | None:
    return None if at is None else payload.rfc3339(at)
