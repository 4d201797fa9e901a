"""Callbacks: every pair of phase and event, and every order, loss and duplication of events of both legs."""

from functools import cache
from typing import cast, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.call import events as ev
from orchestrator.call.callback import MOVES, OWN, advance, replay
from orchestrator.call.commands import Bridge, Commit, Hangup, Originate, Record
from orchestrator.call.conversation import Conversation, Phase, Recording, new_conversation
from orchestrator.call.facts import Answer, Connected, Dialing, Fact, NotRecorded, Over, Rings, Undialed
from orchestrator.call.machine import next_timer
from orchestrator.call.outcome import Outcome
from orchestrator.call.state import State
from tests.call.callbacks import ANSWER, CALL, PLAIN, PLANNED, T0, TO, Story
from tests.call.strategies import BY_TYPE

playbacks = st.sampled_from([f"{CALL}-{n}" for n in ("1", "1r1", "2", "2r1", "3", "4", "5", "6", "ringback")])
recordings = st.sampled_from([CALL, CALL, CALL, "another"])
timers = st.sampled_from(
    [
        *(
            f"{leg}:{name}"
            for leg in ("caller", "callee")
            for name in ("ring", "ask", "ready", "play", "hangup")
        ),
        *("caller:duration", "callee:duration", "nobody:ring"),
        *("bridge", "play", "record", "recording", "duration", "warning", "unknown"),
    ]
)

LEG: dict[type[ev.Event], st.SearchStrategy[ev.LegEvent]] = {
    **{
        kind: cast("st.SearchStrategy[ev.LegEvent]", events)
        for kind, events in BY_TYPE.items()
        if kind is not ev.Planned
    },
    ev.PlayRefused: st.builds(
        ev.PlayRefused, playback=playbacks, status=st.sampled_from([0, 404, 500]), reason=st.just("no")
    ),
    ev.PlayStarted: st.builds(ev.PlayStarted, playback=playbacks),
    ev.PlayFinished: st.builds(ev.PlayFinished, playback=playbacks, ok=st.booleans()),
    ev.TimerFired: st.builds(ev.TimerFired, timer=timers),
    ev.Bridged: st.just(ev.Bridged()),
    ev.BridgeRefused: st.builds(
        ev.BridgeRefused, status=st.sampled_from([0, 404, 500]), reason=st.just("no")
    ),
    ev.RecordingStarted: st.builds(ev.RecordingStarted, recording=recordings),
    ev.RecordingFinished: st.builds(ev.RecordingFinished, recording=recordings, ok=st.booleans()),
}
likely: st.SearchStrategy[ev.LegEvent] = st.sampled_from(
    [*ANSWER, *ANSWER, ev.PlayFinished("c1-1"), ev.PlayFinished("c1-2")]
)
"""What gets a leg on: drawn at random alone, few callbacks would come far."""
of_a_leg = st.one_of(*LEG.values(), likely, likely)
any_event: st.SearchStrategy[ev.CallEvent] = st.one_of(
    of_a_leg,
    st.sampled_from([ev.Bridged(), ev.RecordingStarted(CALL)]),
    st.builds(ev.OfCallee, event=of_a_leg),
    st.builds(ev.OfCallee, event=likely),
)
LATER = "then"
"""The moment at which what was committed comes back; it may come twice, or never."""
CALLEE_ANSWERS = tuple(ev.OfCallee(event) for event in ANSWER)
WAYS: dict[str, tuple[ev.CallEvent, ...]] = {
    "new": (),
    "answered": (*ANSWER, ev.PlayFinished("c1-1")),
    "both": (*ANSWER, ev.PlayFinished("c1-1"), *CALLEE_ANSWERS),
    "talking": (*ANSWER, ev.PlayFinished("c1-1"), *CALLEE_ANSWERS, ev.Bridged()),
}
scripts = st.tuples(
    st.sampled_from(list(WAYS)),
    st.lists(
        st.tuples(st.one_of(any_event, any_event, any_event, st.just(LATER)), st.floats(0.0, 40.0)),
        max_size=30,
    ),
)
"""How far it came in good order, and what came then, each with the seconds since the one before it."""


@cache
def phases() -> dict[Phase, Conversation]:
    """A conversation in each phase."""
    talking = Story(PLANNED).recorded()
    told = Story(PLANNED).answered().callee(ev.Refused(500, "x"))
    of = {
        Phase.CALLER: Story(PLANNED).feed(*ANSWER),
        Phase.CALLEE: Story(PLANNED).answered(),
        Phase.JOINING: Story(PLANNED).answered().callee(*ANSWER),
        Phase.ANNOUNCING: Story(PLANNED).connected(),
        Phase.TALKING: talking,
        Phase.TELLING: told,
        Phase.CLOSING: Story(PLANNED).recorded().feed(ev.Ended(16)),
        Phase.OVER: Story(PLAIN).connected().ended(),
    }
    return {phase: story.it for phase, story in of.items()}


def check(conversation: Conversation) -> None:
    """What is true of every conversation."""
    if conversation.caller.state is State.NEW:
        return
    # Every live one has a way out, and one that is over has none left.
    over = conversation.phase is Phase.OVER
    assert (next_timer(conversation) is None) is over
    assert (conversation.state is State.ENDED) is over
    if over:
        assert conversation.caller.state is State.ENDED
        assert conversation.callee.state in (State.NEW, State.ENDED)
    if conversation.callee.state is not State.NEW:
        assert conversation.answered_at is not None
    if conversation.recording is not Recording.NONE:
        assert conversation.connected_at is not None


@given(st.data())
@settings(max_examples=5, deadline=None)
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", list(LEG))
@pytest.mark.parametrize("of_callee", [False, True])
def test_every_pair_of_phase_and_event_leaves_a_conversation_that_can_go_on(
    phase: Phase, kind: type[ev.Event], of_callee: bool, data: st.DataObject
) -> None:
    before = phases()[phase]
    assert before.phase is phase
    event = data.draw(LEG[kind])
    after, commands, facts = advance(before, ev.OfCallee(event) if of_callee else event, T0 + 40)
    check(after)
    assert list(Phase).index(after.phase) >= list(Phase).index(phase)
    if phase is Phase.OVER:
        assert after is before
        assert not facts
        assert all(isinstance(command, Hangup) for command in commands)


def test_the_tables_know_every_phase_and_the_strategies_every_event() -> None:
    assert set(MOVES) == set(OWN) == set(Phase)
    assert {*LEG, ev.Planned} == set(get_args(ev.LegEvent))


@given(scripts, st.sampled_from([PLANNED, PLAIN]))
@settings(max_examples=600, deadline=None)
def test_whatever_comes_in_whatever_order_the_story_of_both_stays_true(
    script: tuple[str, list[tuple[ev.CallEvent | str, float]]], planned: ev.Planned
) -> None:
    way, rest = script
    it, now = new_conversation(CALL), T0
    journal: list[tuple[ev.CallEvent, float]] = []
    facts: list[Fact] = []
    dials: list[str] = []
    commits: list[ev.CallEvent] = []
    hung_up: set[str] = set()
    start: list[tuple[ev.CallEvent | str, float]] = [(event, 0.1) for event in WAYS[way]]
    for what, gap in [(planned, 0.0), *start, *rest]:
        now += gap
        for event in commits if isinstance(what, str) else [what]:
            before = it
            it, commands, new = advance(before, event, now)
            facts += new
            if it is not before or commands or new:
                journal.append((event, now))
            for command in commands:
                match command:
                    case Commit(then=then):
                        assert before.caller.state is not State.HELD
                        commits.append(then)
                    case Originate(channel=channel):
                        dials.append(channel)
                        # Nobody is dialled whose intent did not come back.
                        assert channel == CALL or event in commits
                        assert channel == CALL or it.answered_at is not None
                    case Hangup(channel=channel):
                        hung_up.add(channel)
                    case Bridge():
                        assert State.HELD in (it.caller.state, it.callee.state)
                    case Record():
                        assert before.phase in (Phase.ANNOUNCING, Phase.TALKING)
                    case _:
                        pass
            check(it)
            if before.phase is Phase.OVER:
                assert not new
                assert all(isinstance(command, Hangup) for command in commands)
    undialed = sum(isinstance(fact, Undialed) for fact in facts)
    # Law 1: never a second originate of a leg, but for one that never left.
    assert dials.count(CALL) <= undialed + 1
    assert dials.count(TO) <= 1
    since = facts[max((i for i, f in enumerate(facts) if isinstance(f, Undialed)), default=-1) + 1 :]
    for kind in (Dialing, Rings, Answer):
        for leg in ("caller", "callee"):
            assert sum(isinstance(fact, kind) and fact.leg == leg for fact in since) <= 1
    assert sum(isinstance(fact, Connected) for fact in since) <= 1
    assert sum(isinstance(fact, NotRecorded) for fact in since) <= 1
    overs = [fact for fact in since if isinstance(fact, Over)]
    assert len(overs) == (it.phase is Phase.OVER)
    for over in overs:
        assert over is since[-1]
        connected = any(isinstance(fact, Connected) for fact in since)
        assert over.outcome in (Outcome.COMPLETED, Outcome.CANCELLED) if connected else True
        assert over.outcome is not Outcome.COMPLETED or connected
        assert over.recording is None or connected
    # Law 7: the journal of what mattered gives the same conversation and the same facts again.
    assert replay(CALL, journal) == (it, facts)
    # The journal is stored: what it holds survives being written and read.
    for event, _ in journal[-3:]:
        assert msgspec.json.decode(msgspec.json.encode(event), type=ev.CallEvent) == event


@given(scripts, st.booleans())
@settings(max_examples=250, deadline=None)
def test_left_alone_every_callback_ends_and_leaves_nobody_on_the_line(
    script: tuple[str, list[tuple[ev.CallEvent | str, float]]], commits: bool
) -> None:
    way, rest = script
    story = Story(PLANNED, commits=commits)
    for event in WAYS[way]:
        story.after(0.1).feed(event)
    for what, gap in rest:
        story.after(gap).feed(*(story.held_back if isinstance(what, str) else [what]))
    for _ in range(150):
        if next_timer(story.it) is None:
            break
        story.wait()
    assert story.it.state in (State.NEW, State.ENDED)
    if story.it.state is State.NEW:
        return
    story.over()
    for leg, over in ((story.it.caller, story.it.caller_over), (story.it.callee, story.it.callee_over)):
        if leg.answered_at is not None and over is not None and not over.certain:
            assert Hangup(leg.id) in story.commands


@given(st.lists(any_event, max_size=12))
@settings(max_examples=300, deadline=None)
def test_doubling_every_event_of_both_rings_nobody_twice(script: list[ev.CallEvent]) -> None:
    story = Story(PLANNED)
    story.feed(*(event for event in script for _ in range(2)))
    originates = [command.channel for command in story.commands if isinstance(command, Originate)]
    assert len(originates) == len(set(originates))
    assert sum(isinstance(fact, Over) for fact in story.facts) <= 1
