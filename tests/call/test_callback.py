"""Callbacks: two legs, one walk, and every way in which it can go wrong."""

import pytest
from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.commands import (
    Ask,
    Bridge,
    DropBridge,
    Hangup,
    Originate,
    Play,
    PlayBoth,
    Record,
    Ringback,
    StopPlay,
    StopRecording,
)
from orchestrator.call.conversation import BUSY, FAILED, NO_ANSWER, Phase
from orchestrator.call.facts import Answer, Connected, Dialing, NotRecorded, Rings, Undialed
from orchestrator.call.machine import next_timer
from orchestrator.call.outcome import Outcome
from orchestrator.call.state import HANGUP_TRIES, RING_GRACE, State
from tests.call.callbacks import ANSWER, CALL, PLAIN, PLANNED, SECOND, T0, TO, Story

BUSY_CALLEE = (ev.Accepted(), ev.Ended(17, 486))


# ── the whole way ──


def test_a_callback_walks_from_the_caller_to_the_callee_to_both() -> None:
    story = Story(PLANNED)
    assert story.new_commands() == [Originate(CALL, "+12025550100", "+15550100", 30.0)]
    assert story.it.state is State.PLANNED
    story.feed(*ANSWER)
    assert story.new_commands() == [Play(CALL, "c1-1", 1)]
    story.hear()
    assert story.new_commands() == [
        Ringback(CALL, "c1-ringback"),
        Originate(TO, "+12025550199", "+15550101", 20.0),
    ]
    story.callee(*ANSWER)
    assert story.new_commands() == [StopPlay(CALL, "c1-ringback"), Bridge(CALL, TO)]
    story.after(1).feed(ev.Bridged())
    assert story.new_commands() == [PlayBoth(CALL, "c1-2", 2)]
    story.hear()
    assert story.new_commands() == [Record(CALL, CALL, 121)]
    story.feed(ev.RecordingStarted(CALL)).after(30).feed(ev.HangupRequested(by_us=False))
    assert story.new_commands() == [StopRecording(CALL, CALL), Hangup(TO)]
    story.after(1).feed(ev.RecordingFinished(CALL), ev.Ended(16)).callee(ev.Ended(16))
    assert story.new_commands() == [DropBridge(CALL)]
    assert [type(fact) for fact in story.facts if not hasattr(fact, "play")] == [
        *(Dialing, Rings, Answer) * 2,
        Connected,
        type(story.over()),
    ]
    over = story.over()
    assert (over.outcome, over.reason, over.hung_up_by, over.leg) == (
        Outcome.COMPLETED,
        "the caller hung up",
        "caller",
        "caller",
    )
    assert (over.talk_seconds, over.recording, over.cause, over.certain) == (32.0, CALL, 16, True)


def test_the_facts_of_each_leg_say_whose_they_are() -> None:
    story = Story().connected()
    legs = [fact.leg for fact in story.facts if isinstance(fact, Dialing | Rings | Answer)]
    assert legs == ["caller"] * 3 + ["callee"] * 3


def test_without_text_announcement_and_recording_nothing_is_played_but_ringback() -> None:
    story = Story().connected()
    assert story.it.phase is Phase.TALKING
    assert not any(isinstance(command, Play | PlayBoth | Record) for command in story.commands)
    assert not any(isinstance(fact, NotRecorded) for fact in story.facts)


def test_whoever_writes_the_cdr_finds_what_a_call_offers() -> None:
    story = Story().after(1).feed(ev.Accepted()).after(2).feed(ev.Ringing()).after(3).feed(ev.Answered())
    it = story.it
    assert (it.planned_at, it.dialed_at, it.ringing_at, it.answered_at) == (T0, T0 + 1, T0 + 3, T0 + 6)
    assert (it.id, it.pbx, it.caller_id, it.collected) == (CALL, "ast1", "+15550100", 0)
    over = story.feed(ev.Ready()).callee(*ANSWER).feed(ev.Bridged()).ended().over()
    assert over.ring_seconds == 3.0


def test_timers_say_whose_they_are() -> None:
    assert set(Story().it.timers) == {"caller:ring"}
    assert set(Story().answered().it.timers) == {"caller:duration", "callee:ring"}
    assert set(Story(PLANNED).connected().it.timers) == {
        "caller:duration",
        "callee:duration",
        "duration",
        "warning",
        "play",
    }


# ── the callee is dialled at most once ──


def test_the_callee_is_not_dialled_before_the_intent_is_durable() -> None:
    story = Story(commits=False).answered()
    assert not any(isinstance(command, Originate) and command.channel == TO for command in story.commands)
    story.feed(*story.held_back)
    assert story.new_commands()[-1] == Originate(TO, "+12025550199", "+15550101", 20.0)


def test_an_intent_that_comes_back_twice_dials_once() -> None:
    story = Story(commits=False).answered()
    story.feed(*story.held_back, *story.held_back)
    assert [command.channel for command in story.commands if isinstance(command, Originate)] == [CALL, TO]


def test_the_callee_rings_as_long_as_planned_however_long_its_turn_took_to_come() -> None:
    story = Story(commits=False).answered()
    story.after(SECOND.ring_timeout - 1).feed(*story.held_back).callee(ev.Accepted(), ev.Ringing())
    dialled = story.now
    story.wait_for("callee:ring")
    assert story.now == dialled + SECOND.ring_timeout + RING_GRACE
    assert story.callee(ev.Ended(19)).feed(ev.Ended(16)).over().outcome == "no_answer"


def test_a_callee_whose_turn_does_not_come_has_not_failed_to_answer() -> None:
    story = Story(replace(PLANNED, second=replace(SECOND, record=False)), commits=False).answered()
    story.new_commands()
    story.wait_for("callee:ring")
    assert story.it.phase is Phase.TELLING
    assert story.it.play == FAILED
    story.feed(*story.held_back).hear().feed(ev.Ended(16))
    assert not any(isinstance(command, Originate) for command in story.commands)
    assert Hangup(TO) in story.commands
    over = story.over()
    assert (over.outcome, over.leg) == (Outcome.FAILED, "callee")
    assert "did not come in time" in over.reason


def test_an_intent_that_comes_back_after_the_caller_has_gone_dials_nobody() -> None:
    story = Story(commits=False).answered().feed(ev.Ended(16))
    story.feed(*story.held_back)
    assert [command.channel for command in story.commands if isinstance(command, Originate)] == [CALL]
    assert story.callee(ev.HangupRefused(gone=True), ev.Gone()).over().hung_up_by == "caller"


def test_a_callee_whose_dialling_a_crash_left_unknown_is_not_dialled_again() -> None:
    story = Story(replace(PLANNED, second=replace(SECOND, record=False)), commits=False).answered()
    # The worker comes back: what was to be fed after the commit is lost with it.
    story.feed(ev.Alive(ringing=False, up=True, ready=True)).callee(ev.Gone())
    assert story.new_commands()[-1] == Play(CALL, "c1-6", FAILED)
    over = story.hear().feed(ev.Ended(16)).over()
    assert (over.outcome, over.leg, over.certain) == (Outcome.FAILED, "callee", False)


def test_a_callee_whose_dialling_a_crash_left_unknown_is_taken_up_when_the_pbx_has_the_channel() -> None:
    story = Story(commits=False).answered().callee(ev.Alive(ringing=False, up=True, ready=True))
    assert story.commands[-1] == Bridge(CALL, TO)


def test_a_callee_whose_originate_was_lost_is_chased() -> None:
    story = Story().answered().callee(ev.OriginateLost("unconfirmed"))
    assert story.new_commands()[-1] == Ask(TO)
    story.wait_for("callee:ask")
    assert story.new_commands() == [Ask(TO)]
    assert story.callee(ev.Alive(ringing=True, up=False, ready=False)).it.callee.state is State.RINGING


def test_a_lost_originate_is_chased_even_when_the_caller_has_gone() -> None:
    story = Story().answered().callee(ev.OriginateLost("unconfirmed")).feed(ev.Ended(16))
    assert story.new_commands()[-1] == Hangup(TO)
    for _ in range(HANGUP_TRIES - 1):
        assert story.wait_for("callee:hangup").new_commands() == [Hangup(TO), Ask(TO)]
    over = story.callee(ev.Gone()).over()
    assert (over.outcome, over.certain) == (Outcome.HUNG_UP_EARLY, False)


def test_a_callee_who_answers_after_the_end_is_hung_up() -> None:
    story = Story().answered().callee(ev.OriginateLost("unconfirmed"), ev.Gone()).feed(ev.Ended(16))
    story.over()
    story.callee(ev.Ready())
    assert story.new_commands()[-1] == Hangup(TO)


# ── failures of the first leg ──


@pytest.mark.parametrize(
    ("script", "outcome", "reason", "by", "sip"),
    [
        ((*BUSY_CALLEE,), Outcome.BUSY, "caller: busy here (SIP 486)", "caller", 486),
        (
            (ev.Accepted(), ev.Ended(21, 603)),
            Outcome.REJECTED,
            "caller: declined (SIP 603)",
            "caller",
            603,
        ),
        (
            (ev.Accepted(), ev.Ended(1, 404)),
            Outcome.INVALID_NUMBER,
            "caller: not found (SIP 404)",
            "network",
            404,
        ),
        ((ev.Refused(503, "full"),), Outcome.CONGESTED, "caller: the PBX refused the call", "network", None),
        (
            (ev.OriginateLost("unconfirmed"), ev.Gone()),
            Outcome.FAILED,
            "caller: the PBX has no",
            "network",
            None,
        ),
        ((ev.Accepted(), ev.Gone()), Outcome.FAILED, "caller: the call ended unseen", None, None),
        (
            (ev.Accepted(), ev.Answered(), ev.Ended(16)),
            Outcome.HUNG_UP_EARLY,
            "the caller hung up before the two were connected",
            "caller",
            None,
        ),
        (
            (*ANSWER, ev.Ended(38)),
            Outcome.FAILED,
            "the network ended the call before the two were connected",
            "network",
            None,
        ),
        (
            (*ANSWER, ev.PlayRefused("c1-1", 500, "x"), ev.Ended(16)),
            Outcome.FAILED,
            "the PBX could not play the prompt before the two were connected",
            "orchestrator",
            None,
        ),
        (
            (*ANSWER, ev.CancelRequested(), ev.Ended(16)),
            Outcome.CANCELLED,
            "cancelled on request",
            "orchestrator",
            None,
        ),
        (
            (ev.CancelRequested(), ev.Ended(0)),
            Outcome.CANCELLED,
            "cancelled on request",
            "orchestrator",
            None,
        ),
    ],
)
def test_a_caller_who_cannot_be_reached_ends_it_and_nobody_else_is_rung(
    script: tuple[ev.CallEvent, ...], outcome: Outcome, reason: str, by: str | None, sip: int | None
) -> None:
    story = Story(PLANNED).feed(*script)
    over = story.over()
    assert (over.outcome, over.hung_up_by, over.leg, over.sip_status) == (outcome, by, "caller", sip)
    assert over.reason.startswith(reason)
    assert (over.talk_seconds, over.recording) == (0.0, None)
    assert TO not in [command.channel for command in story.commands]


def test_a_caller_who_does_not_answer_is_no_answer() -> None:
    story = Story().feed(ev.Accepted(), ev.Ringing()).wait_for("caller:ring")
    assert story.commands[-1] == Hangup(CALL)
    over = story.feed(ev.Ended(0)).over()
    assert (over.outcome, over.leg, over.hung_up_by) == (Outcome.NO_ANSWER, "caller", "orchestrator")


def test_a_first_originate_that_never_left_gives_the_attempt_back() -> None:
    story = Story().feed(ev.OriginateLost("not_sent"))
    assert [type(fact) for fact in story.facts] == [Undialed]
    assert story.it.state is State.NEW
    assert story.feed(PLAIN).commands[-1] == Originate(CALL, "+12025550100", "+15550100", 30.0)


def test_a_caller_who_hangs_up_while_the_callee_rings_ends_the_ringing_at_once() -> None:
    story = Story().answered().callee(ev.Accepted(), ev.Ringing())
    story.new_commands()
    story.feed(ev.HangupRequested(by_us=False))
    assert story.new_commands() == [Hangup(TO)]
    over = story.feed(ev.Ended(16)).callee(ev.Ended(26, 487)).over()
    assert (over.outcome, over.leg, over.hung_up_by) == (Outcome.HUNG_UP_EARLY, "caller", "caller")


def test_a_callee_who_answers_as_the_caller_hangs_up_is_hung_up() -> None:
    story = Story().answered().callee(ev.Accepted(), ev.Ringing()).feed(ev.Ended(16))
    story.callee(ev.Answered(), ev.Ready())
    assert story.new_commands()[-2:] == [Hangup(TO), Hangup(TO)]
    assert not any(isinstance(command, Bridge) for command in story.commands)
    assert story.callee(ev.Ended(16)).over().outcome is Outcome.HUNG_UP_EARLY


def test_a_caller_who_hangs_up_as_the_two_are_connected_ends_both() -> None:
    story = Story().answered().callee(*ANSWER)
    story.new_commands()
    over = story.feed(ev.Ended(16)).callee(ev.Ended(16)).over()
    assert story.new_commands() == [Hangup(TO), DropBridge(CALL)]
    assert (over.outcome, over.leg) == (Outcome.HUNG_UP_EARLY, "caller")


# ── failures of the second leg ──


@pytest.mark.parametrize(
    ("script", "play", "outcome", "by", "certain"),
    [
        (BUSY_CALLEE, BUSY, Outcome.BUSY, "callee", True),
        ((ev.Accepted(), ev.Ringing(), ev.Ended(21, 603)), BUSY, Outcome.REJECTED, "callee", True),
        ((ev.Accepted(), ev.Ended(19, 480)), NO_ANSWER, Outcome.NO_ANSWER, "network", True),
        ((ev.Accepted(), ev.Ended(1, 404)), FAILED, Outcome.INVALID_NUMBER, "network", True),
        ((ev.Accepted(), ev.Ended(34, 503)), FAILED, Outcome.CONGESTED, "network", True),
        ((ev.Refused(500, "x"),), FAILED, Outcome.FAILED, "network", True),
        ((ev.OriginateLost("not_sent"),), FAILED, Outcome.FAILED, "network", True),
        ((ev.OriginateLost("unconfirmed"), ev.Gone()), FAILED, Outcome.FAILED, "network", False),
        ((ev.Accepted(), ev.Gone()), FAILED, Outcome.FAILED, None, True),
        ((ev.Accepted(), ev.Answered(), ev.Ended(16)), FAILED, Outcome.HUNG_UP_EARLY, "callee", True),
        ((*ANSWER, ev.Ended(16)), FAILED, Outcome.HUNG_UP_EARLY, "callee", True),
        (
            (*ANSWER, ev.HangupRequested(by_us=False), ev.Ended(16)),
            FAILED,
            Outcome.HUNG_UP_EARLY,
            "callee",
            True,
        ),
        ((*ANSWER, ev.Ended(41)), FAILED, Outcome.FAILED, "network", True),
    ],
)
def test_a_callee_who_cannot_be_reached_is_told_to_the_caller_who_is_then_hung_up(
    script: tuple[ev.LegEvent, ...], play: int, outcome: Outcome, by: str | None, certain: bool
) -> None:
    story = Story(PLANNED).answered().callee(*script)
    assert StopPlay(CALL, "c1-ringback") in story.commands
    assert [command for command in story.commands if isinstance(command, Play)][-1].play == play
    assert story.it.phase is Phase.TELLING
    story.new_commands()
    assert story.hear().new_commands() == [Hangup(CALL)]
    over = story.feed(ev.Ended(16)).over()
    assert (over.outcome, over.hung_up_by, over.leg, over.certain) == (outcome, by, "callee", certain)
    assert (over.talk_seconds, over.recording) == (0.0, None)


def test_a_callee_who_does_not_answer_is_no_longer_rung() -> None:
    story = Story(PLANNED).answered().callee(ev.Accepted(), ev.Ringing()).wait_for("callee:ring")
    assert story.new_commands()[-1] == Hangup(TO)
    story.callee(ev.Ended(16))
    assert story.new_commands()[-1] == Play(CALL, "c1-5", NO_ANSWER)
    assert story.hear().feed(ev.Ended(16)).over().outcome is Outcome.NO_ANSWER


def test_a_callee_whom_the_pbx_does_not_hand_over_is_hung_up() -> None:
    story = Story(PLANNED).answered().callee(ev.Accepted(), ev.Answered()).wait_for("callee:ready")
    over = story.callee(ev.Ended(16)).hear().feed(ev.Ended(16)).over()
    assert (over.outcome, over.leg) == (Outcome.FAILED, "callee")


def test_a_failure_that_has_no_prompt_hangs_the_caller_up_at_once() -> None:
    story = Story().answered().callee(*BUSY_CALLEE)
    assert story.commands[-2:] == [StopPlay(CALL, "c1-ringback"), Hangup(CALL)]
    over = story.feed(ev.Ended(16)).over()
    assert (over.outcome, over.reason) == (Outcome.BUSY, "callee: busy here (SIP 486)")


@pytest.mark.parametrize("way", ["failed", "refused", "never begins", "never ends", "hung up"])
def test_a_caller_who_does_not_hear_why_is_hung_up_all_the_same(way: str) -> None:
    story = Story(PLANNED).answered().callee(*BUSY_CALLEE)
    match way:
        case "failed":
            story.hear(ok=False)
        case "refused":
            story.feed(ev.PlayRefused("c1-4", 0, "lost"), ev.PlayRefused("c1-4", 404, "no such channel"))
            assert story.it.phase is Phase.TELLING
            story.feed(ev.PlayRefused("c1-4", 500, "no such sound"))
        case "never begins":
            story.wait_for("play")
        case "never ends":
            story.feed(ev.PlayStarted("c1-4")).wait_for("play")
            assert story.now == T0 + 2 + 3 + 5
        case _:
            story.feed(ev.HangupRequested(by_us=False))
            assert story.it.phase is Phase.CLOSING
    over = story.feed(ev.Ended(16)).over()
    assert (over.outcome, over.leg, over.hung_up_by) == (Outcome.BUSY, "callee", "callee")


@pytest.mark.parametrize("refused", [True, False])
def test_two_whom_the_pbx_does_not_connect_are_hung_up_and_the_caller_is_told(refused: bool) -> None:
    story = Story(PLANNED).answered().callee(*ANSWER)
    story.feed(ev.BridgeRefused(0, "lost"), ev.BridgeRefused(404, "gone"))
    assert story.it.phase is Phase.JOINING
    story.new_commands()
    if refused:
        story.feed(ev.BridgeRefused(500, "no"))
    else:
        story.wait_for("bridge")
    assert story.new_commands() == [Hangup(TO), Play(CALL, "c1-6", FAILED)]
    over = story.callee(ev.Ended(16)).hear().feed(ev.Ended(16)).over()
    assert (over.outcome, over.reason, over.hung_up_by) == (
        Outcome.FAILED,
        "the PBX could not connect the two",
        "orchestrator",
    )


# ── talking ──


@pytest.mark.parametrize("leg", ["caller", "callee"])
@pytest.mark.parametrize(
    ("last", "reason", "by"),
    [
        ((ev.Ended(16),), "the {leg} hung up", "leg"),
        ((ev.HangupRequested(by_us=False, cause=16), ev.Ended(16)), "the {leg} hung up", "leg"),
        ((ev.Ended(38),), "the network ended the call", "network"),
        ((ev.HangupRequested(by_us=True), ev.Ended(0)), "the PBX ended the call", "network"),
        ((ev.Gone(),), "the answered call ended unseen", None),
    ],
)
def test_either_end_ends_both_and_completes_a_conversation(
    leg: str, last: tuple[ev.LegEvent, ...], reason: str, by: str | None
) -> None:
    story = Story().connected().after(20)
    story.new_commands()
    other = TO
    if leg == "caller":
        story.feed(*last).callee(ev.Ended(16))
    else:
        other = CALL
        story.callee(*last).feed(ev.Ended(16))
    assert story.new_commands() == [Hangup(other), DropBridge(CALL)]
    over = story.over()
    assert (over.outcome, over.reason, over.leg) == (Outcome.COMPLETED, reason.format(leg=leg), leg)
    assert over.hung_up_by == (leg if by == "leg" else by)
    assert over.talk_seconds == 20.0


def test_the_longest_duration_counts_from_when_they_are_connected_and_hangs_both_up() -> None:
    story = Story().answered().callee(*ANSWER).after(3).feed(ev.Bridged()).wait_for("duration")
    assert story.now == T0 + 3 + 120
    assert story.commands[-2:] == [Hangup(CALL), Hangup(TO)]
    over = story.ended().over()
    assert (over.outcome, over.reason, over.talk_seconds, over.hung_up_by) == (
        Outcome.COMPLETED,
        "the longest duration was reached",
        120.0,
        "orchestrator",
    )


@pytest.mark.parametrize(
    ("to", "warning"),
    [
        ("caller", Play(CALL, "c1-3", 3)),
        ("callee", Play(TO, "c1-3", 3)),
        ("both", PlayBoth(CALL, "c1-3", 3)),
    ],
)
def test_the_end_is_announced_to_whom_it_is_to_be(to: str, warning: Play | PlayBoth) -> None:
    second = replace(SECOND, record=False, warn_to=to)
    story = Story(replace(PLANNED, second=second)).connected()
    connected = story.now
    story.wait_for("warning")
    assert story.now == connected + 120 - 15
    assert story.commands[-1] == warning
    story.feed(ev.PlayRefused("c1-3", 500, "no")).wait_for("duration")
    assert story.ended().over().outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    "second",
    [
        replace(SECOND, warn_before=0.0),
        replace(SECOND, warn_before=120.0),
        replace(SECOND, play_seconds=(4, 3)),
    ],
)
def test_no_end_is_announced_that_nobody_asked_for_or_could_hear(second: ev.Second) -> None:
    assert "warning" not in Story(replace(PLANNED, second=second)).connected().it.timers


@pytest.mark.parametrize("phase", list(Phase)[:-2])
def test_cancelling_ends_both_at_any_moment(phase: Phase) -> None:
    story = in_phase(phase)
    story.new_commands()
    story.feed(ev.CancelRequested())
    live = [CALL] if phase in (Phase.CALLER, Phase.TELLING) else [CALL, TO]
    assert [c.channel for c in story.new_commands() if isinstance(c, Hangup)] == live
    over = story.ended().over()
    assert (over.outcome, over.hung_up_by, over.leg) == (
        Outcome.CANCELLED,
        "orchestrator",
        "caller" if phase is Phase.CALLER else "callee",
    )


def in_phase(phase: Phase) -> Story:
    story = Story(PLANNED)
    match phase:
        case Phase.CALLER:
            story.feed(*ANSWER)
        case Phase.CALLEE:
            story.answered().callee(ev.Accepted(), ev.Ringing())
        case Phase.JOINING:
            story.answered().callee(*ANSWER)
        case Phase.ANNOUNCING:
            story.connected()
        case Phase.TALKING:
            story.recorded().feed(ev.RecordingFinished(CALL))
        case Phase.TELLING:
            story.answered().callee(*BUSY_CALLEE)
        case Phase.CLOSING:
            story.recorded().feed(ev.Ended(16))
        case Phase.OVER:
            story.recorded().feed(ev.Ended(16), ev.RecordingFinished(CALL)).callee(ev.Ended(16)).over()
    assert story.it.phase is phase
    return story


# ── the recording ──


def test_the_end_waits_a_moment_for_the_recording_which_is_named_though_nothing_was_heard_of_it() -> None:
    story = Story(PLANNED).recorded().feed(ev.Ended(16)).callee(ev.Ended(16))
    assert story.it.state is State.HANGING_UP
    end = story.now
    over = story.wait_for("recording").over()
    assert (over.at - end, over.recording) == (5.0, CALL)
    assert over.talk_seconds == 2.0


def test_a_recording_that_ended_before_the_conversation_is_kept() -> None:
    story = Story(PLANNED).recorded().feed(ev.RecordingFinished(CALL)).after(10)
    story.new_commands()
    over = story.ended().over()
    assert story.new_commands() == [Hangup(TO), DropBridge(CALL)]
    assert over.recording == CALL


@pytest.mark.parametrize(
    "way",
    ["not there", "failed", "refused", "never begins", "never ends", "not begun", "broken", "at the end"],
)
def test_a_recording_that_cannot_be_made_lets_them_talk_on_and_is_not_named(way: str) -> None:
    second = replace(SECOND, play_seconds=(4,)) if way == "not there" else SECOND
    story = Story(replace(PLANNED, second=second)).connected()
    announced = way in ("not begun", "broken", "at the end")
    match way:
        case "failed":
            story.hear(ok=False)
        case "refused":
            story.feed(ev.PlayRefused("c1-2", 0, "lost"))
            assert story.it.phase is Phase.ANNOUNCING
            story.feed(ev.PlayRefused("c1-2", 500, "no"))
        case "never begins":
            assert story.wait_for("play").commands[-1] == StopPlay(CALL, "c1-2")
        case "never ends":
            story.feed(ev.PlayStarted("c1-2")).wait_for("play")
        case "not begun":
            assert story.hear().wait_for("record").commands[-1] == StopRecording(CALL, CALL)
        case "broken":
            story.hear().feed(ev.RecordingFinished(CALL, ok=False, reason="disk full"))
        case "at the end":
            story.hear().feed(ev.Ended(16)).callee(ev.Ended(16)).wait_for("recording")
    assert any(isinstance(command, Record) for command in story.commands) is announced
    if way != "at the end":
        assert story.it.phase is Phase.TALKING
        story.after(5).ended()
    assert story.over().outcome is Outcome.COMPLETED
    assert story.over().recording is None
    why = [fact.reason for fact in story.facts if isinstance(fact, NotRecorded)]
    assert len(why) == 1
    assert way != "broken" or why == ["disk full"]


def test_a_recording_that_was_given_up_and_exists_after_all_is_named() -> None:
    story = Story(PLANNED).connected().hear().wait_for("record")
    story.feed(ev.RecordingStarted(CALL), ev.RecordingFinished(CALL))
    assert story.ended().over().recording == CALL


def test_no_other_recording_is_taken_for_ours() -> None:
    story = Story(PLANNED).connected().hear()
    before = story.it
    assert story.feed(ev.RecordingStarted("c2"), ev.RecordingFinished("c2", ok=False)).it is before


# ── nobody looked for a while ──

ALIVE = ev.Alive(ringing=False, up=True, ready=True)


@pytest.mark.parametrize(
    ("phase", "commands"),
    [
        (Phase.CALLER, [StopPlay(CALL, "c1-1"), Play(CALL, "c1-1r1", 1)]),
        (Phase.CALLEE, [StopPlay(CALL, "c1-ringback"), Ringback(CALL, "c1-ringbackr1")]),
        (Phase.JOINING, [Bridge(CALL, TO)]),
        (Phase.ANNOUNCING, [Bridge(CALL, TO), StopPlay(CALL, "c1-2"), PlayBoth(CALL, "c1-2r1", 2)]),
        (Phase.TALKING, [Bridge(CALL, TO)]),
        (Phase.TELLING, [StopPlay(CALL, "c1-4"), Play(CALL, "c1-4r1", 4), Hangup(TO)]),
        (Phase.CLOSING, [Hangup(CALL), Hangup(TO)]),
        (Phase.OVER, [Hangup(CALL), Hangup(TO)]),
    ],
)
def test_a_worker_that_comes_back_asks_anew_for_what_may_have_been_lost(
    phase: Phase, commands: list[object]
) -> None:
    story = in_phase(phase)
    story.new_commands()
    alive = ev.Alive(ringing=True, up=False, ready=False) if phase is Phase.CALLEE else ALIVE
    story.feed(ALIVE).callee(alive)
    # A leg that had ended and yet lives is hung up.
    assert story.new_commands() == commands
    assert story.it.phase is phase


@pytest.mark.parametrize("begun", [True, False])
def test_a_worker_that_comes_back_sees_that_the_recording_goes_on(begun: bool) -> None:
    story = Story(PLANNED).connected().hear()
    if begun:
        story.feed(ev.RecordingStarted(CALL))
    story.new_commands()
    story.after(4).feed(ALIVE).callee(ALIVE)
    assert story.new_commands() == [Bridge(CALL, TO), Record(CALL, CALL, 121)]
    assert story.it.timers.get("record") == (None if begun else story.now + 5)


def test_an_announcement_that_was_played_again_counts_and_the_old_one_does_not() -> None:
    story = in_phase(Phase.ANNOUNCING).feed(ALIVE)
    story.new_commands()
    assert not story.feed(ev.PlayFinished("c1-2")).new_commands()
    assert story.hear().new_commands() == [Record(CALL, CALL, 121)]


def test_a_conversation_that_ended_while_nobody_looked_is_completed_and_the_other_is_hung_up() -> None:
    story = Story(PLANNED).recorded().after(60)
    story.new_commands()
    story.callee(ev.Gone()).feed(ALIVE)
    assert story.new_commands() == [StopRecording(CALL, CALL), Hangup(CALL), Hangup(CALL)]
    over = story.feed(ev.Ended(16), ev.RecordingFinished(CALL)).over()
    assert (over.outcome, over.reason, over.leg, over.hung_up_by, over.recording) == (
        Outcome.COMPLETED,
        "the answered call ended unseen",
        "callee",
        None,
        CALL,
    )
    assert over.talk_seconds == 62.0


def test_both_gone_while_nobody_looked_is_completed_with_its_recording() -> None:
    over = Story(PLANNED).recorded().feed(ev.Gone()).callee(ev.Gone()).wait_for("recording").over()
    assert (over.outcome, over.recording) == (Outcome.COMPLETED, CALL)


def test_a_bridge_that_stood_and_is_refused_when_asked_for_again_ends_no_conversation() -> None:
    story = Story(PLANNED).recorded().feed(ALIVE)
    before = story.it
    assert story.feed(ev.BridgeRefused(500, "no")).it is before


def test_a_bridge_asked_for_again_gets_the_whole_time_anew() -> None:
    story = in_phase(Phase.JOINING).after(4).feed(ALIVE)
    assert story.it.timers["bridge"] == story.now + 5


# ── hanging up ──


@pytest.mark.parametrize("phase", [Phase.JOINING, Phase.ANNOUNCING, Phase.TELLING, Phase.CLOSING])
def test_a_timer_of_the_two_that_was_set_anew_does_not_fire(phase: Phase) -> None:
    story = in_phase(phase)
    before = story.it
    assert before.clocks
    story.feed(*(ev.TimerFired(name) for name in before.clocks))
    assert story.it is before


def test_a_hang_up_that_is_not_heard_is_asked_for_again_and_then_given_up() -> None:
    story = Story().connected().feed(ev.Ended(16))
    while next_timer(story.it):
        story.wait()
    assert sum(command == Hangup(TO) for command in story.commands) == HANGUP_TRIES
    assert story.over().certain is False
    assert story.over().outcome is Outcome.COMPLETED


def test_left_alone_while_they_talk_both_are_hung_up_by_their_own_clocks_as_a_last_resort() -> None:
    story = Story().connected()
    assert min(story.it.caller.timers["duration"], story.it.callee.timers["duration"]) >= T0 + 120 + 60
