"""What FreeSWITCH's events mean to a call. Tier: unit."""

import pytest

from orchestrator.call.events import (
    Accepted,
    Alive,
    Answered,
    CallEvent,
    Digit,
    Ended,
    HangupRequested,
    PlayFinished,
    PlayStarted,
    Ready,
    Ringing,
)
from orchestrator.call.outcome import Q850 as JUDGED
from orchestrator.pbx.esl.causes import Q850, REFUSALS, q850
from orchestrator.pbx.esl.events import Event
from orchestrator.pbx.esl.translate import found, translate

SIP = "sofia/lab/x@127.0.0.1"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Event("CHANNEL_CREATE", "c1"), [Accepted()]),
        (Event("CHANNEL_PROGRESS", "c1"), [Ringing()]),
        (Event("CHANNEL_PROGRESS_MEDIA", "c1"), [Ringing(early_media=True)]),
        (Event("CHANNEL_ANSWER", "c1"), [Answered()]),
        (Event("CHANNEL_PARK", "c1"), [Ready()]),
        (Event("CHANNEL_EXECUTE", "c1", application="park", answer_state="answered"), [Ready()]),
        (Event("CHANNEL_EXECUTE", "c1", application="park", answer_state="hangup"), []),
        (Event("CHANNEL_EXECUTE", "c1", application="sched_hangup", answer_state="answered"), []),
        (Event("CHANNEL_EXECUTE", "c1", application="playback", application_uuid="p1"), [PlayStarted("p1")]),
        (Event("CHANNEL_EXECUTE_COMPLETE", "c1", application="park"), []),
        (Event("DTMF", "c1", digit="#"), [Digit("#")]),
        (Event("DTMF", "c1", digit="~"), []),
        (Event("DTMF", "c1"), []),
        (Event("CHANNEL_STATE", "c1"), []),
    ],
)
def test_each_event_has_its_meaning(event: Event, told: list[CallEvent]) -> None:
    assert list(translate(event)) == told


@pytest.mark.parametrize(
    ("response", "ok"),
    [("FILE PLAYED", True), ("FILE NOT FOUND", False), ("PLAYBACK ERROR", False), ("_none_", False)],
)
def test_a_play_that_is_over_says_whether_it_was_played(response: str, ok: bool) -> None:
    event = Event(
        "CHANNEL_EXECUTE_COMPLETE",
        "c1",
        application="playback",
        application_uuid="p1",
        application_response=response,
        answer_state="answered",
    )
    assert translate(event) == (PlayFinished("p1", ok),)


def test_a_play_that_a_hangup_cut_says_nothing_because_the_hangup_does() -> None:
    event = Event(
        "CHANNEL_EXECUTE_COMPLETE",
        "c1",
        application="playback",
        application_uuid="p1",
        application_response="PLAYBACK ERROR",
        answer_state="hangup",
    )
    assert translate(event) == ()


@pytest.mark.parametrize("name", ["CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"])
def test_whichever_event_comes_first_tells_the_end(name: str) -> None:
    event = Event(name, "c1", SIP, hangup_cause="USER_BUSY", sip_status="486")
    assert translate(event) == (HangupRequested(False, 17), Ended(17, 486))


@pytest.mark.parametrize("cause", ["", "NONE"])
def test_a_channel_that_never_came_to_be_tells_no_end(cause: str) -> None:
    assert translate(Event("CHANNEL_DESTROY", "c1", "N/A", state="CS_NONE", hangup_cause=cause)) == ()


@pytest.mark.parametrize("name", ["CHANNEL_HANGUP", "CHANNEL_DESTROY"])
def test_a_far_end_that_hangs_up_with_the_cause_0_ends_the_call(name: str) -> None:
    # A BYE with `Reason: Q.850;cause=0`: FreeSWITCH's event then has no Hangup-Cause at all.
    event = Event(name, "c1", SIP, state="CS_EXECUTE", sip_status="200", sip_cause="0")
    assert translate(event) == (HangupRequested(False, 0), Ended(0))


@pytest.mark.parametrize(
    ("name", "number", "told"),
    [
        ("UNKNOWN", "47", 47),
        ("UNKNOWN", "127", 127),
        ("UNKNOWN", "602", 0),
        ("UNKNOWN", "99999", 0),
        ("UNKNOWN", "-1", 0),
        ("UNKNOWN", "", 0),
        ("USER_BUSY", "47", 17),
    ],
)
def test_a_cause_for_which_freeswitch_has_no_name_is_told_by_its_number(
    name: str, number: str, told: int
) -> None:
    event = Event("CHANNEL_HANGUP", "c1", SIP, hangup_cause=name, sip_status="503", sip_cause=number)
    assert translate(event)[1] == Ended(told, 503)


@pytest.mark.parametrize(
    ("event", "by_us"),
    [
        (Event("CHANNEL_HANGUP", "c1", SIP, hangup_cause="NORMAL_CLEARING", sip_status="200"), False),
        (Event("CHANNEL_HANGUP", "c1", SIP, hangup_cause="NORMAL_CLEARING"), True),
        (Event("CHANNEL_HANGUP", "c1", SIP, hangup_cause="ALLOTTED_TIMEOUT"), True),
        (Event("CHANNEL_HANGUP", "c1", SIP, hangup_cause="MEDIA_TIMEOUT", sip_status="200"), True),
        (Event("CHANNEL_HANGUP", "c1", "loopback/x-a", hangup_cause="NORMAL_CLEARING"), False),
        (Event("CHANNEL_HANGUP", "c1", "loopback/x-a", hangup_cause="MANAGER_REQUEST"), True),
    ],
)
def test_who_hung_up_is_told_as_far_as_it_shows(event: Event, by_us: bool) -> None:
    first = translate(event)[0]
    assert isinstance(first, HangupRequested)
    assert first.by_us is by_us


@pytest.mark.parametrize(
    ("status", "protocol", "told"),
    [
        ("486", "sip:486", 486),
        ("", "sip:603", 603),
        ("200", "sip:200", None),
        ("", "", None),
        ("abc", "", None),
        ("99999", "", None),
        ("\u0664\u0668\u0666", "", None),
    ],
)
def test_only_a_final_refusal_has_a_sip_status(status: str, protocol: str, told: int | None) -> None:
    event = Event(
        "CHANNEL_HANGUP", "c1", SIP, hangup_cause="CALL_REJECTED", sip_status=status, protocol_cause=protocol
    )
    assert translate(event)[1] == Ended(21, told)


@pytest.mark.parametrize(
    ("answer", "call", "state", "told"),
    [
        ("ringing", "DOWN", "CS_CONSUME_MEDIA", Alive(ringing=False, up=False, ready=False)),
        ("ringing", "RINGING", "CS_CONSUME_MEDIA", Alive(ringing=True, up=False, ready=False)),
        ("early", "EARLY", "CS_CONSUME_MEDIA", Alive(ringing=True, up=False, ready=False)),
        ("answered", "ACTIVE", "CS_CONSUME_MEDIA", Alive(ringing=False, up=True, ready=False)),
        ("answered", "ACTIVE", "CS_EXECUTE", Alive(ringing=False, up=True, ready=True)),
    ],
)
def test_a_dump_says_how_far_a_channel_is(answer: str, call: str, state: str, told: Alive) -> None:
    event = Event("CHANNEL_DATA", "c1", SIP, answer_state=answer, call_state=call, state=state)
    assert found(event) == (told,)


def test_a_dump_of_a_channel_that_is_hung_up_tells_its_end() -> None:
    event = Event("CHANNEL_DATA", "c1", SIP, answer_state="hangup", hangup_cause="NO_ANSWER")
    assert found(event) == (HangupRequested(True, 19), Ended(19, None))


def test_every_cause_has_a_number_of_q850_and_an_unknown_one_none() -> None:
    assert all(0 <= number <= 127 for number in Q850.values())
    assert q850("SOMETHING_NEW") == 0
    # What is refused before anything is sent is either to be corrected, or worth another try.
    assert all(400 <= status < 600 for status in REFUSALS.values())


@pytest.mark.parametrize("name", ["DECLINE", "BUSY_EVERYWHERE", "DOES_NOT_EXIST_ANYWHERE", "GATEWAY_DOWN"])
def test_a_cause_of_freeswitchs_own_is_one_that_can_be_judged(name: str) -> None:
    assert q850(name) in JUDGED
