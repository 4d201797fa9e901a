"""The call machine: every pair of state and event, and every order, loss and duplication of events."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.call import events as ev
from orchestrator.call.commands import Ask, Command, Hangup, Originate, Play, StopPlay
from orchestrator.call.facts import (
    Answer,
    Collected,
    Dialing,
    Fact,
    Over,
    PlayBegan,
    PlayDone,
    Rings,
    Undialed,
)
from orchestrator.call.machine import TABLE, next_timer, replay, step
from orchestrator.call.outcome import Outcome
from orchestrator.call.playing import prompts
from orchestrator.call.state import HANGUP_TRIES, Call, State
from tests.call.strategies import BY_TYPE, CALL, NOTICE, PLANNED, any_event, steps

T0 = 1_000.0


def run(
    *script: ev.CallEvent, gap: float = 0.5, planned: ev.Planned = PLANNED, new: Call | None = None
) -> tuple[Call, list[Command], list[Fact]]:
    """A planned call fed with `script`, one event every `gap` seconds."""
    call, commands, facts = step(new or Call(id=CALL), planned, T0)
    all_commands, all_facts, now = list(commands), list(facts), T0
    for event in script:
        now += gap
        call, commands, facts = step(call, event, now)
        all_commands += commands
        all_facts += facts
    return call, all_commands, all_facts


def over(facts: list[Fact]) -> Over:
    found = [fact for fact in facts if isinstance(fact, Over)]
    assert len(found) == 1
    return found[0]


OF_TWO_LEGS = {ev.Bridged, ev.BridgeRefused, ev.RecordingStarted, ev.RecordingFinished, ev.OfCallee}
ANSWER = (ev.Accepted(), ev.Ringing(), ev.Answered(), ev.Ready())
FIRST = (ev.PlayStarted(f"{CALL}-1"), ev.PlayFinished(f"{CALL}-1"))
SECOND = (ev.PlayStarted(f"{CALL}-2"), ev.PlayFinished(f"{CALL}-2"))

WAYS: dict[State, tuple[ev.CallEvent, ...]] = {
    State.PLANNED: (),
    State.LOST: (ev.OriginateLost("unconfirmed"),),
    State.DIALING: (ev.Accepted(),),
    State.RINGING: (ev.Accepted(), ev.Ringing()),
    State.ANSWERED: (ev.Accepted(), ev.Ringing(), ev.Answered()),
    State.PLAYING: ANSWER,
    State.COLLECTING: (*ANSWER, *FIRST),
    State.HELD: (*ANSWER, *FIRST, *SECOND),
    State.HANGING_UP: (*ANSWER, *FIRST, *SECOND),
    State.ENDED: (*ANSWER, *FIRST, *SECOND, ev.Ended(16)),
}


def call_in(state: State) -> Call:
    if state is State.NEW:
        return Call(id=CALL)
    return run(
        *WAYS[state],
        planned=NOTICE if state is State.COLLECTING else PLANNED,
        new=Call(id=CALL, hold=state is State.HELD),
    )[0]


# ── whole calls ──


def test_a_call_heard_to_its_end_is_completed_and_hung_up_by_us() -> None:
    call, commands, facts = run(*ANSWER, *FIRST, *SECOND, ev.HangupRequested(by_us=True), ev.Ended(16))
    assert call.state is State.ENDED
    assert commands == [
        Originate(CALL, "+12025550100", None, 30.0),
        Play(CALL, f"{CALL}-1", 1),
        Play(CALL, f"{CALL}-2", 2),
        Hangup(CALL),
    ]
    assert [type(fact) for fact in facts] == [
        Dialing,
        Rings,
        Answer,
        PlayBegan,
        PlayDone,
        PlayBegan,
        PlayDone,
        Over,
    ]
    end = over(facts)
    assert (end.outcome, end.cause, end.plays_completed, end.hung_up_by) == (
        Outcome.COMPLETED,
        16,
        2,
        "orchestrator",
    )
    assert end.ring_seconds == pytest.approx(0.5)
    assert end.talk_seconds == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("script", "outcome", "by"),
    [
        ((ev.Accepted(), ev.Dialed("BUSY"), ev.Ended(17, 486)), Outcome.BUSY, "callee"),
        ((ev.Accepted(), ev.Dialed("NOANSWER"), ev.Ended(21, 603)), Outcome.REJECTED, "callee"),
        ((ev.Accepted(), ev.Dialed("NOANSWER"), ev.Ended(1, 404)), Outcome.INVALID_NUMBER, "network"),
        ((ev.Accepted(), ev.Dialed("CONGESTION"), ev.Ended(34, 503)), Outcome.CONGESTED, "network"),
        ((ev.Refused(500, "Allocation failed"),), Outcome.FAILED, "network"),
        ((ev.Refused(503, "overload"),), Outcome.CONGESTED, "network"),
        ((*ANSWER, ev.HangupRequested(by_us=False), ev.Ended(16)), Outcome.HUNG_UP_EARLY, "callee"),
        ((*ANSWER, ev.Ended(16)), Outcome.HUNG_UP_EARLY, "callee"),
        ((*ANSWER, ev.HangupRequested(by_us=True), ev.Ended(16)), Outcome.FAILED, "network"),
        ((*ANSWER, ev.Ended(38)), Outcome.FAILED, "network"),
        ((*ANSWER, *FIRST, ev.HangupRequested(by_us=False), ev.Ended(16)), Outcome.COMPLETED, "callee"),
        ((*ANSWER, ev.PlayFinished(f"{CALL}-1", ok=False), ev.Ended(16)), Outcome.FAILED, "orchestrator"),
        ((*ANSWER, ev.PlayRefused(f"{CALL}-1", 500, "x"), ev.Ended(16)), Outcome.FAILED, "orchestrator"),
        ((*ANSWER, ev.CancelRequested(), ev.Ended(16)), Outcome.CANCELLED, "orchestrator"),
        ((ev.Accepted(), ev.CancelRequested(), ev.Ended(0)), Outcome.CANCELLED, "orchestrator"),
        ((ev.CancelRequested(), ev.OriginateLost("not_sent")), Outcome.CANCELLED, "orchestrator"),
        ((ev.CancelRequested(), ev.Refused(500, "x")), Outcome.CANCELLED, "orchestrator"),
        ((*ANSWER, *FIRST, *SECOND, ev.CancelRequested(), ev.Ended(16)), Outcome.COMPLETED, "orchestrator"),
        ((*ANSWER, *FIRST, ev.Gone()), Outcome.COMPLETED, None),
        ((*ANSWER, ev.Gone()), Outcome.FAILED, None),
        ((ev.Accepted(), ev.Gone()), Outcome.FAILED, None),
    ],
)
def test_a_call_ends_as_its_story_says(
    script: tuple[ev.CallEvent, ...], outcome: Outcome, by: str | None
) -> None:
    call, _, facts = run(*script)
    assert call.state is State.ENDED
    assert (over(facts).outcome, over(facts).hung_up_by) == (outcome, by)


def test_a_playback_cut_short_by_the_callee_does_not_count_as_heard() -> None:
    """Asterisk finishes the playback when the channel hangs up; the request to hang up comes before it."""
    _, commands, facts = run(
        *ANSWER,
        ev.PlayStarted(f"{CALL}-1"),
        ev.HangupRequested(by_us=False, cause=16),
        ev.PlayFinished(f"{CALL}-1"),
        ev.Ended(16),
    )
    assert over(facts).plays_completed == 0
    assert not any(isinstance(command, Hangup) for command in commands)


def test_early_media_counts_as_ringing_and_says_so() -> None:
    _, _, facts = run(ev.Accepted(), ev.Ringing(early_media=True), ev.Ringing())
    assert [fact for fact in facts if isinstance(fact, Rings)] == [Rings(T0 + 1.0, early_media=True)]


def test_an_answer_without_ringing_is_no_error() -> None:
    _, _, facts = run(ev.Accepted(), ev.Answered(), ev.Ready())
    assert Answer(T0 + 1.0, 0.0) in facts


def test_an_event_that_overtakes_the_acceptance_proves_it() -> None:
    _, commands, facts = run(ev.Ready(), ev.Accepted(), ev.Answered())
    assert [type(fact) for fact in facts] == [Dialing, Answer]
    assert sum(isinstance(command, Play) for command in commands) == 1


# ── what was lost on the way ──


def test_an_originate_that_never_left_gives_the_attempt_back() -> None:
    call, _, facts = run(ev.OriginateLost("not_sent"))
    assert call == Call(id=CALL)
    assert facts == [Undialed(T0 + 0.5)]


def test_an_unconfirmed_originate_is_asked_about_and_adopted_when_alive() -> None:
    call, commands, facts = run(
        ev.OriginateLost("unconfirmed"), ev.Alive(ringing=True, up=False, ready=False)
    )
    assert commands[-1] == Ask(CALL)
    assert call.state is State.RINGING
    assert [type(fact) for fact in facts] == [Dialing, Rings]


def test_an_unconfirmed_originate_without_a_channel_ends_uncertain_so_that_nobody_rings_twice() -> None:
    _, _, facts = run(ev.OriginateLost("unconfirmed"), ev.Gone())
    assert over(facts).outcome is Outcome.FAILED
    assert over(facts).certain is False


def test_a_call_given_up_that_shows_life_again_is_hung_up() -> None:
    _, commands, _ = run(ev.OriginateLost("unconfirmed"), ev.Gone(), ev.Ready())
    assert commands[-1] == Hangup(CALL)


def test_a_play_nobody_watched_starts_anew_under_another_id() -> None:
    call, commands, _ = run(*ANSWER, ev.Alive(ringing=False, up=True, ready=True))
    assert commands[-2:] == [StopPlay(CALL, f"{CALL}-1"), Play(CALL, f"{CALL}-1r1", 1)]
    call, _, facts = step(call, ev.PlayFinished(f"{CALL}-1"), T0 + 9)
    assert not facts
    _, _, facts = step(call, ev.PlayFinished(f"{CALL}-1r1"), T0 + 9)
    assert facts == (PlayDone(T0 + 9, 1),)


def test_a_play_that_was_lost_with_its_connection_begins_anew_over_the_next_one() -> None:
    call, commands, _ = run(
        *ANSWER,
        ev.PlayRefused(f"{CALL}-1", 0, "not connected"),
        ev.Alive(ringing=False, up=True, ready=True),
    )
    assert (call.state, commands[-1]) == (State.PLAYING, Play(CALL, f"{CALL}-1r1", 1))


def test_a_play_that_was_lost_and_never_asked_for_again_ends_the_call() -> None:
    call, commands, _ = fire(run(*ANSWER, ev.PlayRefused(f"{CALL}-1", 0, "not connected"))[0])
    assert (call.why, commands) == ("play_failed", (Hangup(CALL),))


# ── a leg of a callback ──


def test_a_leg_is_held_when_its_prompts_are_done_and_ends_with_whoever_hangs_up() -> None:
    call, commands, facts = run(*ANSWER, *FIRST, *SECOND, new=Call(id=CALL, leg="caller", hold=True))
    assert (call.state, list(call.timers)) == (State.HELD, ["duration"])
    assert not any(isinstance(command, Hangup) for command in commands)
    assert [fact.leg for fact in facts if isinstance(fact, Dialing | Rings | Answer)] == ["caller"] * 3
    end = step(call, ev.Ended(16), T0 + 60).facts[0]
    assert isinstance(end, Over)
    assert (end.outcome, end.reason, end.hung_up_by, end.leg) == (
        Outcome.HUNG_UP_EARLY,
        "the caller hung up",
        "caller",
        "caller",
    )


def test_a_leg_without_prompts_is_held_as_soon_as_it_is_ours() -> None:
    silent = msgspec.structs.replace(PLANNED, plays=0)
    assert run(*ANSWER, planned=silent, new=Call(id=CALL, hold=True))[0].state is State.HELD


# ── timers ──


def fire(call: Call) -> tuple[Call, tuple[Command, ...], tuple[Fact, ...]]:
    timer = next_timer(call)
    assert timer is not None
    return step(call, ev.TimerFired(timer[0]), timer[1])


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (State.DIALING, "ring_timeout"),
        (State.RINGING, "ring_timeout"),
        (State.ANSWERED, "not_ready"),
        (State.PLAYING, "play_failed"),
    ],
)
def test_a_state_that_lasts_too_long_ends_in_a_hang_up(state: State, why: str) -> None:
    call, commands, _ = fire(call_in(state))
    assert (call.state, call.why, commands) == (State.HANGING_UP, why, (Hangup(CALL),))


def test_a_long_call_is_ended_at_its_longest_duration() -> None:
    call = call_in(State.PLAYING)
    call, commands, _ = step(call, ev.TimerFired("duration"), T0 + 1.5 + 120.0)
    assert (call.why, commands) == ("max_duration", (Hangup(CALL),))


def test_a_timer_that_was_set_anew_does_not_fire() -> None:
    call = call_in(State.PLAYING)
    assert step(call, ev.TimerFired("play"), T0 + 2.1).call is call


def test_a_hang_up_that_nobody_confirms_is_asked_for_again_and_then_given_up() -> None:
    call = call_in(State.HANGING_UP)
    asked = 1
    while call.state is not State.ENDED:
        call, commands, facts = fire(call)
        asked += Hangup(CALL) in commands
    assert asked == HANGUP_TRIES
    assert over(list(facts)).outcome is Outcome.COMPLETED


# ── every pair, and every order ──


@given(st.data())
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("kind", list(BY_TYPE))
def test_every_pair_of_state_and_event_is_either_in_the_table_or_changes_nothing(
    state: State, kind: type[ev.Event], data: st.DataObject
) -> None:
    call = call_in(state)
    assert call.state is state
    event = data.draw(BY_TYPE[kind])
    after = step(call, event, T0 + 30)
    if kind not in TABLE[state]:
        assert after.call is call
        assert not after.commands
        assert not after.facts


def test_the_table_knows_every_state_and_the_strategies_every_event() -> None:
    assert set(TABLE) == set(State)
    assert set(BY_TYPE) | OF_TWO_LEGS == set(get_args(ev.CallEvent))
    assert {kind for row in TABLE.values() for kind in row} == set(BY_TYPE)


@given(steps, st.sampled_from([PLANNED, NOTICE]))
@settings(max_examples=1500, deadline=None)
def test_whatever_comes_in_whatever_order_the_story_stays_true(
    script: list[tuple[ev.CallEvent, float]], planned: ev.Planned
) -> None:
    call, now = Call(id=CALL), T0
    journal: list[tuple[ev.CallEvent, float]] = []
    facts: list[Fact] = []
    dials = undialed = 0
    for event, gap in [(planned, 0.0), *script]:
        now += gap
        before = call
        call, commands, new = step(call, event, now)
        facts += new
        if (call, commands, new) != (before, (), ()):
            journal.append((event, now))
        dials += sum(isinstance(command, Originate) for command in commands)
        undialed += sum(isinstance(fact, Undialed) for fact in new)
        # Law 1: never a second originate but for one that never left.
        assert dials <= undialed + 1
        # Every live state has a way out.
        assert (next_timer(call) is None) == (call.state in (State.NEW, State.ENDED))
        # After the end, nothing but hanging up.
        if before.state is State.ENDED:
            assert all(isinstance(command, Hangup) for command in commands)
            assert not new
        assert call.plays_completed <= min(call.play, call.plays)
        assert call.play <= prompts(call)
    since = facts[max((i for i, f in enumerate(facts) if isinstance(f, Undialed)), default=-1) + 1 :]
    for kind in (Dialing, Rings, Answer, Over):
        assert sum(isinstance(fact, kind) for fact in since) <= 1
    order = [
        (Dialing, Rings, Answer, Over).index(type(f))
        for f in since
        if type(f) in (Dialing, Rings, Answer, Over)
    ]
    assert order == sorted(order)
    done = [fact.play for fact in since if isinstance(fact, PlayDone)]
    if planned is PLANNED:
        assert done == list(range(1, len(done) + 1))
    else:  # prompts may be cut short by a key, and are played again when one asks for it
        assert done == sorted(done)
    collected = [fact.item for fact in since if isinstance(fact, Collected)]
    assert len(collected) == len({*collected})
    assert all(fact.at >= T0 for fact in facts)
    # Law 7: the journal of what mattered gives the same call and the same facts again.
    assert replay(CALL, journal) == (call, facts)


@given(steps)
@settings(max_examples=500, deadline=None)
def test_left_alone_every_call_ends(script: list[tuple[ev.CallEvent, float]]) -> None:
    call, now = step(Call(id=CALL), PLANNED, T0).call, T0
    for event, gap in script:
        now += gap
        call = step(call, event, now).call
    for _ in range(100):
        timer = next_timer(call)
        if timer is None:
            break
        now = max(now, timer[1])
        call = step(call, ev.TimerFired(timer[0]), now).call
    assert call.state in (State.NEW, State.ENDED)


@given(st.lists(any_event, max_size=12))
@settings(max_examples=300, deadline=None)
def test_doubling_every_event_rings_nobody_twice(script: list[ev.CallEvent]) -> None:
    doubled = [event for event in script for _ in range(2) if not isinstance(event, ev.Planned)]
    _, commands, facts = run(*doubled)
    assert sum(isinstance(command, Originate) for command in commands) == 1
    assert sum(isinstance(fact, Over) for fact in facts) <= 1
