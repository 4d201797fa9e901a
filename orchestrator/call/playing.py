"""What an answered call does: prompts one after the other, and the keys that are pressed at them.

A call's prompts are numbered from 1, in the order in which they are played. A code has one for each play. A
notice has its gate first, if it has one, then its items, as often as the notice is played; at some of them
keys are asked for: while the prompt plays, and for a while after it.
"""

from typing import Final

from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.commands import Hangup, Play, StopPlay
from orchestrator.call.facts import Collected, PlayBegan, PlayDone, Pressed
from orchestrator.call.state import (
    HANGUP_RETRY,
    PLAY_MARGIN,
    PLAY_START_TIMEOUT,
    SPARE_KEY,
    Call,
    State,
    Step,
    Why,
)

_KEYS: Final = frozenset("0123456789*#")


def prompts(call: Call) -> int:
    """How many prompts the call has in all."""
    if call.notice is None:
        return call.plays
    return call.plays * len(call.notice.collects) + (call.notice.gate is not None)


def _item(call: Call) -> int:
    """Which item of the notice the present prompt is, counted through all its plays from 1; 0 at the gate."""
    assert call.notice is not None  # noqa: S101 - asked of notices only
    return call.play - (call.notice.gate is not None)


def _asking(call: Call) -> int:
    """Which of the items asks for keys now, from 1."""
    assert call.notice is not None  # noqa: S101 - only a notice collects
    return (_item(call) - 1) % len(call.notice.collects) + 1


def _asked(call: Call) -> ev.Collect | ev.Gate | None:
    """The keys that are asked for at the present prompt; before the first one, none."""
    notice = call.notice
    if notice is None or call.play == 0:
        return None
    item = _item(call)
    return notice.gate if item == 0 else notice.collects[(item - 1) % len(notice.collects)]


def _heard(call: Call) -> int:
    """How many plays are whole once the present prompt was heard."""
    return call.play if call.notice is None else _item(call) // len(call.notice.collects)


# ── prompts ──


def hang_up(call: Call, why: Why, now: float) -> Step:
    call = replace(call, state=State.HANGING_UP, why=why, tries=1, timers={"hangup": now + HANGUP_RETRY})
    return Step(call, (Hangup(call.id),))


def play_next(call: Call, now: float) -> Step:
    timers = {name: at for name, at in call.timers.items() if name != "digits"}
    if call.play >= prompts(call):
        if call.hold:
            return Step(replace(call, state=State.HELD, timers=timers))
        return hang_up(call, "done", now)
    call = replace(
        call,
        state=State.PLAYING,
        play=call.play + 1,
        replays=0,
        asked=0,
        digits="",
        timers={**timers, "play": now + PLAY_START_TIMEOUT},
    )
    return Step(call, (Play(call.id, call.playback, call.play),))


def play_started(call: Call, event: ev.PlayStarted, now: float) -> Step:
    if event.playback != call.playback:
        return Step(call)
    call = replace(call, timers={**call.timers, "play": now + call.play_seconds + PLAY_MARGIN})
    return Step(call, (), (PlayBegan(now, call.play),))


def play_finished(call: Call, event: ev.PlayFinished, now: float) -> Step:
    if event.playback != call.playback:
        return Step(call)
    if not event.ok:
        return hang_up(call, "play_failed", now)
    done = PlayDone(now, call.play)
    asked = _asked(call)
    if asked is not None:
        return Step(_listening(call, asked, now), (), (done,))
    timers = {name: at for name, at in call.timers.items() if name != "play"}
    after = play_next(replace(call, plays_completed=_heard(call), timers=timers), now)
    return Step(after.call, after.commands, (done, *after.facts))


def play_refused(call: Call, event: ev.PlayRefused, now: float) -> Step:
    # 404: the channel went while we asked; its end is on the way and tells more than we can.
    # 0: the request was lost, mostly with its connection. The next connection finds the call alive and begins
    # the play anew; should none come in time, the play's timer ends the call.
    if event.playback != call.playback or event.status in (0, 404):
        return Step(call)
    return hang_up(call, "play_failed", now)


def play_again(call: Call, now: float) -> Step:
    """Nobody looked: whether the playback still runs is unknown, so the interrupted play starts anew."""
    old = call.playback
    call = replace(call, replays=call.replays + 1, timers={**call.timers, "play": now + PLAY_START_TIMEOUT})
    return Step(call, (StopPlay(call.id, old), Play(call.id, call.playback, call.play)))


# ── keys ──


def digit(call: Call, event: ev.Digit, now: float) -> Step:
    """A key while the prompt plays. One that is asked for ends the prompt: who knows it need not wait."""
    asked = _asked(call)
    if asked is None:
        return Step(call, (), (Pressed(now),))
    after = _pressed(call, asked, event.digit, now)
    if after.call is call:
        return after
    return Step(after.call, (StopPlay(call.id, call.playback), *after.commands), after.facts)


def digit_after(call: Call, event: ev.Digit, now: float) -> Step:
    """A key after the prompt."""
    asked = _asked(call)
    return Step(call) if asked is None else _pressed(call, asked, event.digit, now)


def _pressed(call: Call, asked: ev.Collect | ev.Gate, key: str, now: float) -> Step:
    """What a key means; the same call for one that means nothing here."""
    if isinstance(asked, ev.Gate):
        return play_next(call, now) if key == asked.digit else Step(call)
    by_habit = key in (call.spare, asked.terminator) and not call.digits and now < call.spare_until
    if key not in _KEYS or by_habit:
        return Step(call)
    if key == asked.replay_on and not call.digits:
        return Step(call) if call.asked >= asked.max_replays else _ask_again(call, now)
    if key == asked.terminator:
        return _collected(call, now, complete=call.digits != "")
    call = replace(call, digits=call.digits + key, collected=call.collected + 1)
    if len(call.digits) >= asked.max_digits:
        # Many press the terminator by habit. It must not end the next item's input.
        call = replace(call, spare=asked.terminator, spare_until=now + SPARE_KEY)
        return _collected(call, now, complete=True)
    return Step(_listening(call, asked, now))


def _listening(call: Call, asked: ev.Collect | ev.Gate, now: float) -> Call:
    """The call, waiting for the next key; the prompt is over, by itself or by a key."""
    heard = max(call.plays_completed, _heard(call))
    return replace(
        call, state=State.COLLECTING, plays_completed=heard, timers=_waiting(call, now + asked.timeout)
    )


def _waiting(call: Call, until: float) -> dict[str, float]:
    return {**{name: at for name, at in call.timers.items() if name != "play"}, "digits": until}


def _ask_again(call: Call, now: float) -> Step:
    """The same prompt once more."""
    timers = {name: at for name, at in call.timers.items() if name != "digits"}
    call = replace(
        call,
        state=State.PLAYING,
        asked=call.asked + 1,
        replays=call.replays + 1,
        timers={**timers, "play": now + PLAY_START_TIMEOUT},
    )
    return Step(call, (Play(call.id, call.playback, call.play),))


def _collected(call: Call, now: float, *, complete: bool) -> Step:
    fact = Collected(now, _asking(call), call.digits, complete)
    after = play_next(replace(call, plays_completed=max(call.plays_completed, _heard(call))), now)
    return Step(after.call, after.commands, (fact, *after.facts))


def unfinished(call: Call, after: Step, now: float) -> Step:
    """Keys that were pressed before the call broke off within an input are told all the same."""
    over = after.call.state in (State.HANGING_UP, State.ENDED)
    if not over or not call.digits or any(isinstance(fact, Collected) for fact in after.facts):
        return after
    told = Collected(now, _asking(call), call.digits, complete=False)
    return Step(after.call, after.commands, (told, *after.facts))


def digits_over(call: Call, now: float) -> Step:
    """No key came in time."""
    asked = _asked(call)
    if isinstance(asked, ev.Gate):
        return hang_up(call, "not_confirmed", now) if call.asked + 1 >= asked.plays else _ask_again(call, now)
    return _collected(call, now, complete=False)


def alive_collecting(call: Call, event: ev.Alive, now: float) -> Step:
    """Nobody heard the keys that were pressed meanwhile: whoever was on the way gets the whole time anew."""
    asked = _asked(call)
    if not event.ready or asked is None:
        return Step(call)
    return Step(replace(call, timers=_waiting(call, now + asked.timeout)))
