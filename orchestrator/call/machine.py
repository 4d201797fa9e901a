"""The call machine: `step(call, event, now) -> Step(call, commands, facts)`. Pure.

A call walks one way:

    NEW ─Planned─► PLANNED ─Accepted─► DIALING ─Ringing─► RINGING ─Answered─► ANSWERED ─Ready─► PLAYING
                      │ originate lost                                                             │ all
                      ▼                                                                            ▼ done
                    LOST ──────────── found alive: goes on; found gone: ───────► ENDED ◄─── HANGING_UP

Events may overtake each other, come twice, or never come. So a state also takes the events of later states
(an answer seen while PLANNED proves that the originate was accepted), a pair that is not in the table
changes nothing, and every state but the first and the last has a timer that gets it on.

The table at the end of this module is the whole machine. Everything above it says what a cell does.
What is played is not known here: a play is a number, so the journal and this module never see a code.
A leg of a callback is such a call as well; it is HELD where others are hung up, and callback.py goes on.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.commands import Ask, Command, Hangup, Originate
from orchestrator.call.ending import (
    end,
    end_hanging_up,
    end_unknown,
    ended_after_answer,
    ended_before_answer,
    ended_hanging_up,
    gone_after_answer,
    gone_before_answer,
)
from orchestrator.call.facts import Answer, Dialing, Fact, Rings, Undialed
from orchestrator.call.outcome import Outcome
from orchestrator.call.playing import (
    alive_collecting,
    digit,
    digit_after,
    digits_over,
    hang_up,
    play_again,
    play_finished,
    play_next,
    play_refused,
    play_started,
    unfinished,
)
from orchestrator.call.state import (
    ASK_RETRY,
    ASK_TRIES,
    HANGUP_RETRY,
    HANGUP_TRIES,
    READY_TIMEOUT,
    RING_GRACE,
    Call,
    State,
    Step,
    Why,
    between,
)

Handler = Callable[[Call, Any, float], Step]


def step(call: Call, event: ev.CallEvent, now: float) -> Step:
    """Apply `event`, seen at `now`. An event that means nothing in this state gives the same call back."""
    handler = TABLE[call.state].get(type(event))
    if handler is None:
        return Step(call)
    after = handler(call, event, now)
    return unfinished(call, after, now) if call.state is State.COLLECTING else after


def replay(call_id: str, journal: list[tuple[ev.CallEvent, float]]) -> tuple[Call, list[Fact]]:
    """The call that `journal` tells of, and every fact on the way. Commands are not given: they were sent."""
    call, facts = Call(id=call_id), list[Fact]()
    for event, at in journal:
        call, _, new = step(call, event, at)
        facts.extend(new)
    return call, facts


class Timed(Protocol):
    """What has timers: a call, or a callback of two."""

    @property
    def timers(self) -> Mapping[str, float]:
        """When each runs out, by name."""


def next_timer(call: Timed) -> tuple[str, float] | None:
    """The timer that runs out first, and when."""
    first: tuple[str, float] | None = None
    for timer in call.timers.items():
        if first is None or timer[1] < first[1]:
            first = timer
    return first


# ── dialling ──────────────────────────────────────────────────────────────────────────────────────────


def _plan(call: Call, event: ev.Planned, now: float) -> Step:
    call = replace(
        call,
        state=State.PLANNED,
        pbx=event.pbx,
        number=event.number,
        caller_id=event.caller_id,
        plays=event.plays,
        play_seconds=event.play_seconds,
        notice=event.notice,
        ring_timeout=event.ring_timeout,
        max_duration=event.max_duration,
        planned_at=now,
        timers={"ring": now + event.ring_timeout + RING_GRACE},
    )
    return Step(call, (Originate(call.id, event.number, event.caller_id, event.ring_timeout),))


def _accepted(call: Call, _event: object, now: float) -> Step:
    call = replace(call, state=State.DIALING, dialed_at=now, timers=_without(call, "ask"), tries=0)
    return Step(call, (), (Dialing(now, call.leg),))


def _refused(call: Call, event: ev.Refused, now: float) -> Step:
    outcome = Outcome.CONGESTED if event.status in (429, 503) else Outcome.FAILED
    return end(call, now, outcome, f"the PBX refused the call: {event.reason} ({event.status})", by="network")


def _originate_lost(call: Call, event: ev.OriginateLost, now: float) -> Step:
    if event.stage == "not_sent":
        return Step(Call(id=call.id, leg=call.leg, hold=call.hold), (), (Undialed(now),))
    timers = {**call.timers, "ask": now + ASK_RETRY}
    return Step(replace(call, state=State.LOST, timers=timers, tries=1), (Ask(call.id),))


def _ask_again(call: Call, now: float) -> Step:
    if call.tries >= ASK_TRIES:
        return end_unknown(call, None, now)
    call = replace(call, tries=call.tries + 1, timers={**call.timers, "ask": now + ASK_RETRY})
    return Step(call, (Ask(call.id),))


# ── ringing and answer ────────────────────────────────────────────────────────────────────────────────


def _ringing(call: Call, event: ev.Ringing, now: float) -> Step:
    call = replace(call, state=State.RINGING, ringing_at=now)
    return Step(call, (), (Rings(now, event.early_media, call.leg),))


def _answered(call: Call, _event: object, now: float) -> Step:
    ring_seconds = between(call.ringing_at, now)
    timers = {"duration": now + call.max_duration, "ready": now + READY_TIMEOUT}
    call = replace(call, state=State.ANSWERED, answered_at=now, timers=timers)
    return Step(call, (), (Answer(now, ring_seconds, call.leg),))


def _ready(call: Call, _event: object, now: float) -> Step:
    timers = _without(call, "ready")
    return play_next(replace(call, state=State.PLAYING, timers=timers), now)


def _dial_status(call: Call, event: ev.Dialed, _now: float) -> Step:
    return Step(replace(call, dial_status=event.status))


# ── ending ────────────────────────────────────────────────────────────────────────────────────────────


def _others_hang_up(call: Call, event: ev.HangupRequested, now: float) -> Step:
    # We have not asked yet in this state: a request from the PBX's own side is somebody else's.
    why: Why = "pbx" if event.by_us else "callee"
    call = replace(call, state=State.HANGING_UP, why=why, tries=0, timers={"hangup": now + HANGUP_RETRY})
    return Step(call)


def _hang_up_again(call: Call, now: float) -> Step:
    if call.tries >= HANGUP_TRIES:
        return end_hanging_up(call, None, now, certain=False)
    call = replace(call, tries=call.tries + 1, timers={"hangup": now + HANGUP_RETRY})
    return Step(call, (Hangup(call.id), Ask(call.id)))


def _hangup_refused(call: Call, event: ev.HangupRefused, now: float) -> Step:
    # Gone already: its end is on its way. Should it have been lost, asking finds that out.
    wait = 1.0 if event.gone else HANGUP_RETRY
    return Step(replace(call, timers={"hangup": now + wait}))


def _cancel(call: Call, _event: object, now: float) -> Step:
    return hang_up(call, "cancel", now)


def _hang_up_once_more(call: Call, _event: object, _now: float) -> Step:
    return Step(call, (Hangup(call.id),))


def _undialed_while_hanging_up(call: Call, event: ev.OriginateLost, now: float) -> Step:
    if event.stage == "not_sent":
        return end_hanging_up(call, None, now)
    return Step(call, (Ask(call.id), Hangup(call.id)))


def _refused_while_hanging_up(call: Call, _event: object, now: float) -> Step:
    return end_hanging_up(call, None, now)


def _gone_while_hanging_up(call: Call, _event: object, now: float) -> Step:
    return end_hanging_up(call, None, now, certain=call.dialed_at is not None)


# ── timers, recovery, and what may overtake what ──────────────────────────────────────────────────────


def _timer(call: Call, event: ev.TimerFired, now: float) -> Step:
    due = call.timers.get(event.timer)
    if due is None or now < due:  # set anew, or cleared, while it was on its way
        return Step(call)
    match event.timer:
        case "ask":
            return _ask_again(call, now)
        case "hangup":
            return _hang_up_again(call, now)
        case "ring":
            return hang_up(call, "ring_timeout", now)
        case "duration":
            return hang_up(call, "max_duration", now)
        case "ready":
            return hang_up(call, "not_ready", now)
        case "digits":
            return digits_over(call, now)
        case _:
            return hang_up(call, "play_failed", now)


def _alive(call: Call, event: ev.Alive, now: float) -> Step:
    """The PBX says that the channel lives: catch up with as much as it tells."""
    if event.ready:
        if call.state is State.PLAYING:
            return play_again(call, now)
        return _catch_up(call, ev.Ready(), now)
    if event.up:
        return _catch_up(call, ev.Answered(), now)
    if event.ringing:
        return _catch_up(call, ev.Ringing(), now)
    return _catch_up(call, ev.Accepted(), now)


_BEFORE_ACCEPT: Final = (State.PLANNED, State.LOST)
_BEFORE_ANSWER: Final = (*_BEFORE_ACCEPT, State.DIALING, State.RINGING)


def _catch_up(call: Call, event: ev.Accepted | ev.Ringing | ev.Answered | ev.Ready, now: float) -> Step:
    """Take an event that overtook others: first what it proves, then what it says."""
    commands, facts = list[Command](), list[Fact]()
    todo: list[tuple[Handler, bool]] = [
        (_accepted, call.state in _BEFORE_ACCEPT),
        (
            _ringing,
            isinstance(event, ev.Ringing) and call.ringing_at is None and call.state in _BEFORE_ANSWER,
        ),
        (_answered, isinstance(event, ev.Answered | ev.Ready) and call.state in _BEFORE_ANSWER),
        (_ready, isinstance(event, ev.Ready) and call.state is not State.PLAYING),
    ]
    for handler, wanted in todo:
        if wanted:
            call, more, new = handler(call, event, now)
            commands.extend(more)
            facts.extend(new)
    return Step(call, tuple(commands), tuple(facts))


def _without(call: Call, timer: str) -> dict[str, float]:
    return {name: at for name, at in call.timers.items() if name != timer}


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────

TABLE: Final[Mapping[State, Mapping[type[ev.Event], Handler]]] = {
    State.NEW: {
        ev.Planned: _plan,
    },
    State.PLANNED: {
        ev.Accepted: _accepted,
        ev.Refused: _refused,
        ev.OriginateLost: _originate_lost,
        ev.Ringing: _catch_up,
        ev.Dialed: _dial_status,
        ev.Answered: _catch_up,
        ev.Ready: _catch_up,
        ev.Ended: ended_before_answer,
        ev.Alive: _alive,
        ev.Gone: end_unknown,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.LOST: {
        ev.Accepted: _accepted,
        ev.Refused: _refused,
        ev.Ringing: _catch_up,
        ev.Dialed: _dial_status,
        ev.Answered: _catch_up,
        ev.Ready: _catch_up,
        ev.Ended: ended_before_answer,
        ev.Alive: _alive,
        ev.Gone: end_unknown,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.DIALING: {
        ev.Ringing: _ringing,
        ev.Dialed: _dial_status,
        ev.Answered: _answered,
        ev.Ready: _catch_up,
        ev.Ended: ended_before_answer,
        ev.Alive: _alive,
        ev.Gone: gone_before_answer,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.RINGING: {
        ev.Dialed: _dial_status,
        ev.Answered: _answered,
        ev.Ready: _catch_up,
        ev.Ended: ended_before_answer,
        ev.Alive: _alive,
        ev.Gone: gone_before_answer,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.ANSWERED: {
        ev.Ready: _ready,
        ev.Digit: digit,
        ev.HangupRequested: _others_hang_up,
        ev.Ended: ended_after_answer,
        ev.Alive: _alive,
        ev.Gone: gone_after_answer,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.PLAYING: {
        ev.PlayRefused: play_refused,
        ev.PlayStarted: play_started,
        ev.PlayFinished: play_finished,
        ev.Digit: digit,
        ev.HangupRequested: _others_hang_up,
        ev.Ended: ended_after_answer,
        ev.Alive: _alive,
        ev.Gone: gone_after_answer,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.COLLECTING: {
        ev.Digit: digit_after,
        ev.HangupRequested: _others_hang_up,
        ev.Ended: ended_after_answer,
        ev.Alive: alive_collecting,
        ev.Gone: gone_after_answer,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.HELD: {
        ev.HangupRequested: _others_hang_up,
        ev.Ended: ended_after_answer,
        ev.Gone: gone_after_answer,
        ev.CancelRequested: _cancel,
        ev.TimerFired: _timer,
    },
    State.HANGING_UP: {
        ev.Accepted: _hang_up_once_more,
        ev.Refused: _refused_while_hanging_up,
        ev.OriginateLost: _undialed_while_hanging_up,
        ev.HangupRefused: _hangup_refused,
        ev.Ready: _hang_up_once_more,
        ev.Ended: ended_hanging_up,
        ev.Alive: _hang_up_once_more,
        ev.Gone: _gone_while_hanging_up,
        ev.TimerFired: _timer,
    },
    State.ENDED: {
        # Only a call that we gave up on can still show life; nobody may be left listening to silence.
        ev.Accepted: _hang_up_once_more,
        ev.Ready: _hang_up_once_more,
        ev.Alive: _hang_up_once_more,
    },
}
