"""What `ari_client` holds for the same: orders that Asterisk's threads leave open, and no others."""

import itertools
from typing import Any

import pytest

from tests.real.ari_client import settled_order

START = {"type": "StasisStart", "channel": {"id": "c"}}
END = {"type": "StasisEnd", "channel": {"id": "c"}}


def dial(status: str, state: str) -> dict[str, Any]:
    return {"type": "Dial", "dialstatus": status, "peer": {"id": "c", "state": state}}


def change(state: str, channel: str = "c") -> dict[str, Any]:
    return {"type": "ChannelStateChange", "channel": {"id": channel, "state": state}}


def kinds(*events: dict[str, Any]) -> list[tuple[str, str, str]]:
    told = [event for _, event in settled_order(list(enumerate(events)))]
    return [
        (each["type"], each.get("dialstatus", ""), (each.get("peer") or each["channel"]).get("state", ""))
        for each in told
    ]


ANSWERED = kinds(START, dial("", "Down"), change("Up"), dial("ANSWER", "Up"), END)
RANG = kinds(START, dial("", "Down"), change("Ringing"), dial("RINGING", "Ringing"), END)


@pytest.mark.parametrize("at", [2, 3])
def test_a_dial_that_is_told_after_its_answer_is_the_same(at: int) -> None:
    events = [START, change("Up"), dial("ANSWER", "Up"), END]
    events.insert(at, dial("", "Up"))
    assert kinds(*events) == ANSWERED


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("state", ["Down", "Ringing"])
def test_what_three_threads_tell_of_a_ringing_may_come_in_any_order(
    order: tuple[int, ...], state: str
) -> None:
    three = [dial("", state), change("Ringing"), dial("RINGING", state)]
    assert kinds(START, *(three[n] for n in order), END) == RANG


def test_an_answer_that_is_told_after_the_dials_is_another_order() -> None:
    assert kinds(START, dial("", "Down"), dial("ANSWER", "Up"), change("Up"), END) != ANSWERED


def test_a_dial_does_not_go_before_what_is_told_of_another_channel() -> None:
    told = kinds(START, change("Up", "other"), dial("", "Down"), END)
    assert [kind for kind, _, _ in told] == ["StasisStart", "ChannelStateChange", "Dial", "StasisEnd"]
