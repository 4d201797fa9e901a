"""Bridges on the ARI face: who is in, who hears whom, what is played and recorded there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.pbx.virtual.ari.request import Answer
from orchestrator.pbx.virtual.callees import Callee
from tests.pbx.virtual.ari.desk import Desk, digits, said
from tests.pbx.virtual.world import samples_in, write_sound


def bridge(desk: Desk, *channels: str, name: str = "b") -> None:
    assert desk.ask("POST", f"bridges/{name}", {"type": "mixing"}).status == 200
    if channels:
        assert desk.ask("POST", f"bridges/{name}/addChannel", {"channel": list(channels)}).status == 204


def test_a_bridge_is_made_once_and_shown_and_destroyed() -> None:
    desk = Desk()
    made = said(desk.ask("POST", "bridges", {"bridgeId": "b", "type": "mixing", "name": "n"}))
    assert (made["id"], made["technology"], made["name"], made["channels"]) == ("b", "simple_bridge", "n", [])
    assert desk.ask("POST", "bridges/b", {"type": "mixing"}).status == 409
    assert desk.ask("POST", "bridges", {"type": "bogus"}).status == 500
    assert said(desk.ask("GET", "bridges")) == [made]
    assert said(desk.ask("GET", "bridges/b")) == made
    assert desk.ask("DELETE", "bridges/b").status == 204
    missing = desk.ask("DELETE", "bridges/b")
    assert (missing.status, missing.reason) == (404, "Not found")


async def test_channels_enter_and_leave_with_events() -> None:
    desk = Desk()
    desk.up(channel="x")
    desk.up(channel="y")
    bridge(desk, "x", "y")
    assert said(desk.ask("GET", "bridges/b"))["channels"] == ["x", "y"]
    assert said(desk.ask("GET", "applications/app"))["bridge_ids"] == ["b"]
    assert desk.ask("POST", "bridges/b/removeChannel", channel="y").status == 204
    assert desk.ask("POST", "bridges/b/removeChannel", channel="y").status == 422
    desk.ask("DELETE", "channels/x")
    desk.pass_time(0)
    desk.ask("DELETE", "bridges/b")
    desk.pass_time(0)
    assert [(each["type"], each.get("bridge", {}).get("channels")) for each in desk.listener.events] == [
        ("ChannelEnteredBridge", ["x"]),
        ("ChannelEnteredBridge", ["x", "y"]),
        ("ChannelLeftBridge", ["x"]),
        ("ChannelHangupRequest", None),
        ("ChannelLeftBridge", []),
        ("StasisEnd", None),
        ("ChannelVarset", None),
        ("ChannelDestroyed", None),
        ("BridgeDestroyed", []),
    ]


async def test_who_enters_another_bridge_leaves_the_first() -> None:
    desk = Desk()
    desk.up(channel="x")
    bridge(desk, "x")
    bridge(desk, "x", name="other")
    assert desk.listener.kinds == ["ChannelEnteredBridge", "ChannelLeftBridge", "ChannelEnteredBridge"]
    assert said(desk.ask("GET", "bridges/b"))["channels"] == []


async def test_entering_waits_for_what_is_being_played(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up(channel="x")
    desk.ask("POST", "channels/x/play/p", {"media": ["sound:digits/1"]})
    desk.pass_time(0.1)
    desk.ask("POST", "bridges/b", {"type": "mixing"})
    later = desk.ask_later("POST", "bridges/b/addChannel", channel="x")
    assert isinstance(later, asyncio.Future)
    desk.pass_time(0.8)
    assert not later.done()
    desk.pass_time(0.2)
    assert later.result().status == 204
    assert desk.listener.kinds == ["PlaybackStarted", "PlaybackFinished", "ChannelEnteredBridge"]


async def test_a_hang_up_answers_who_waits_to_enter(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up(channel="x")
    desk.ask("POST", "channels/x/play/p", {"media": ["sound:digits/1"]})
    desk.pass_time(0.1)
    desk.ask("POST", "bridges/b", {"type": "mixing"})
    later = desk.ask_later("POST", "bridges/b/addChannel", channel="x")
    assert isinstance(later, asyncio.Future)
    desk.ask("DELETE", "channels/x")
    desk.pass_time(0)
    assert isinstance(later.result(), Answer)
    assert said(desk.ask("GET", "bridges/b"))["channels"] == []


async def test_only_channels_in_their_application_enter() -> None:
    desk = Desk()
    desk.dial("0102", "ringing")
    desk.pass_time(1)
    desk.ask("POST", "bridges/b", {"type": "mixing"})
    assert desk.ask("POST", "bridges/b/addChannel", channel="ringing").status == 422
    assert desk.ask("POST", "bridges/b/addChannel", channel="none").status == 400
    assert desk.ask("POST", "bridges/b/addChannel").status == 400
    assert desk.ask("POST", "bridges/none/addChannel", channel="ringing").status == 404


async def test_all_in_a_bridge_hear_what_is_played_into_it_and_it_fails_when_it_is_destroyed(
    tmp_path: Path,
) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up(channel="x")
    desk.up(channel="y")
    bridge(desk, "x", "y")
    assert desk.ask("POST", "bridges/b/play/p", {"media": ["sound:digits/1", "sound:digits/2"]}).status == 201
    desk.pass_time(1.25)
    desk.ask("DELETE", "bridges/b")
    desk.pass_time(0)
    told = [event["playback"]["state"] for event in desk.listener.events if "playback" in event]
    assert told == ["playing", "continuing", "playing", "failed"]
    assert desk.listener.kinds[-1] == "BridgeDestroyed"
    for channel in ("x", "y"):
        ear = desk.switch.legs[channel].ear
        assert ear is not None
        samples = samples_in(ear.pcm(desk.timeline.now()))
        assert (samples.count(1), samples.count(2)) == (8000, 2000)


async def test_a_bridge_records_everybody_in_it_mixed(tmp_path: Path) -> None:
    write_sound(tmp_path, "one", [100] * 8000)
    write_sound(tmp_path, "two", [30] * 8000)
    desk = Desk(tmp_path, callees={"1": Callee(says="one"), "2": Callee(says="two")})
    desk.up("1", "x")
    desk.pass_time(0.5)
    desk.up("2", "y")
    bridge(desk, "x", "y")
    desk.ask("POST", "bridges/b/record", {"name": "r", "format": "sln"})
    desk.pass_time(2)
    assert desk.ask("POST", "recordings/live/r/stop").status == 204
    desk.pass_time(0)
    samples = samples_in(desk.ask("GET", "recordings/stored/r/file").body)
    assert samples.count(130) > 3000
    assert samples.count(30) > 3000
    assert desk.listener.of("RecordingFinished")[0]["recording"]["target_uri"] == "bridge:b"


async def test_one_that_is_added_again_leaves_and_enters_anew() -> None:
    desk = Desk()
    desk.up(channel="x")
    desk.up(channel="y")
    bridge(desk, "x", "y")
    desk.listener.events.clear()
    assert desk.ask("POST", "bridges/b/addChannel", channel="x").status == 204
    assert desk.listener.kinds == ["ChannelLeftBridge", "ChannelEnteredBridge"]
    assert sorted(said(desk.ask("GET", "bridges/b"))["channels"]) == ["x", "y"]


async def test_who_is_played_to_alone_and_the_others_in_his_bridge_do_not_hear_each_other(
    tmp_path: Path,
) -> None:
    write_sound(tmp_path, "warning", [7] * 4000)
    write_sound(tmp_path, "one", [100] * 8000)
    write_sound(tmp_path, "two", [30] * 8000)
    desk = Desk(tmp_path, callees={"1": Callee(says="one"), "2": Callee(says="two")})
    desk.up("1", "x")
    desk.up("2", "y")
    bridge(desk, "x", "y")
    desk.pass_time(0.25)
    desk.ask("POST", "channels/x/play/p", {"media": ["sound:warning"]})
    desk.pass_time(0.6)
    for channel, voice, played in (("x", 30, 7), ("y", 100, 0)):
        ear = desk.switch.legs[channel].ear
        assert ear is not None
        samples = samples_in(ear.pcm(desk.timeline.now()))
        assert set(samples[-6800:-4800]) == {voice}
        assert set(samples[-4800:-800]) == {played}
        assert set(samples[-800:]) == {voice}
