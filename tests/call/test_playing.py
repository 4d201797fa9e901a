"""Notices: items one after the other, the keys they ask for, and the gate before them."""

import pytest

from orchestrator.call import events as ev
from orchestrator.call.commands import Command, Hangup, Originate, Play, StopPlay
from orchestrator.call.facts import Collected, Fact, Over
from orchestrator.call.machine import next_timer, step
from orchestrator.call.outcome import Outcome
from orchestrator.call.playing import prompts
from orchestrator.call.state import Call, State

CALL = "c1"
T0 = 1_000.0
ASKS = ev.Collect(max_digits=4)


class Story:
    """A notice that is answered at once; what happens to it, by words."""

    def __init__(self, *collects: ev.Collect | None, gate: ev.Gate | None = None, plays: int = 1) -> None:
        self.call = Call(id=CALL)
        self.commands: list[Command] = []
        self.facts: list[Fact] = []
        self.now = T0
        self.feed(
            ev.Planned(
                pbx="ast1",
                number="+12025550100",
                plays=plays,
                play_seconds=10,
                ring_timeout=30.0,
                max_duration=600.0,
                notice=ev.Notice(collects, gate),
            )
        )
        for event in (ev.Accepted(), ev.Ringing(), ev.Answered(), ev.Ready()):
            self.feed(event)

    def feed(self, event: ev.CallEvent) -> None:
        self.call, commands, facts = step(self.call, event, self.now)
        self.commands += commands
        self.facts += facts

    def hear(self) -> "Story":
        """The prompt that is on begins, lasts three seconds and ends."""
        playback = self.call.playback
        self.feed(ev.PlayStarted(playback))
        self.now += 3
        self.feed(ev.PlayFinished(playback))
        return self

    def press(self, keys: str) -> "Story":
        for key in keys:
            self.now += 0.5
            self.feed(ev.Digit(key))
        return self

    def wait(self) -> "Story":
        """Until the timer that runs out first has."""
        timer = next_timer(self.call)
        assert timer is not None
        self.now = timer[1]
        self.feed(ev.TimerFired(timer[0]))
        return self

    @property
    def played(self) -> list[int]:
        return [command.play for command in self.commands if isinstance(command, Play)]

    @property
    def collected(self) -> list[tuple[int, str, bool]]:
        found = [fact for fact in self.facts if isinstance(fact, Collected)]
        return [(fact.item, fact.digits, fact.complete) for fact in found]

    def over(self) -> Over:
        assert isinstance(self.commands[-1], Hangup)
        self.feed(ev.Ended(16))
        last = self.facts[-1]
        assert isinstance(last, Over)
        return last


def test_the_items_are_played_one_after_the_other_and_as_often_as_asked() -> None:
    story = Story(None, None, plays=2)
    assert prompts(story.call) == 4
    for _ in range(4):
        story.hear()
    assert story.played == [1, 2, 3, 4]
    end = story.over()
    assert (end.outcome, end.plays_completed) == (Outcome.COMPLETED, 2)


def test_one_who_hangs_up_before_the_last_item_was_heard_hung_up_early() -> None:
    story = Story(None, None, None).hear().hear()
    story.feed(ev.Ended(16))
    end = story.facts[-1]
    assert isinstance(end, Over)
    assert (end.outcome, end.plays_completed) == (Outcome.HUNG_UP_EARLY, 0)


def test_the_terminator_ends_the_input() -> None:
    story = Story(ASKS).hear().press("42#")
    assert story.collected == [(1, "42", True)]
    assert story.call.collected == 2
    assert story.over().outcome is Outcome.COMPLETED


def test_as_many_keys_as_were_asked_for_end_the_input_without_a_terminator() -> None:
    story = Story(ASKS, None).hear().press("2345")
    assert story.collected == [(1, "2345", True)]
    assert story.played == [1, 2]


def test_keys_that_do_not_come_in_time_leave_the_input_incomplete_and_the_notice_goes_on() -> None:
    story = Story(ASKS, None).hear().press("23")
    last_key = story.now
    story.wait()
    assert story.now == last_key + ASKS.timeout
    assert story.collected == [(1, "23", False)]
    assert story.played == [1, 2]


def test_the_time_out_begins_at_the_end_of_the_prompt() -> None:
    story = Story(ASKS).hear()
    end_of_prompt = story.now
    story.wait()
    assert story.now == end_of_prompt + 5
    assert story.collected == [(1, "", False)]
    assert story.over().outcome is Outcome.COMPLETED


def test_a_key_that_is_asked_for_interrupts_the_prompt() -> None:
    story = Story(ASKS)
    story.feed(ev.PlayStarted(f"{CALL}-1"))
    story.press("2")
    assert story.commands[-1] == StopPlay(CALL, f"{CALL}-1")
    assert story.call.state is State.COLLECTING
    story.feed(ev.PlayFinished(f"{CALL}-1"))  # the PBX tells of the end that we brought about
    story.press("345")
    assert story.collected == [(1, "2345", True)]
    assert story.over().outcome is Outcome.COMPLETED


def test_a_key_at_an_item_that_asks_for_none_changes_nothing() -> None:
    story = Story(None)
    story.feed(ev.PlayStarted(f"{CALL}-1"))
    story.press("2")
    assert story.call.state is State.PLAYING
    assert not any(isinstance(command, StopPlay) for command in story.commands)


def test_the_replay_key_has_the_prompt_played_again_under_another_id() -> None:
    story = Story(ASKS).hear().press("1")
    assert story.commands[-1] == Play(CALL, f"{CALL}-1r1", 1)
    story.hear().press("42#")
    assert story.collected == [(1, "42", True)]


def test_the_replay_key_interrupts_the_prompt_as_well() -> None:
    story = Story(ASKS).press("1")
    assert story.commands[-2:] == [StopPlay(CALL, f"{CALL}-1"), Play(CALL, f"{CALL}-1r1", 1)]


def test_replays_are_bounded_and_their_key_never_means_anything_else() -> None:
    story = Story(ASKS).hear()
    for _ in range(ASKS.max_replays):
        story.press("1").hear()
    assert story.played == [1, 1, 1]
    story.press("1")
    assert story.played == [1, 1, 1]
    assert story.call.state is State.COLLECTING
    story.press("42#")
    assert story.collected == [(1, "42", True)]


def test_the_replay_key_within_a_number_is_a_digit() -> None:
    assert Story(ASKS).hear().press("2111").collected == [(1, "2111", True)]


@pytest.mark.parametrize(
    "event",
    [
        ev.Ended(16),
        ev.Gone(),
        ev.HangupRequested(by_us=False),
        ev.CancelRequested(),
        ev.TimerFired("duration"),
    ],
)
def test_keys_pressed_before_the_call_broke_off_are_told_once_and_before_its_end(event: ev.LegEvent) -> None:
    story = Story(None, ASKS).hear().hear().press("23")
    if isinstance(event, ev.TimerFired):
        story.now = story.call.timers["duration"]
    story.feed(event)
    story.feed(ev.Ended(16))
    assert story.collected == [(2, "23", False)]
    assert isinstance(story.facts[-1], Over)


def test_whoever_hangs_up_without_a_key_gave_no_input() -> None:
    story = Story(ASKS).hear()
    story.feed(ev.Ended(16))
    assert story.collected == []


def test_each_item_collects_its_own_keys() -> None:
    story = Story(ASKS, None, ev.Collect(1, replay_on=""), ASKS)
    story.hear().press("42#").hear().hear().press("1").hear().press("9#")
    assert story.collected == [(1, "42", True), (3, "1", True), (4, "9", True)]
    assert story.call.collected == 4


@pytest.mark.parametrize("own", ["#", ""])
def test_a_terminator_pressed_by_habit_does_not_reach_the_next_item(own: str) -> None:
    story = Story(ev.Collect(4, terminator=own), ASKS).hear().press("2345#")
    assert story.collected == [(1, "2345", True)]
    assert story.call.state is State.PLAYING  # nor does it interrupt the prompt
    story.hear().press("67#")
    assert story.collected[1:] == [(2, "67", True)]


def test_nor_does_it_become_a_digit_there() -> None:
    story = Story(ASKS, ev.Collect(2, terminator="*")).hear().press("2345#67")
    assert story.collected[1:] == [(2, "67", True)]


def test_a_terminator_long_after_a_full_input_is_the_next_items() -> None:
    story = Story(ASKS, ASKS).hear().press("2345").hear().press("#")
    assert story.collected == [(1, "2345", True), (2, "", False)]


@pytest.mark.parametrize("gate", [None, ev.Gate("5", 3)])
@pytest.mark.parametrize("key", "159#")
def test_a_key_before_the_first_prompt_means_nothing(gate: ev.Gate | None, key: str) -> None:
    call = Call(id=CALL, state=State.ANSWERED, plays=1, notice=ev.Notice((ASKS, None), gate))
    after, commands, facts = step(call, ev.Digit(key), T0)
    assert (after, commands) == (call, ())
    assert not any(isinstance(fact, Collected) for fact in facts)


def test_letters_that_a_telephone_does_not_have_are_no_keys() -> None:
    assert Story(ASKS).hear().press("A2BC#").collected == [(1, "2", True)]


@pytest.mark.parametrize("barge_in", [True, False])
def test_the_gate_opens_for_its_key(barge_in: bool) -> None:
    story = Story(None, gate=ev.Gate("5", 3))
    if not barge_in:
        story.hear()
    story.press("4").press("5")
    assert story.played == [1, 2]
    end = story.hear().over()
    assert (end.outcome, end.plays_completed) == (Outcome.COMPLETED, 1)


def test_nobody_at_the_gate_hears_nothing_of_the_notice() -> None:
    story = Story(None, None, gate=ev.Gate("5", 3, 4.0))
    for _ in range(3):
        story.hear().press("9").wait()
    assert story.played == [1, 1, 1]
    end = story.over()
    assert (end.outcome, end.plays_completed) == (Outcome.NOT_CONFIRMED, 0)
    assert end.hung_up_by == "orchestrator"


def test_a_worker_that_comes_back_gives_whoever_presses_keys_the_whole_time_anew() -> None:
    story = Story(ASKS).hear().press("2")
    story.now += 4.9
    story.feed(ev.Alive(ringing=False, up=True, ready=True))
    story.press("34#")
    assert story.collected == [(1, "234", True)]


def test_a_worker_that_comes_back_in_mid_prompt_plays_it_anew() -> None:
    story = Story(ASKS)
    story.feed(ev.PlayStarted(f"{CALL}-1"))
    story.feed(ev.Alive(ringing=False, up=True, ready=True))
    assert story.commands[-2:] == [StopPlay(CALL, f"{CALL}-1"), Play(CALL, f"{CALL}-1r1", 1)]


def test_cancelling_ends_the_wait_for_keys() -> None:
    story = Story(ASKS).hear()
    story.feed(ev.CancelRequested())
    assert story.over().outcome is Outcome.CANCELLED


def test_a_notice_is_dialled_once() -> None:
    assert sum(isinstance(command, Originate) for command in Story(None).commands) == 1


def test_no_repr_shows_the_keys() -> None:
    assert "42" not in repr(Collected(1.0, 1, "42", True))
