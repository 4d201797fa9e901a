"""Frames as Asterisk sends them. Tier: unit."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pbx.ari import wire
from orchestrator.pbx.errors import PbxProtocolError

CHANNEL = {"id": "c1", "name": "PJSIP/lab-1", "state": "Up", "dialplan": {"app_name": "Stasis"}}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EVENT_LIKE = st.fixed_dictionaries(
    {"type": st.sampled_from(wire.EVENT_TYPES) | st.text(max_size=12)},
    optional={
        name: JSON_VALUES | st.just(CHANNEL)
        for name in (
            "channel",
            "peer",
            "playback",
            "cause",
            "tech_cause",
            "digit",
            "dialstatus",
            "request_id",
        )
    },
)


def _tries(frame: bytes | str) -> None:
    try:
        wire.decode(frame)
    except PbxProtocolError:
        return


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_decoded_or_a_protocol_error(frame: bytes) -> None:
    _tries(frame)


@given(JSON_VALUES | EVENT_LIKE)
def test_arbitrary_json_is_decoded_or_a_protocol_error(value: object) -> None:
    _tries(json.dumps(value).encode())


def test_deeply_nested_json_is_a_protocol_error_and_no_crash() -> None:
    with pytest.raises(PbxProtocolError):
        wire.decode(b'{"type":"Dial","peer":' + b"[" * 200_000)


@given(JSON_VALUES)
def test_answers_that_are_not_as_described_are_protocol_errors(value: object) -> None:
    body = json.dumps(value).encode()
    for parse in (wire.decode_channel, wire.decode_channels, wire.decode_application, wire.decode_sounds):
        try:
            parse(body)
        except PbxProtocolError:
            continue
    assert len(wire.fault_text(body)) <= 120


@pytest.mark.parametrize(
    "kind", ["StasisEnd", "ChannelVarset", "PlaybackContinuing", "SomethingFromTomorrow"]
)
def test_an_event_of_no_interest_is_nothing(kind: str) -> None:
    assert wire.decode(json.dumps({"type": kind, "channel": CHANNEL}).encode()) is None


def test_a_known_event_without_its_fields_is_a_protocol_error_that_names_it() -> None:
    with pytest.raises(PbxProtocolError, match="StasisStart"):
        wire.decode(b'{"type":"StasisStart"}')


@pytest.mark.parametrize(
    ("frame", "decoded"),
    [
        (
            {"type": "Dial", "peer": CHANNEL, "dialstatus": "RINGING", "forward": "", "dialstring": "x"},
            wire.Dial(wire.ChannelId("c1"), "RINGING"),
        ),
        (
            {
                "type": "ChannelDestroyed",
                "cause": 17,
                "cause_txt": "User busy",
                "tech_cause": 486,
                "channel": CHANNEL,
            },
            wire.ChannelDestroyed(wire.ChannelId("c1"), 17, 486),
        ),
        (
            {"type": "ChannelHangupRequest", "cause": 32, "soft": True, "channel": CHANNEL},
            wire.ChannelHangupRequest(wire.ChannelId("c1"), 32, True),
        ),
        (
            {
                "type": "RESTResponse",
                "request_id": "7",
                "status_code": 201,
                "reason_phrase": "Created",
                "uri": "x",
            },
            wire.RESTResponse(201, "7", "Created"),
        ),
    ],
)
def test_events_as_seen_on_the_wire_are_read(frame: dict[str, Any], decoded: wire.Wire) -> None:
    assert wire.decode(json.dumps(frame).encode()) == decoded


def test_a_request_frame_is_what_asterisk_expects() -> None:
    frame = json.loads(wire.encode_request("5", "POST", "channels/c1", b'{"app":"x"}'))
    assert frame == {
        "type": "RESTRequest",
        "request_id": "5",
        "method": "POST",
        "uri": "channels/c1",
        "message_body": '{"app":"x"}',
        "content_type": "application/json",
    }
    assert json.loads(wire.encode_request("6", "DELETE", "channels/c1", b"")).keys() == {
        "type",
        "request_id",
        "method",
        "uri",
    }


def test_asterisks_word_for_a_refusal_is_short_and_printable() -> None:
    assert wire.fault_text(b'{"message":"Channel not found"}') == "Channel not found"
    assert wire.fault_text(b'{"error":"Allocation failed"}') == "Allocation failed"
    assert wire.fault_text(json.dumps({"message": "a\n" * 500})) == "a" * 60
    assert wire.fault_text(b"<html>") == ""
