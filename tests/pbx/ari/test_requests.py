"""What leaves for Asterisk, and what must never. Tier: unit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.call.commands import (
    Ask,
    Bridge,
    DropBridge,
    Hangup,
    Record,
    Ringback,
    StopPlay,
    StopRecording,
)
from orchestrator.pbx.ari.requests import RestCall, build, media_uri
from orchestrator.pbx.fit import Unfit, dial_string
from orchestrator.pbx.port import Dial, PlaySounds, Request
from tests.pbx.ari.fake_ari import settings_for

SETTINGS = settings_for("http://127.0.0.1:8088/ari")


def test_an_originate_names_its_channel_and_carries_all_else_in_its_body() -> None:
    call = build(Dial("j1-1", "+12025550100", "+15550100", 29.2), SETTINGS)
    assert (call.method, call.path) == ("POST", "channels/j1-1")
    assert json.loads(call.body) == {
        "endpoint": "PJSIP/12025550100@lab",
        "app": "orchestrator",
        "timeout": 30,
        "callerId": "+15550100",
    }


def test_an_originate_without_caller_id_leaves_it_to_the_pbx() -> None:
    assert "callerId" not in json.loads(build(Dial("c1", "+12025550100", None, 30), SETTINGS).body)


def test_a_play_lists_its_sounds_in_the_body_where_no_proxy_logs_them() -> None:
    call = build(PlaySounds("c1", "p1", ("en/digits/4", "en/digits/2")), SETTINGS)
    assert (call.method, call.path) == ("POST", "channels/c1/play/p1")
    assert json.loads(call.body) == {
        "media": ["sound:orchestrator/en/digits/4", "sound:orchestrator/en/digits/2"]
    }
    assert "digits" not in repr(call)


def test_the_other_requests_need_no_body() -> None:
    assert build(Hangup("c1"), SETTINGS) == RestCall("DELETE", "channels/c1")
    assert build(Ask("c1"), SETTINGS) == RestCall("GET", "channels/c1")
    assert build(StopPlay("c1", "p1"), SETTINGS) == RestCall("DELETE", "playbacks/p1")


def test_ids_are_percent_encoded() -> None:
    assert build(Ask("job:1"), SETTINGS).path == "channels/job%3A1"


@given(st.text(max_size=24) | st.text("+0123456789", max_size=24))
def test_only_digits_get_into_a_dial_string(number: str) -> None:
    try:
        made = dial_string("PJSIP/{number}@lab", number)
    except Unfit:
        return
    inner = made.removeprefix("PJSIP/").removesuffix("@lab")
    assert inner.isascii()
    assert inner.isdigit()
    assert number in (inner, "+" + inner)


@pytest.mark.parametrize(
    "number",
    [
        "+1555,PJSIP/x",
        "+1&x",
        "1@evil",
        "1/2",
        "+",
        "",
        "１２３",
        "١٢٣",
        "+1 555",
        "1\n",
        "{e164}",
        "+" + "1" * 21,
    ],
)
def test_a_number_that_could_reach_another_endpoint_is_refused(number: str) -> None:
    with pytest.raises(Unfit):
        build(Dial("c1", number, None, 30), SETTINGS)


def test_e164_in_a_template_has_the_plus() -> None:
    assert dial_string("PJSIP/{e164}@lab", "+12025550100") == "PJSIP/+12025550100@lab"


@pytest.mark.parametrize("caller_id", ["", "+1,x", '"Bank" <100>', "1\r\n2"])
def test_a_caller_id_is_digits_only(caller_id: str) -> None:
    with pytest.raises(Unfit):
        build(Dial("c1", "+12025550100", caller_id, 30), SETTINGS)


@pytest.mark.parametrize("channel", ["", "..", ".", "a/b", "a?b", "a#b", "a b", "a%2Fb", "x" * 150, "ä"])
def test_an_id_that_could_bend_a_path_is_refused(channel: str) -> None:
    for request in (
        Hangup(channel),
        Ask(channel),
        PlaySounds("c1", channel, ("en/x",)),
        StopPlay("c", channel),
    ):
        with pytest.raises(Unfit):
            build(request, SETTINGS)


@pytest.mark.parametrize("sound", ["", "../x", "a/../b", "a,sound:b", "/a", "a/", "a b", "http://x"])
def test_a_sound_that_is_none_of_the_librarys_is_refused(sound: str) -> None:
    with pytest.raises(Unfit) as refusal:
        media_uri("orchestrator", sound)
    assert not sound or sound not in str(refusal.value)


def test_a_playback_of_nothing_is_refused() -> None:
    with pytest.raises(Unfit):
        build(PlaySounds("c1", "p1", ()), SETTINGS)


def test_a_bridge_is_named_by_its_first_leg_but_never_as_it_and_bears_the_applications_name() -> None:
    call = build(Bridge("c1", "c2"), SETTINGS)
    assert (call.method, call.path) == ("POST", "bridges/bridge-c1")
    assert json.loads(call.body) == {"name": "orchestrator", "type": "mixing,dtmf_events"}
    assert build(DropBridge("c1"), SETTINGS) == RestCall("DELETE", "bridges/bridge-c1")


def test_what_both_are_to_hear_is_played_to_the_bridge() -> None:
    call = build(PlaySounds("c1", "p1", ("en/digits/4",), both=True), SETTINGS)
    assert (call.method, call.path) == ("POST", "bridges/bridge-c1/play/p1")


def test_ringback_is_the_tone_of_the_pbxs_own_country() -> None:
    call = build(Ringback("c1", "p1"), SETTINGS)
    assert (call.method, call.path, json.loads(call.body)) == (
        "POST",
        "channels/c1/play/p1",
        {"media": ["tone:ring"]},
    )


def test_a_recording_always_names_its_format_and_never_takes_anothers_place() -> None:
    call = build(Record("c1", "r1", 3600), SETTINGS)
    assert (call.method, call.path) == ("POST", "bridges/bridge-c1/record")
    assert json.loads(call.body) == {
        "name": "r1",
        "format": "wav",
        "maxDurationSeconds": 3600,
        "ifExists": "fail",
        "beep": False,
        "terminateOn": "none",
    }
    assert build(StopRecording("c1", "r1"), SETTINGS) == RestCall("POST", "recordings/live/r1/stop")


@pytest.mark.parametrize(
    "request_",
    [
        Record("c1", "../r1", 60),
        Record("c1", "a/b", 60),
        Record("c1", "r1", 0),
        StopRecording("c1", ".."),
        Bridge("c1", "c2/play"),
        Bridge("c" * 149, "c2"),
    ],
)
def test_a_name_that_climbs_or_a_recording_without_end_never_leaves(request_: Request) -> None:
    with pytest.raises(Unfit):
        build(request_, SETTINGS)
