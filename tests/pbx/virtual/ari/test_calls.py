"""Calls on the ARI face: each number's events as captured on Asterisk, and the quirks of requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.pbx.virtual.switch import Limits
from tests.pbx.virtual.ari.desk import Desk, Listener, said

CAPTURES = Path(__file__).resolve().parents[3] / "real" / "captures"

SCENES = {
    "0100-answered-we-hang-up": ("hangup", "StasisStart"),
    "0101-busy": None,
    "0102-cancelled-while-ringing": ("hangup", "Dial RINGING"),
    "0102-no-answer": None,
    "0103-declined": None,
    "0104-unallocated": None,
    "0105-callee-hangs-up": None,
    "0106-presses-1": ("hangup", "ChannelDtmfReceived"),
    "0107-early-media": ("hangup", "StasisStart"),
    "0108-answers-at-once": ("hangup", "StasisStart"),
    "0109-congestion": None,
    "0111-presses-42-hash": ("hangup", "ChannelDtmfReceived #"),
}
CHANGES = {"timestamp", "asterisk_id", "application"}
VARIES = {"name", "protocol_id", "creationtime"}


def captured(name: str) -> list[dict[str, Any]]:
    """The events of a real Asterisk, less the RTP statistics, which a switch without RTP has not got."""
    lines = (CAPTURES / f"{name}.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [event for event in events if not str(event.get("variable", "")).startswith("RTPAUDIO")]


def bare(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what differs from one call to the next, and without the ids."""
    kept = {key: value for key, value in event.items() if key not in CHANGES}
    for key in ("channel", "peer"):
        if key in kept:
            kept[key] = {name: value for name, value in kept[key].items() if name not in VARIES | {"id"}}
            kept[key]["dialplan"] = {
                name: value.replace("probe", "app") if isinstance(value, str) else value
                for name, value in kept[key]["dialplan"].items()
            }
    return kept


def settled(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In a fixed order where Asterisk itself has none: it tells of a ringing twice, by `Dial` and by
    ChannelStateChange, in either order, and `Dial` may still say that the channel is down."""
    for n in range(1, len(events)):
        pair = events[n - 1 : n + 1]
        if {each["type"] for each in pair} == {"Dial", "ChannelStateChange"}:
            dial = next(each for each in pair if each["type"] == "Dial")
            if dial["dialstatus"] == "RINGING":
                dial["peer"]["state"] = "Ringing"
                events[n - 1 : n + 1] = sorted(pair, key=lambda each: str(each["type"]))
    return events


def after(events: list[dict[str, Any]]) -> list[float]:
    """When each event came, in seconds after the first."""
    seconds = [float(event["timestamp"][17:23]) for event in events]
    return [(each - seconds[0]) % 60 for each in seconds]


@pytest.mark.parametrize("scene", SCENES)
def test_the_events_are_those_of_a_real_asterisk_field_for_field(scene: str) -> None:
    desk = Desk()
    desk.dial(scene[:4], timeout=3)
    act = SCENES[scene]
    for _ in range(4000):
        desk.pass_time(0.001)
        if act is not None:
            kind, _, detail = act[1].partition(" ")
            if any(
                detail in (each.get("dialstatus"), each.get("digit"), "") for each in desk.listener.of(kind)
            ):
                assert desk.ask("DELETE", "channels/c").status == 204
                act = None
    mine, real = desk.listener.events, captured(scene)
    assert settled([bare(event) for event in mine]) == settled([bare(event) for event in real])
    for ours, theirs in zip(after(mine), after(real), strict=True):
        assert ours == pytest.approx(theirs, abs=0.06)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, '{"message":"Endpoint must be specified"}'),
        ({"endpoint": "PJSIP/1@lab"}, 400, '{"message":"Application or extension must be specified"}'),
        ({"endpoint": "PJSIP/1@nosuch", "app": "app"}, 500, '{"error":"Allocation failed"}'),
        ({"endpoint": "Bogus/1", "app": "app"}, 500, '{"error":"Allocation failed"}'),
        ({"endpoint": "PJSIP/1", "app": "app"}, 500, '{"error":"Allocation failed"}'),
        ({"endpoint": "nonsense", "app": "app"}, 400, '{"message":"Invalid endpoint specified"}'),
    ],
)
def test_an_unfit_originate_is_refused_in_asterisks_words(
    body: dict[str, str], status: int, text: str
) -> None:
    answer = Desk().ask("POST", "channels", body)
    assert (answer.status, answer.body.decode()) == (status, text)


def test_an_id_is_taken_while_its_channel_lives_and_no_longer() -> None:
    desk = Desk()
    desk.up()
    refused = desk.dial("0110")
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert said(refused) == {"message": "Channel with given unique ID already exists"}
    desk.ask("DELETE", "channels/c")
    desk.pass_time(0)
    assert desk.dial("0110").status == 200


def test_a_limit_of_the_switch_refuses_an_originate() -> None:
    desk = Desk(limits=Limits(calls=1))
    desk.up()
    assert desk.dial("0110", "more").status == 500


@pytest.mark.parametrize(
    ("query", "cause", "sip"),
    [
        ({}, 16, None),
        ({"reason": "busy"}, 17, 486),
        ({"reason": "congestion"}, 34, 503),
        ({"reason": "no_answer"}, 19, 480),
        ({"reason_code": "1"}, 1, 404),
        ({"reason_code": "21"}, 21, 403),
        ({"reason_code": "0"}, 0, None),
        ({"reason_code": "999"}, 999, None),
    ],
)
def test_a_hang_up_carries_the_cause_that_is_asked_for(
    query: dict[str, str], cause: int, sip: int | None
) -> None:
    desk = Desk()
    desk.up()
    assert desk.ask("DELETE", "channels/c", **query).status == 204
    desk.pass_time(0)
    assert desk.listener.kinds == ["ChannelHangupRequest", "StasisEnd", "ChannelVarset", "ChannelDestroyed"]
    asked, ended = desk.listener.events[0], desk.listener.events[-1]
    assert (asked["cause"], asked["soft"]) == (32, True)
    assert (ended["cause"], ended.get("tech_cause")) == (cause, sip)


def test_an_unknown_reason_is_refused() -> None:
    desk = Desk()
    desk.up()
    answer = desk.ask("DELETE", "channels/c", reason="bogus")
    assert (answer.status, answer.reason) == (400, "Invalid Reason")


@pytest.mark.parametrize("path", ["play", "answer", "ring", "record", "dtmf", "mute", "variable", "hold"])
def test_what_needs_the_application_is_refused_before_the_answer(path: str) -> None:
    desk = Desk()
    desk.dial("0102")
    desk.pass_time(1)
    body = {
        "media": ["sound:a"],
        "dtmf": "1",
        "direction": "in",
        "variable": "X",
        "name": "r",
        "format": "wav",
    }
    answer = desk.ask("POST", f"channels/c/{path}", body)
    assert (answer.status, said(answer)) == (409, {"message": "Channel not in Stasis application"})


def test_a_call_that_is_answered_while_its_application_is_away_ends() -> None:
    desk = Desk()
    watcher = Listener()
    desk.connect("all", watcher, everything=True)
    desk.dial("0108", app="nobody")
    desk.pass_time(1)
    ends = [(event["type"], event.get("value")) for event in watcher.events[-3:]]
    assert ends == [("ChannelVarset", ""), ("ChannelVarset", "FAILED"), ("ChannelDestroyed", None)]
    assert watcher.events[-1]["cause"] == 0
    assert said(desk.ask("GET", "channels")) == []


def test_variables_are_set_kept_and_told() -> None:
    desk = Desk()
    desk.up(variables={"A": "1", "B": {"value": "2"}, "CALLERID(name)": "Bob"})
    for name, value in (("A", "1"), ("B", "2"), ("CALLERID(num)", "15550100"), ("CALLERID(name)", "Bob")):
        assert said(desk.ask("GET", "channels/c/variable", variable=name)) == {"value": value}
    unknown = desk.ask("GET", "channels/c/variable", variable="C")
    assert (unknown.status, unknown.reason) == (404, "Variable Not Found")
    desk.ask("POST", "channels/c/variable", variable="C", value="3")
    desk.pass_time(0)
    assert (desk.listener.events[-1]["variable"], desk.listener.events[-1]["value"]) == ("C", "3")
    assert desk.dial("0110", "d", variables={"A": 1}).status == 400


def test_a_channel_can_be_made_first_and_dialled_later() -> None:
    desk = Desk()
    made = desk.ask(
        "POST", "channels/create", {"endpoint": "PJSIP/12025550108@lab", "app": "app", "channelId": "c"}
    )
    assert said(made)["dialplan"]["app_name"] == ""
    desk.pass_time(1)
    assert desk.listener.kinds == ["ChannelDialplan", "ChannelVarset", "StasisStart"]
    assert desk.ask("POST", "channels/c/dial", timeout="3").status == 204
    desk.pass_time(1)
    assert desk.listener.kinds[3:] == ["Dial", "ChannelStateChange", "Dial"]
    assert said(desk.ask("GET", "channels/c"))["state"] == "Up"


def test_a_channel_that_leaves_the_application_ends_for_want_of_a_dialplan() -> None:
    desk = Desk()
    desk.up()
    desk.ask("POST", "channels/c/continue")
    desk.pass_time(0)
    assert desk.listener.kinds == ["StasisEnd", "ChannelVarset", "ChannelDialplan", "ChannelDestroyed"]


def test_keys_that_are_sent_reach_the_callee() -> None:
    desk = Desk()
    desk.up()
    assert desk.ask("POST", "channels/c/dtmf", dtmf="12#x").status == 204
    assert desk.switch.legs["c"].heard_keys == "12#"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nosuch", 404),
        ("GET", "channels/a/b/c", 404),
        ("PATCH", "channels", 405),
        ("OPTIONS", "channels", 204),
        ("GET", "", 404),
    ],
)
def test_what_is_not_there_is_answered_as_asterisk_does(method: str, path: str, status: int) -> None:
    answer = Desk().ask(method, path)
    assert answer.status == status
    if status in (204, 405):
        assert answer.headers == (("Allow", "OPTIONS,GET,POST"),)
