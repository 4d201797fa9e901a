"""What goes out: nothing in a value may pass for a header, whatever it is."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pbx.esl.events import decode
from orchestrator.pbx.esl.frames import FrameReader
from orchestrator.pbx.virtual.esl import wire
from orchestrator.pbx.virtual.esl.dialstring import Unreadable, read_endpoint, read_originate, read_variables
from orchestrator.pbx.virtual.esl.filters import Wishes

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(any_text)
def test_an_encoded_value_is_one_line_and_comes_back(value: str) -> None:
    encoded = wire.encoded(value)
    assert encoded.isascii()
    assert not set(encoded) & set("\r\n:")
    assert unquote(encoded, errors="strict") == value


@given(any_text, any_text, st.sampled_from(["plain", "json"]))
def test_an_event_is_read_by_the_projects_own_reader(value: str, body: str, encoding: wire.Encoding) -> None:
    fields = {"Event-Name": "X", "Unique-ID": "u", "Hangup-Cause": value, "Job-UUID": "j"}
    frames = FrameReader().feed(wire.event(fields, body, encoding))
    assert len(frames) == 1
    event = decode(frames[0])
    assert (event.name, event.hangup_cause, event.body) == ("X", value, body)


@given(any_text)
def test_a_reply_has_two_lines_whatever_it_says(text: str) -> None:
    head, _, rest = wire.reply(text).decode().partition("\n\n")
    assert head.count("\n") == 1
    assert rest == ""


@given(any_text)
def test_an_answer_is_as_long_as_it_says(text: str) -> None:
    frames = FrameReader().feed(wire.answer(text))
    assert frames[0].body.decode() == text


def test_json_values_are_strings() -> None:
    told = wire.event({"Event-Name": "X"}, "+OK\n", "json").partition(b"\n\n")[2]
    assert json.loads(told) == {"Event-Name": "X", "Content-Length": "4", "_body": "+OK\n"}


@given(st.text(max_size=120))
def test_any_originate_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        read_endpoint(read_originate(text).endpoint)


def test_variables_are_read_as_freeswitch_reads_them() -> None:
    assert read_variables("a=1,b=2,c") == {"a": "1", "b": "2", "c": "true"}
    assert read_variables(r"a=1\,2,b='x,y'") == {"a": "1,2", "b": "x,y"}
    assert read_variables("^^:a=1:b=2,3") == {"a": "1", "b": "2,3"}


def test_filters_let_through_what_fits_any_and_nothing_that_is_refused() -> None:
    wishes = Wishes()
    assert wishes.passes({"A": "1"})
    wishes.add_filter("A", "x")
    wishes.add_filter("B", "/^job-/")
    assert wishes.passes({"A": "X"})
    assert wishes.passes({"B": "job-1"})
    assert not wishes.passes({"A": "y", "B": "no-job-"})
    wishes.add_filter("C", "-bad")
    assert not wishes.passes({"A": "x", "C": "bad"})
    wishes.remove_filters("A", "")
    assert not wishes.passes({"A": "x"})
    wishes.remove_filters("all", "")
    assert wishes.passes({})


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_filter_breaks_anything(wanted: str, value: str) -> None:
    wishes = Wishes()
    wishes.add_filter("A", wanted)
    assert wishes.passes({"A": value}) in (True, False)
