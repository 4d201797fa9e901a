"""Applications: who hears what, and for how long they are remembered."""

from __future__ import annotations

import pytest

from tests.pbx.virtual.ari.desk import Desk, Listener, said


def test_the_newest_connection_takes_an_application_over() -> None:
    desk = Desk()
    newer = Listener()
    desk.connect("app", newer)
    assert desk.listener.kinds == ["ApplicationReplaced"]
    desk.dial("0101")
    desk.pass_time(1)
    assert newer.kinds[-1] == "ChannelDestroyed"
    desk.face.apps.disconnect(desk.listener)
    desk.dial("0101")
    desk.pass_time(1)
    assert newer.kinds.count("ChannelDestroyed") == 2
    assert desk.listener.kinds == ["ApplicationReplaced"]


def test_an_application_lives_as_long_as_its_channels_and_keeps_its_filter_so_long() -> None:
    desk = Desk()
    desk.up()
    desk.ask("PUT", "applications/app/eventFilter", {"allowed": [{"type": "StasisStart"}]})
    desk.face.apps.disconnect(desk.listener)
    shape = said(desk.ask("GET", "applications/app"))
    assert (shape["channel_ids"], shape["events_allowed"]) == (["c"], [{"type": "StasisStart"}])
    desk.ask("DELETE", "channels/c")
    desk.pass_time(0)
    assert desk.ask("GET", "applications/app").status == 404
    assert not desk.listener.events


@pytest.mark.parametrize(
    ("body", "allowed", "disallowed"),
    [
        ({"disallowed": [{"type": "ChannelVarset"}]}, [], ["ChannelVarset"]),
        ({"allowed": [{"type": "Dial"}]}, ["Dial"], ["Old"]),
        ({}, [], []),
        (None, [], []),
    ],
)
def test_a_filter_is_set_list_by_list_and_cleared_by_nothing(
    body: object, allowed: list[str], disallowed: list[str]
) -> None:
    desk = Desk()
    desk.ask("PUT", "applications/app/eventFilter", {"disallowed": [{"type": "Old"}]})
    shape = said(desk.ask("PUT", "applications/app/eventFilter", body))
    assert [each["type"] for each in shape["events_allowed"]] == allowed
    assert [each["type"] for each in shape["events_disallowed"]] == disallowed


@pytest.mark.parametrize("given", ["x", ["x"], [{"x": 1}], 5])
def test_an_unfit_filter_is_refused(given: object) -> None:
    desk = Desk()
    assert desk.ask("PUT", "applications/app/eventFilter", {"allowed": given}).status == 400
    assert desk.ask("PUT", "applications/none/eventFilter", {}).status == 404


def test_what_is_filtered_away_does_not_come() -> None:
    desk = Desk()
    wanted = [{"type": "StasisStart"}, {"type": "ChannelDestroyed"}]
    desk.ask(
        "PUT", "applications/app/eventFilter", {"allowed": wanted, "disallowed": [{"type": "StasisStart"}]}
    )
    desk.dial("0105")
    desk.pass_time(5)
    assert desk.listener.kinds == ["ChannelDestroyed"]


def test_an_application_may_listen_to_a_channel_of_another() -> None:
    desk = Desk()
    watcher = Listener()
    desk.connect("watch", watcher)
    desk.dial("0105")
    assert desk.ask("POST", "applications/watch/subscription", eventSource="channel:c").status == 200
    desk.pass_time(5)
    assert watcher.kinds == desk.listener.kinds
    assert desk.ask("POST", "applications/watch/subscription", eventSource="channel:c").status == 422
    assert desk.ask("POST", "applications/watch/subscription", eventSource="bogus:c").status == 400


def test_a_user_event_reaches_its_application() -> None:
    desk = Desk()
    assert desk.ask("POST", "events/user/hello", application="app").status == 204
    desk.pass_time(0)
    assert desk.listener.events[0]["eventname"] == "hello"
    assert desk.ask("POST", "events/user/hello", application="none").status == 404
    assert desk.ask("POST", "events/user/hello", application="app", source="channel:none").status == 422


def test_what_the_switch_says_of_itself() -> None:
    desk = Desk()
    assert said(desk.ask("GET", "asterisk/ping"))["ping"] == "pong"
    assert said(desk.ask("GET", "asterisk/info"))["system"]["version"].startswith("22.")
    assert list(said(desk.ask("GET", "asterisk/info", only="status"))) == ["status"]
    assert desk.ask("GET", "asterisk/info", only="bogus").status == 400
    assert said(desk.ask("GET", "endpoints/PJSIP/lab"))["state"] == "online"
    assert desk.ask("GET", "endpoints/PJSIP/nosuch").status == 404
