"""A call of either sort, of one leg or of two: whoever drives it need not know which."""

from typing import NamedTuple

from orchestrator.call import callback, machine
from orchestrator.call import events as ev
from orchestrator.call.commands import Command, Commit
from orchestrator.call.conversation import Conversation, new_conversation, second_leg
from orchestrator.call.facts import Fact
from orchestrator.call.state import Call, State, Step

AnyCall = Call | Conversation


class Turn(NamedTuple):
    """What an event makes of a call."""

    call: AnyCall
    commands: tuple[Command | Commit, ...]
    facts: tuple[Fact, ...]


def new_call(call_id: str, planned: ev.CallEvent) -> AnyCall:
    """A call before its intent to dial, which is `planned`."""
    if isinstance(planned, ev.Planned) and planned.second is not None:
        return new_conversation(call_id)
    return Call(id=call_id)


def advance(call: AnyCall, event: ev.CallEvent, now: float) -> Turn | Step:
    """Apply `event`, seen at `now`. An event that means nothing now gives the same call back."""
    if isinstance(call, Call):
        return machine.step(call, event, now)
    return Turn(*callback.advance(call, event, now))


def replay(call_id: str, journal: list[tuple[ev.CallEvent, float]]) -> tuple[AnyCall, list[Fact]]:
    """The call that `journal` tells of, and every fact on the way. Commands are not given: they were sent."""
    call, facts = new_call(call_id, journal[0][0] if journal else ev.Gone()), list[Fact]()
    for event, at in journal:
        call, _, new = advance(call, event, at)
        facts.extend(new)
    return call, facts


def channels(call: AnyCall) -> tuple[str, ...]:
    """The channels of the call's legs."""
    return (call.id,) if isinstance(call, Call) else (call.id, second_leg(call.id))


def just_known(before: AnyCall, after: AnyCall) -> str | None:
    """The channel of which it is known since this step that the PBX made it, or never will; None where there
    is none. While an originate is lost, or is hung up before it was confirmed, it may still be made."""
    if isinstance(before, Call) and before.dialed_at is not None:
        return None  # as at most of its steps
    for was, now in zip(_legs(before), _legs(after), strict=True):
        if _may_come(was) and not _may_come(now):
            return was.id
    return None


def callee_waits(call: AnyCall) -> bool:
    """Whether it is a callback whose callee is still to be dialled."""
    return isinstance(call, Conversation) and callback.callee_waits(call)


def _legs(call: AnyCall) -> tuple[Call, ...]:
    return (call,) if isinstance(call, Call) else (call.caller, call.callee)


def _may_come(leg: Call) -> bool:
    return leg.state in (State.PLANNED, State.LOST, State.HANGING_UP) and leg.dialed_at is None
