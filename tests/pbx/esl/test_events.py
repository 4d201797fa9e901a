"""Events from both encodings, right or wrong. Tier: unit."""

import contextlib
import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl.events import Event, decode, from_json
from orchestrator.pbx.esl.frames import Frame
from tests.pbx.esl import capture
from tests.pbx.esl.capture import NAMES, Said


def plain(text: str | bytes) -> Event:
    body = text.encode() if isinstance(text, str) else text
    return decode(Frame({"Content-Type": "text/event-plain"}, body))


def events_of(name: str) -> list[Event]:
    return [
        decode(Frame({"Content-Type": part.kind}, part.body))
        for part in capture.read(name)
        if isinstance(part, Said) and part.kind.startswith("text/event-")
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wrong_password"])
def test_every_recorded_event_has_a_name_and_its_channel_or_job(name: str) -> None:
    events = events_of(name)
    assert events
    assert all(event.job if event.name == "BACKGROUND_JOB" else event.channel for event in events)


def test_the_same_call_says_the_same_in_both_encodings() -> None:
    def line(event: Event) -> tuple[str, ...]:
        return event.name, event.state, event.answer_state, event.hangup_cause, event.application

    def leg(name: str) -> list[tuple[str, ...]]:
        return [line(event) for event in events_of(name) if event.channel_name == DIALLED]

    # One session was recorded in each encoding; both were hung up at once after the answer.
    assert leg("answer_json")
    assert set(leg("answer_json")) == set(leg("answer_play_hangup"))


DIALLED = "sofia/lab/answer@127.0.0.1:5080"


def test_a_job_has_its_output_in_either_encoding() -> None:
    outputs = [event.body for event in events_of("answer_json") if event.name == "BACKGROUND_JOB"]
    assert outputs == ["+OK 778caf00-90e9-4c4b-a3f6-2683dd358321\n", "+OK\n"]
    outputs = [event.body for event in events_of("bad_gateway") if event.name == "BACKGROUND_JOB"]
    assert outputs == ["-ERR INVALID_GATEWAY\n", "-ERR No such channel!\n"]


def test_values_of_the_plain_encoding_are_decoded() -> None:
    event = plain("Event-Name: DTMF\nUnique-ID: c1\nDTMF-Digit: %23\n\n")
    assert (event.name, event.channel, event.digit) == ("DTMF", "c1", "#")


def test_an_encoded_line_feed_never_changes_what_the_event_is() -> None:
    event = plain("Event-Name: DTMF\nvariable_x: %0AEvent-Name: CHANNEL_ANSWER\nUnique-ID: c1%0A%0Aq\n\n")
    assert (event.name, event.channel) == ("DTMF", "c1\n\nq")


@pytest.mark.parametrize(
    "body",
    [
        b'{"Event-Name":"DTMF","Caller-Caller-ID-Name":"J\xf6rg","DTMF-Digit":"1"}',
        b'{"Event-Name":"DTMF","variable_DP_MATCH":["a","b"],"DTMF-Digit":"1"}',
        b'{"Event-Name":"DTMF","variable_sip_term_status":["486","487"],"DTMF-Digit":"1"}',
        b'{"Event-Name":"DTMF","Unique-ID":null,"DTMF-Digit":"1"}',
        b'{"Event-Name":"DTMF","Channel-Name":"\xff\xfe","DTMF-Digit":"1"}',
    ],
)
def test_what_a_far_end_may_put_into_an_event_breaks_nothing(body: bytes) -> None:
    event = from_json(body)
    assert (event.name, event.digit, event.sip_status) == ("DTMF", "1", "")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"{}", b'{"Event-Name":1}', b"[" * 100_000])
def test_what_is_no_event_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(PbxProtocolError):
        from_json(body)


@pytest.mark.parametrize("text", ["", "\n\n", "Unique-ID: c1\n\n", "x\n\n", "Event-Name: X\n" * 6000])
def test_what_is_no_plain_event_is_a_protocol_error(text: str) -> None:
    with pytest.raises(PbxProtocolError):
        plain(text)


def test_an_event_never_shows_what_is_in_it() -> None:
    event = from_json(b'{"Event-Name":"BACKGROUND_JOB","_body":"en/digits/4.wav"}')
    assert "digits" not in repr(event)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_an_event_or_the_typed_error(body: bytes) -> None:
    for kind in ("text/event-json", "text/event-plain"):
        with contextlib.suppress(PbxProtocolError):
            assert decode(Frame({"Content-Type": kind}, body)).name is not None


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.dictionaries(
        st.sampled_from(["Event-Name", "Unique-ID", "Job-UUID", "_body", "variable_sip_term_status", "x"]),
        _JSON,
    )
)
def test_any_json_object_is_an_event_or_the_typed_error(values: dict[str, object]) -> None:
    body = json.dumps(values).encode()
    try:
        event = from_json(body)
    except PbxProtocolError:
        return
    assert event.name == values["Event-Name"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_no_value_forges_a_name_in_either_encoding(value: str) -> None:
    text = value.encode("utf-8", "replace").decode()
    body = json.dumps({"Event-Name": "DTMF", "variable_x": text, "Unique-ID": text}).encode()
    assert from_json(body).name == "DTMF"
    encoded = quote(text, safe="")
    event = plain(f"Event-Name: DTMF\nvariable_x: {encoded}\nUnique-ID: {encoded}\n\n")
    assert (event.name, event.channel) == ("DTMF", text)
