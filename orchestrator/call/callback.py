"""The callback machine: `advance(conversation, event, now) -> Turn(conversation, commands, facts)`. Pure.

Two legs, each a call of its own that machine.py steps, and one walk of both together:

    CALLER ─held─► CALLEE ─held─► JOINING ─Bridged─┬─► ANNOUNCING ─► TALKING ─either ends─► CLOSING ─► OVER
                     │ busy, no answer, failed     └──── no recording ──▲                     ▲
                     └────────────► TELLING ──────────────────────────────────────────────────┘

An event is first given to whom it concerns: a leg, or the two together (`OWN`). Then the phase looks at
where the legs stand (`MOVES`), and goes on if it can. So it does not matter which event told of it.

The callee is dialled at most once: its intent goes into the journal first, with the event by which the caller
was ready (`Commit`), and only the event that comes back when that is durable asks for the originate.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.commands import Commit, Hangup, Originate, Ringback
from orchestrator.call.conversation import LEG_SLACK, PLAYS, TEXT, Conversation, Phase, Turn, new_conversation
from orchestrator.call.ending import end
from orchestrator.call.facts import Fact, Leg, Over, Undialed
from orchestrator.call.machine import step
from orchestrator.call.outcome import Outcome
from orchestrator.call.parting import close, fail, finish, leaving
from orchestrator.call.state import RING_GRACE, State, Step
from orchestrator.call.together import (
    again,
    bridge_refused,
    bridged,
    join,
    play_finished,
    play_refused,
    play_started,
    recording_finished,
    recording_started,
    timer,
)

Handler = Callable[[Conversation, Any, float], Turn]


def advance(conversation: Conversation, event: ev.CallEvent, now: float) -> Turn:
    """Apply `event`, seen at `now`. An event that means nothing now gives the same conversation back."""
    turn = _route(conversation, event, now)
    while (more := MOVES[turn.conversation.phase](turn.conversation, now)) is not None:
        turn = turn.then(more)
    return turn


def replay(call_id: str, journal: list[tuple[ev.CallEvent, float]]) -> tuple[Conversation, list[Fact]]:
    """The callback that `journal` tells of, and every fact on the way. Commands are not given: they were
    sent, or are found out about."""
    conversation, facts = new_conversation(call_id), list[Fact]()
    for event, at in journal:
        conversation, _, new = advance(conversation, event, at)
        facts.extend(new)
    return conversation, facts


# ── whom an event concerns ────────────────────────────────────────────────────────────────────────────


def _route(conversation: Conversation, event: ev.CallEvent, now: float) -> Turn:
    own = OWN[conversation.phase].get(type(event))
    match event:
        case ev.OfCallee(event=ev.Planned()):
            return _dial_callee(conversation, now)
        case ev.OfCallee(event=inner):
            return _leg(conversation, "callee", inner, now)
        case ev.Planned():
            return _plan(conversation, event, now)
        case ev.TimerFired(timer=name):
            leg, of_leg, its_timer = name.partition(":")
            if name == "callee:ring" and callee_waits(conversation):
                return _turn_missed(conversation, now)
            if not of_leg:
                return timer(conversation, name, now)
            return _leg(
                conversation, "caller" if leg == "caller" else "callee", ev.TimerFired(its_timer), now
            )
        case ev.PlayStarted() | ev.PlayFinished() | ev.PlayRefused() if (
            event.playback != conversation.playback
        ):
            return _leg(conversation, "caller", event, now)
        case ev.Alive() if event.up or event.ready:
            turn = _leg(conversation, "caller", event, now)
            return turn.then(again(turn.conversation, now))
        case _ if own is not None:
            return own(conversation, event, now)
        case _ if type(event) in _OF_BOTH:
            return Turn(conversation)
        case _:
            return _leg(conversation, "caller", event, now)


def _leg(conversation: Conversation, leg: Leg, event: ev.LegEvent, now: float) -> Turn:
    before = conversation.caller if leg == "caller" else conversation.callee
    after = step(before, event, now)
    if after.call is before:
        return Turn(conversation, after.commands, after.facts)
    return _with_leg(conversation, leg, after, now)


def _with_leg(conversation: Conversation, leg: Leg, after: Step, now: float) -> Turn:
    """The conversation with a leg as it is now. How the leg ended is kept: the two have but one end."""
    call, commands, facts = after
    last = facts[-1] if facts else None
    if isinstance(last, Undialed):
        if leg == "caller":
            return Turn(new_conversation(conversation.id), commands, facts)
        never = "the request to ring never left"
        return _with_leg(
            conversation, leg, end(conversation.callee, now, Outcome.FAILED, never, by="network"), now
        )
    if isinstance(last, Over):
        facts = facts[:-1]
        if leg == "caller":
            conversation = replace(conversation, caller_over=last)
        else:
            conversation = replace(conversation, callee_over=last)
    if leg == "caller":
        return Turn(replace(conversation, caller=call), commands, facts)
    return Turn(replace(conversation, callee=call), commands, facts)


# ── the caller, then the callee ───────────────────────────────────────────────────────────────────────


def _plan(conversation: Conversation, event: ev.Planned, now: float) -> Turn:
    second = event.second
    if second is None or conversation.caller.state is not State.NEW:
        return Turn(conversation)
    conversation = replace(conversation, second=second, max_duration=event.max_duration)
    plays = [conversation.seconds(play) for play in range(1, PLAYS + 1)]
    slack = second.ring_timeout + sum(plays) + LEG_SLACK
    text = conversation.seconds(TEXT)
    first = replace(
        event, plays=min(1, text), play_seconds=text, max_duration=event.max_duration + slack, second=None
    )
    return _leg(conversation, "caller", first, now)


def _caller_first(conversation: Conversation, now: float) -> Turn | None:
    if conversation.caller.state is State.ENDED:
        return close(conversation, now, "caller")
    if conversation.caller.state is not State.HELD or conversation.second is None:
        return None
    second = conversation.second
    intent = ev.Planned(
        pbx=conversation.pbx,
        number=second.number,
        plays=0,
        play_seconds=0,
        ring_timeout=second.ring_timeout,
        max_duration=conversation.max_duration + LEG_SLACK,
        caller_id=second.caller_id,
    )
    # The leg's own originate is held back until the intent is durable.
    callee = step(conversation.callee, intent, now).call
    conversation = replace(conversation, phase=Phase.CALLEE, callee=callee)
    ringback = Ringback(conversation.id, conversation.playback)
    return Turn(conversation, (ringback, Commit(ev.OfCallee(intent))))


def callee_waits(conversation: Conversation) -> bool:
    """Whether the callee is still to be dialled."""
    return conversation.callee.state is State.PLANNED and not conversation.rung


def _dial_callee(conversation: Conversation, now: float) -> Turn:
    callee = conversation.callee
    if not callee_waits(conversation):
        return Turn(conversation)
    originate = Originate(callee.id, callee.number, callee.caller_id, callee.ring_timeout)
    # It rings from now on, however long it waited for its turn.
    callee = replace(callee, timers={"ring": now + callee.ring_timeout + RING_GRACE})
    return Turn(replace(conversation, rung=True, callee=callee), (originate,))


def _turn_missed(conversation: Conversation, now: float) -> Turn:
    """The callee was not dialled for so long that nobody would wait any longer. Should a crash have hidden
    that it was, it is hung up."""
    due = conversation.callee.timers.get("ring")
    if due is None or now < due:
        return Turn(conversation)
    never = "its turn to be rung did not come in time"
    call, _, facts = end(conversation.callee, now, Outcome.FAILED, never, by="orchestrator", certain=False)
    return _with_leg(conversation, "callee", Step(call, (Hangup(call.id),), facts), now)


def _callee_next(conversation: Conversation, now: float) -> Turn | None:
    if leaving(conversation.caller):
        return close(conversation, now, "caller")
    if conversation.callee.state is State.ENDED:
        return fail(conversation, now, "callee")
    if conversation.callee.state is not State.HELD:
        return None
    return join(conversation, now)


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────


def _joining(conversation: Conversation, now: float) -> Turn | None:
    if leaving(conversation.caller):
        return close(conversation, now, "caller")
    return fail(conversation, now, "callee") if leaving(conversation.callee) else None


def _either(conversation: Conversation, now: float) -> Turn | None:
    if leaving(conversation.caller):
        return close(conversation, now, "caller")
    return close(conversation, now, "callee") if leaving(conversation.callee) else None


def _telling(conversation: Conversation, now: float) -> Turn | None:
    return close(conversation, now) if leaving(conversation.caller) else None


def _cancel(conversation: Conversation, _event: object, now: float) -> Turn:
    if conversation.caller.state is State.NEW:
        return Turn(conversation)
    return close(conversation, now, "cancel")


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────

MOVES: Final[Mapping[Phase, Callable[[Conversation, float], Turn | None]]] = {
    Phase.CALLER: _caller_first,
    Phase.CALLEE: _callee_next,
    Phase.JOINING: _joining,
    Phase.ANNOUNCING: _either,
    Phase.TALKING: _either,
    Phase.TELLING: _telling,
    Phase.CLOSING: finish,
    Phase.OVER: lambda _conversation, _now: None,
}
"""How each phase goes on by itself, to a later one, when the legs allow; None when it has to wait."""

_PLAYS: Final[Mapping[type[ev.Event], Handler]] = {
    ev.PlayStarted: play_started,
    ev.PlayFinished: play_finished,
    ev.PlayRefused: play_refused,
}
_RECORDING: Final[Mapping[type[ev.Event], Handler]] = {
    ev.RecordingStarted: recording_started,
    ev.RecordingFinished: recording_finished,
}

OWN: Final[Mapping[Phase, Mapping[type[ev.Event], Handler]]] = {
    Phase.CALLER: {ev.CancelRequested: _cancel},
    Phase.CALLEE: {ev.CancelRequested: _cancel},
    Phase.JOINING: {ev.Bridged: bridged, ev.BridgeRefused: bridge_refused, ev.CancelRequested: _cancel},
    Phase.ANNOUNCING: {**_PLAYS, ev.CancelRequested: _cancel},
    Phase.TALKING: {**_RECORDING, ev.CancelRequested: _cancel},
    Phase.TELLING: {**_PLAYS, ev.CancelRequested: _cancel},
    Phase.CLOSING: _RECORDING,
    Phase.OVER: {},
}
"""What concerns the two together, and not a leg. A bridge that stood is asked for again after an
outage; a refusal of that ends no conversation, since the people may well hear each other."""

_OF_BOTH: Final = frozenset(kind for row in OWN.values() for kind in row) - frozenset(_PLAYS)
