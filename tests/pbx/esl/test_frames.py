"""Bytes into frames: whole or in pieces, right or wrong, and never more than bounded. Tier: unit."""

import contextlib
import itertools
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl.frames import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    Frame,
    FrameReader,
    parse_headers,
)
from tests.pbx.esl import capture
from tests.pbx.esl.capture import NAMES, Said
from tests.pbx.esl.fake_esl import frame


def fed(data: bytes, *cuts: int) -> list[Frame]:
    reader = FrameReader()
    frames: list[Frame] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        frames += reader.feed(data[start:end])
    return frames


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_session_is_cut_into_the_frames_that_it_was_sent_in(name: str) -> None:
    said = [part for part in capture.read(name) if isinstance(part, Said)]
    frames = fed(capture.server_bytes(name))
    assert [(each.kind, each.body) for each in frames] == [(each.kind, each.body) for each in said]


@pytest.mark.parametrize("size", [1, 7, 1460])
def test_a_recorded_session_is_the_same_in_pieces_of_any_size(size: int) -> None:
    data = capture.server_bytes("busy")
    assert fed(data, *range(size, len(data), size)) == fed(data)


def test_a_reply_may_end_with_more_line_feeds_than_it_needs() -> None:
    first = b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: x\nJob-UUID: x\n\n\n\n"
    frames = fed(first + frame("api/response", b"true"))
    assert [each.reply for each in frames] == ["+OK Job-UUID: x", ""]
    assert frames[1].body == b"true"


def test_an_encoded_line_feed_in_a_value_makes_no_header() -> None:
    block = b"Event-Name: DTMF\nvariable_name: x%0AEvent-Name%3A%20CHANNEL_ANSWER%0A%0Ay\nDTMF-Digit: %23"
    headers = parse_headers(block, most=10, encoded=True)
    assert headers == {
        "Event-Name": "DTMF",
        "variable_name": "x\nEvent-Name: CHANNEL_ANSWER\n\ny",
        "DTMF-Digit": "#",
    }


def test_of_a_header_that_comes_twice_the_first_counts() -> None:
    assert parse_headers(b"A: 1\nB: 2\nA: 3", most=10) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    "data",
    [
        b"no header at all\n\n",
        b": no name\n\n",
        b"Content-Length: -1\n\n",
        b"Content-Length: 1e3\n\n",
        b"Content-Length: \xd9\xa3\n\n",
        b"Content-Length:\n\n",
        b"Content-Length: " + b"9" * 4000 + b"\n\n",
        f"Content-Length: {MAX_BODY_BYTES + 1}\n\n".encode(),
        b"A: " + b"x" * MAX_HEADER_BYTES + b"\n\n",
        b"A: " + b"x" * MAX_HEADER_BYTES,
        b"A: x\n" * (MAX_HEADERS + 1) + b"\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 2000,
    ],
)
def test_what_is_no_frame_is_a_protocol_error_then_and_ever_after(data: bytes) -> None:
    reader = FrameReader()
    with pytest.raises(PbxProtocolError):
        reader.feed(data)
    with pytest.raises(PbxProtocolError):
        reader.feed(frame("api/response", b"fine"))


def test_bytes_that_are_no_utf8_are_taken_for_what_they_can_be() -> None:
    (only,) = fed(b"Content-Type: command/reply\nReply-Text: +OK \xff\xfe\n\n")
    assert only.reply.startswith("+OK ")


def test_a_frame_never_shows_its_body() -> None:
    assert "digits" not in repr(Frame({"Content-Type": "api/response"}, b"en/digits/4.wav"))


# ── whatever comes ────────────────────────────────────────────────────────────────────────────────────

_NASTY = st.sampled_from(
    [
        b"Content-Length: ",
        b"Content-Type: text/event-plain\n",
        b"Content-Length: 99999999999999999999\n",
        b"Content-Length: 12\n\n",
        b"Event-Name: X%0A%0AContent-Length: 4",
        b"\n",
        b"\n\n",
        b":",
        b"%0A",
        b"%",
        b"\xff\xc3",
        b"\x00",
        b"x" * 5000,
    ]
)
_BYTES = st.lists(st.one_of(_NASTY, st.binary(max_size=40)), max_size=40).map(b"".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=_BYTES, cuts=st.lists(st.integers(0, 6000), max_size=12))
def test_any_bytes_in_any_pieces_give_frames_or_the_typed_error(data: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    given_up = False
    for start, end in itertools.pairwise(edges):
        try:
            reader.feed(data[start:end])
        except PbxProtocolError:
            given_up = True
        else:
            assert not given_up


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    at=st.integers(0, 60_000),
    change=st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\n"), st.just(b"\n\n")),
    cut=st.integers(0, 60_000),
    whole=st.booleans(),
)
def test_a_recorded_session_that_is_damaged_gives_frames_or_the_typed_error(
    at: int, change: bytes, cut: int, whole: bool
) -> None:
    data = bytearray(capture.server_bytes("unallocated"))
    data[at % len(data) : at % len(data) + len(change)] = change
    damaged = bytes(data) if whole else bytes(data[: cut % len(data)])
    with contextlib.suppress(PbxProtocolError):
        fed(damaged, cut % (len(damaged) + 1))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(
        st.tuples(st.from_regex(r"[A-Za-z_-]{1,12}", fullmatch=True), st.binary(max_size=60)), max_size=12
    )
)
def test_no_value_however_encoded_ever_makes_or_hides_a_header(values: list[tuple[str, bytes]]) -> None:
    lines = [f"{name}: ".encode() + b"".join(b"%%%02X" % byte for byte in value) for name, value in values]
    headers = parse_headers(b"\n".join([b"Event-Name: DTMF", *lines]), most=20, encoded=True)
    expected = {"Event-Name": "DTMF"}
    for name, value in values:
        expected.setdefault(name, value.decode("utf-8", "replace"))
    assert headers == expected


@pytest.mark.parametrize(
    "data",
    [
        f"Content-Length: {MAX_BODY_BYTES}\n\n".encode(),
        b"A: ",
        b"Content-Length: 99999999999\n\n",
    ],
)
def test_what_never_ends_takes_no_more_memory_than_is_allowed(data: bytes) -> None:
    reader = FrameReader()
    chunk = b"x" * (64 << 10)
    tracemalloc.start()
    try:
        reader.feed(data)
        for _ in range(2 * MAX_BODY_BYTES // len(chunk)):
            reader.feed(chunk)
    except PbxProtocolError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * MAX_BODY_BYTES


def test_an_announced_body_costs_nothing_before_it_comes() -> None:
    reader = FrameReader()
    tracemalloc.start()
    reader.feed(f"Content-Length: {MAX_BODY_BYTES}\n\nx".encode())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
