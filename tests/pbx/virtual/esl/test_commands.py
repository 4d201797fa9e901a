"""Cutting what a client sends into commands, whatever it sends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pbx.virtual.esl.commands import MAX_BODY, MAX_HEAD, Broken, Command, CommandReader

name = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20).filter(
    lambda each: each != "content-length"
)
text = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=30).map(str.strip)
line = text.filter(bool)
body = st.text(max_size=50)
command = st.builds(Command, line, st.dictionaries(name, text, max_size=5), body)


def written(each: Command) -> bytes:
    lines = [each.line, *(f"{key}: {value}" for key, value in each.headers.items())]
    if each.body:
        lines.append(f"Content-Length: {len(each.body.encode())}")
    return ("\n".join(lines) + "\n\n" + each.body).encode()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(command, max_size=5), st.lists(st.integers(0, 10_000), max_size=20))
def test_commands_come_out_as_they_were_however_they_are_cut(sent: list[Command], cuts: list[int]) -> None:
    reader = CommandReader()
    found = [each for piece in pieces(b"".join(map(written, sent)), cuts) for each in reader.feed(piece)]
    plain = [
        Command(each.line, {k: v for k, v in each.headers.items() if k != "content-length"}, each.body)
        for each in found
    ]
    assert plain == sent


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_give_commands_or_the_one_typed_error(sent: list[bytes]) -> None:
    reader = CommandReader()
    try:
        for piece in sent:
            for each in reader.feed(piece):
                assert "\n" not in each.line
                assert all("\n" not in key + value for key, value in each.headers.items())
    except Broken:
        pass


@given(st.binary(max_size=40), st.sampled_from([b"\n\n", b"\n\r\n", b"\r\n\r\n"]))
def test_line_ends_of_both_kinds_end_a_command(line: bytes, end: bytes) -> None:
    plain = bytes(byte for byte in line if byte > 32) or b"x"
    assert [each.line for each in CommandReader().feed(plain + end)] == [plain.decode("utf-8", "replace")]


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (MAX_HEAD + 4),
        b"x: y\n" * (MAX_HEAD // 4),
        b"a\n" + b"b: c\n" * 300 + b"\n",
        b"sendevent X\nContent-Length: 99999999999\n\n",
        b"sendevent X\nContent-Length: -1\n\n",
        b"sendevent X\nContent-Length: 1e3\n\n",
        f"sendevent X\nContent-Length: {MAX_BODY + 1}\n\n".encode(),
    ],
)
def test_what_would_never_end_is_refused(data: bytes) -> None:
    with pytest.raises(Broken):
        CommandReader().feed(data)


def test_a_body_may_hold_empty_lines() -> None:
    sent = b"sendmsg u\nContent-Length: 6\n\na\n\nb\n\napi status\n\n"
    assert CommandReader().feed(sent) == [
        Command("sendmsg u", {"content-length": "6"}, "a\n\nb\n\n"[:6]),
        Command("api status"),
    ]
