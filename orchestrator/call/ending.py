"""How a call ends: from what the PBX said last, and from what we know, to the one `Over` of the call."""

from typing import Final

from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.facts import Dialing, HungUpBy, Over
from orchestrator.call.outcome import Outcome, judge_unanswered
from orchestrator.call.state import Call, State, Step, between, ring_timed_out

_NETWORK_CAUSES: Final = frozenset({27, 34, 38, 41, 42, 44, 47, 102})
"""Q.850 causes by which a network, not a person, ends an answered call."""


def end_unknown(call: Call, _event: object, now: float) -> Step:
    reason = "the PBX has no such call; whether a phone rang is not known, so it is not dialled again"
    return end(call, now, Outcome.FAILED, reason, by="network", certain=False)


def gone_before_answer(call: Call, _event: object, now: float) -> Step:
    if ring_timed_out(call, now):
        return end(call, now, Outcome.NO_ANSWER, "the call ended unseen, after its ring time-out", by=None)
    return end(call, now, Outcome.FAILED, "the call ended unseen, before an answer", by=None)


def ended_before_answer(call: Call, event: ev.Ended, now: float) -> Step:
    timed_out = ring_timed_out(call, now)
    outcome, reason = judge_unanswered(
        cause=event.cause,
        sip_status=event.sip_status,
        dial_status=call.dial_status,
        ring_timed_out=timed_out,
    )
    by: HungUpBy = "network"
    if outcome in (Outcome.BUSY, Outcome.REJECTED):
        by = call.leg
    elif outcome is Outcome.NO_ANSWER and timed_out:
        by = "orchestrator"
    if call.dialed_at is not None:
        return end(call, now, outcome, reason, by=by, ended=event)
    # The end overtook the answer to the originate; it proves that the originate was accepted.
    over = end(replace(call, dialed_at=now), now, outcome, reason, by=by, ended=event)
    return Step(over.call, over.commands, (Dialing(now, call.leg), *over.facts))


def ended_after_answer(call: Call, event: ev.Ended, now: float) -> Step:
    if event.cause in _NETWORK_CAUSES:
        return end_heard(call, now, Outcome.FAILED, "the network ended the call", by="network", ended=event)
    return end_heard(call, now, Outcome.HUNG_UP_EARLY, f"the {call.leg} hung up", by=call.leg, ended=event)


def gone_after_answer(call: Call, _event: object, now: float) -> Step:
    return end_heard(call, now, Outcome.FAILED, "the answered call ended unseen", by=None)


def end_hanging_up(call: Call, event: ev.Ended | None, now: float, certain: bool = True) -> Step:
    match call.why:
        case "cancel":
            return end(
                call,
                now,
                Outcome.CANCELLED,
                "cancelled on request",
                by="orchestrator",
                ended=event,
                certain=certain,
            )
        case "ring_timeout":
            reason = "nobody answered within the ring time-out"
            return end(call, now, Outcome.NO_ANSWER, reason, by="orchestrator", ended=event, certain=certain)
        case "not_confirmed":
            reason = "nobody pressed the key that the notice asked for"
            outcome = Outcome.NOT_CONFIRMED
            return end(call, now, outcome, reason, by="orchestrator", ended=event, certain=certain)
        case "callee":
            if event is not None:
                return ended_after_answer(call, event, now)
            early = Outcome.HUNG_UP_EARLY
            return end_heard(call, now, early, f"the {call.leg} hung up", by=call.leg, certain=certain)
        case "pbx":
            reason = "the PBX ended the call"
            return end_heard(call, now, Outcome.FAILED, reason, by="network", ended=event, certain=certain)
        case "done":
            reason = "every play was heard"
        case "max_duration":
            reason = "the longest duration was reached"
        case "other_leg":
            reason = "the callback was over"
        case "not_ready":
            reason = "the PBX did not hand the answered call over"
        case _:
            reason = "the PBX could not play the prompt"
    return end_heard(call, now, Outcome.FAILED, reason, by="orchestrator", ended=event, certain=certain)


def ended_hanging_up(call: Call, event: ev.Ended, now: float) -> Step:
    return end_hanging_up(call, event, now)


def end_heard(
    call: Call,
    now: float,
    unheard: Outcome,
    reason: str,
    *,
    by: HungUpBy | None,
    ended: ev.Ended | None = None,
    certain: bool = True,
) -> Step:
    """End an answered call: `completed` when at least one whole play was heard, `unheard` otherwise.

    What was heard is not what a leg of a callback was called for.
    """
    if call.hold:
        return end(call, now, unheard, reason, by=by, ended=ended, certain=certain)
    heard = call.plays_completed > 0
    if heard and call.plays_completed < call.plays:
        reason = f"{reason} after {call.plays_completed} of {call.plays} plays"
    elif not heard:
        reason = f"{reason} before one whole play"
    return end(
        call, now, Outcome.COMPLETED if heard else unheard, reason, by=by, ended=ended, certain=certain
    )


def end(
    call: Call,
    now: float,
    outcome: Outcome,
    reason: str,
    *,
    by: HungUpBy | None,
    ended: ev.Ended | None = None,
    certain: bool = True,
) -> Step:
    over = Over(
        at=now,
        outcome=outcome,
        reason=reason,
        cause=ended.cause if ended else None,
        sip_status=ended.sip_status if ended else None,
        ring_seconds=between(call.ringing_at, call.answered_at or now),
        talk_seconds=between(call.answered_at, now),
        plays_completed=call.plays_completed,
        hung_up_by=by,
        certain=certain,
        leg=call.leg,
    )
    return Step(replace(call, state=State.ENDED, ended_at=now, timers={}), (), (over,))
