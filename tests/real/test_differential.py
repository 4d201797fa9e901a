"""The virtual PBX against the real Asterisk: the same requests give the same answers and the same events.

Compared are all answers (status, reason, body) and all events field for field, in order and in time, but
for what differs from one run of Asterisk to the next (see ari_client.py).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from orchestrator.pbx.virtual.callees import LAB
from orchestrator.testing import virtual_pbx_with
from tests.real.ari_client import Client, client_of
from tests.real.lab import LabInfo

pytestmark = [pytest.mark.real, pytest.mark.alone]  # it compares times: a busy machine is late by itself

FOLDER = "difference"
Scene = Callable[[Client], Coroutine[None, None, None]]
SCENES: dict[str, Scene] = {}
LATE = 0.25
"""Seconds by which the time from one event to the next may differ, on a busy machine."""


def scene(act: Scene) -> Scene:
    """One that is played on both."""
    SCENES[act.__name__.replace("_", " ")] = act
    return act


@pytest.fixture(scope="module")
def sounds(lab: LabInfo) -> Path:
    """Two sounds that both have: `a` of 0.4 s and `b` of 0.2 s."""
    folder = lab.sounds / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / "a.ulaw").write_bytes(b"\xff" * 3200)
    (folder / "b.ulaw").write_bytes(b"\xff" * 1600)
    return lab.sounds


def media(*names: str) -> dict[str, list[str]]:
    return {"media": [f"sound:{FOLDER}/{name}" for name in names]}


async def on_both(lab: LabInfo, folder: Path, act: Scene) -> tuple[Client, Client]:
    """Play it on both at the same time."""
    app = f"diff-{uuid.uuid4().hex}"
    async with (
        virtual_pbx_with(folders=(folder,), trunks=("lab", "sipp")) as virtual,
        client_of(lab.ari_url, lab.ari_password, app) as theirs,
        client_of(virtual.ari_url, virtual.settings.password, app) as ours,
    ):
        async with asyncio.TaskGroup() as group:
            for client in (theirs, ours):
                group.create_task(act(client))
        return theirs, ours


def same(theirs: Client, ours: Client) -> None:
    """Fail unless both say the same."""
    assert ours.answers == theirs.answers
    mine, real = ours.told(), theirs.told()
    assert [event for _, event in mine] == [event for _, event in real]
    for n in range(1, len(mine)):
        waited, real_waited = (told[n][0] - told[n - 1][0] for told in (mine, real))
        assert waited == pytest.approx(real_waited, abs=LATE), mine[n][1]


@pytest.mark.parametrize("number", [*LAB, "0199"])
async def test_each_number_gives_the_same(lab: LabInfo, sounds: Path, number: str) -> None:
    stays = {"0100", "0106", "0107", "0108", "0110", "0111", "0112", "0113"}

    async def call(client: Client) -> None:
        await client.dial(number, "c", timeout=3)
        if number in stays:
            await client.event("StasisStart")
            await client.ask("GET", "channels/c")
            if LAB[number].presses:
                await client.event("ChannelDtmfReceived", len(LAB[number].presses))
            await client.ask("DELETE", "channels/c")
        await client.event("ChannelDestroyed")
        await client.ask("GET", "channels/c")
        await client.ask("DELETE", "channels/c")

    same(*await on_both(lab, sounds, call))


@scene
async def our_hang_up_while_it_rings(client: Client) -> None:
    await client.dial("0102", "c")
    await client.event("ChannelStateChange")
    await client.event("Dial", dialstatus="RINGING")
    for path in ("play", "answer", "ring", "hold", "record", "dtmf", "mute"):
        body = {**media("a"), "name": "r", "format": "wav", "dtmf": "1", "direction": "in"}
        await client.ask("POST", f"channels/c/{path}", body)
    await client.ask("DELETE", "channels/c", reason="busy")
    await client.event("ChannelDestroyed")


@scene
async def hang_ups_for_every_reason(client: Client) -> None:
    reasons = ["normal", "busy", "congestion", "no_answer", "rejected", "unallocated", "number_incomplete"]
    for n, reason in enumerate([*reasons, "failure", "interworking", "answered_elsewhere"]):
        await client.up("0108", f"c{n}")
        await client.ask("DELETE", f"channels/c{n}", reason=reason)
        await client.event("ChannelDestroyed", n + 1)


@scene
async def hang_ups_with_every_cause(client: Client) -> None:
    for n, cause in enumerate(range(128)):
        await client.up("0108", f"c{n}")
        await client.ask("DELETE", f"channels/c{n}", reason_code=str(cause))
        await client.event("ChannelDestroyed", n + 1)


@scene
async def an_id_that_is_taken(client: Client) -> None:
    await client.up("0110", "c")
    await client.dial("0110", "c")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")
    await client.up("0110", "c")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed", 2)


@scene
async def originates_that_cannot_be(client: Client) -> None:
    for body in (
        {"endpoint": "", "app": client.app},
        {"endpoint": "nonsense"},
        {"endpoint": "PJSIP/1@nosuch"},
        {"endpoint": "Bogus/1"},
        {"endpoint": "PJSIP/1"},
        {"app": ""},
        {"variables": {"A": 1}},
    ):
        await client.dial("0108", "c", **body)
    await client.dial("0108", "x" * 150)


@scene
async def lists_of_sounds_with_and_without_holes(client: Client) -> None:
    await client.up("0110", "c")
    for n, names in enumerate(("a", "ab", "n", "nb", "anb", "an", "nn")):
        await client.ask("POST", f"channels/c/play/p{n}", media(*names))
        await client.event("PlaybackFinished", n + 1)
        await client.forgotten(f"playbacks/p{n}")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")


@scene
async def media_that_are_none(client: Client) -> None:
    await client.up("0110", "c")
    for n, uri in enumerate(("bogus:1", f"{FOLDER}/a", "recording:none")):
        await client.ask("POST", f"channels/c/play/p{n}", {"media": [uri]})
        await client.event("PlaybackStarted", n + 1)
    await client.ask("POST", "channels/c/play", {"media": []})
    await client.ask("POST", "channels/c/play/last", media("b"))
    await client.event("PlaybackFinished")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")


@scene
async def a_playback_that_is_stopped_and_one_that_waits(client: Client) -> None:
    await client.up("0110", "c")
    await client.ask("POST", "channels/c/play/p", media(*"aaa"))
    await client.event("PlaybackStarted")
    await client.ask("POST", "channels/c/play/q", media("b"))
    await client.ask("POST", "channels/c/play/r", media("b"))
    await client.ask("GET", "playbacks/q")
    await client.ask("DELETE", "playbacks/p")
    await client.event("PlaybackFinished", 3)
    await client.ask("DELETE", "playbacks/p")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")


@scene
async def our_hang_up_while_it_plays_and_more_waits(client: Client) -> None:
    await client.up("0110", "c")
    for playback in ("p", "q", "r"):
        await client.ask("POST", f"channels/c/play/{playback}", media("a", "b"))
    await client.event("PlaybackStarted")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")
    await client.ask("GET", "playbacks/q")


@scene
async def the_callees_hang_up_while_it_plays(client: Client) -> None:
    await client.up("0105", "c")
    await client.ask("POST", "channels/c/play/p", media(*"aaaaaa"))
    await client.event("ChannelDestroyed")


@scene
async def variables(client: Client) -> None:
    await client.dial("0110", "c", variables={"A": "1", "B": {"value": "2"}})
    await client.event("StasisStart")
    for name in ("A", "B", "C", "CALLERID(num)", ""):
        await client.ask("GET", "channels/c/variable", variable=name)
    await client.ask("POST", "channels/c/variable", variable="C", value="3")
    await client.event("ChannelVarset", variable="C")
    await client.ask("GET", "channels/c/variable", variable="C")
    await client.ask("GET", "channels/none/variable", variable="C")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")


@scene
async def a_bridge_and_who_is_in_it(client: Client) -> None:
    await client.up("0110", "x")
    await client.up("0110", "y")
    await client.ask("POST", "bridges", {"bridgeId": "b", "type": "mixing", "name": "n"})
    await client.ask("POST", "bridges/b", {"type": "mixing"})
    await client.ask("POST", "bridges", {"type": "bogus"})
    await client.ask("POST", "bridges/b/addChannel", {"channel": ["x"]})
    await client.ask("POST", "bridges/b/addChannel", channel="y")
    await client.event("ChannelEnteredBridge", 2)
    for channel in ("none", ""):
        await client.ask("POST", "bridges/b/addChannel", channel=channel)
    await client.ask("GET", "bridges/b")
    await client.ask("GET", f"applications/{client.app}")
    await client.ask("POST", "bridges/b/removeChannel", channel="y")
    await client.event("ChannelLeftBridge")
    await client.ask("POST", "bridges/b/removeChannel", channel="y")
    await client.ask("DELETE", "channels/x")
    await client.event("ChannelDestroyed")
    await client.ask("DELETE", "bridges/b")
    await client.event("BridgeDestroyed")
    for method, path in (("DELETE", "bridges/b"), ("GET", "bridges/b"), ("POST", "bridges/b/addChannel")):
        await client.ask(method, path, channel="y")
    await client.ask("DELETE", "channels/y")
    await client.event("ChannelDestroyed", 2)


@scene
async def a_callback(client: Client) -> None:
    name = f"{client.app}-r"
    record = {"name": name, "format": "wav", "ifExists": "fail", "maxDurationSeconds": 60, "beep": False}
    await client.up("0110", "x")
    await client.ask("POST", "channels/x/play/ringing", {"media": ["tone:ring"]})
    await client.event("PlaybackStarted")
    await client.up("0110", "y")
    await client.ask("DELETE", "playbacks/ringing")
    await client.event("PlaybackFinished")
    await client.ask("POST", "bridges/b", {"type": "mixing,dtmf_events", "name": "n"})
    for _ in range(2):
        await client.ask("POST", "bridges/b/addChannel", {"channel": ["x", "y"]})
    await client.event("ChannelEnteredBridge", 4)
    await client.ask("POST", "bridges/b/play/both", media("a"))
    await client.event("PlaybackFinished", 2)
    await client.ask("POST", "bridges/b/record", record)
    await client.event("RecordingStarted")
    await client.ask("POST", "bridges/b/record", record)
    await client.ask("GET", f"recordings/live/{name}")
    await client.ask("GET", "bridges")
    for path in ("channels/x", "channels/y", f"applications/{client.app}"):
        await client.ask("GET", path)
    await client.ask("POST", f"recordings/live/{name}/stop")
    await client.event("RecordingFinished")
    await client.ask("POST", f"recordings/live/{name}/stop")
    await client.ask("POST", "bridges/b/record", record)
    # A moment for the recorder to leave: while it is in the bridge, Asterisk tells more of who stays alone.
    await client.ask("POST", "channels/x/play/one", media("a"))
    await client.event("PlaybackFinished", 3)
    await client.ask("DELETE", "channels/y")
    await client.event("ChannelDestroyed")
    await client.ask("POST", "channels/x/play/alone", media("b"))
    await client.event("PlaybackFinished", 4)
    await client.ask("DELETE", "bridges/b")
    await client.event("BridgeDestroyed")
    await client.ask("DELETE", "bridges/b")
    await client.ask("DELETE", "channels/x")
    await client.event("ChannelDestroyed", 2)
    await client.ask("GET", f"recordings/stored/{name}")
    for _ in range(2):
        await client.ask("DELETE", f"recordings/stored/{name}")


@scene
async def a_channel_enters_a_bridge_after_what_it_plays(client: Client) -> None:
    await client.up("0110", "x")
    await client.ask("POST", "bridges/b", {"type": "mixing"})
    await client.ask("POST", "channels/x/play/p", media("a"))
    await client.ask("POST", "bridges/b/addChannel", channel="x")
    await client.event("ChannelEnteredBridge")
    await client.ask("DELETE", "channels/x")
    await client.event("ChannelDestroyed")
    await client.ask("DELETE", "bridges/b")
    await client.event("BridgeDestroyed")


@scene
async def a_recording_of_a_channel(client: Client) -> None:
    name = f"{client.app}-r"
    await client.up("0110", "x")
    for body in (
        {"name": name, "format": "bogus"},
        {"format": "wav"},
        {"name": name, "format": "wav", "maxDurationSeconds": -1},
        {"name": name, "format": "wav"},
    ):
        await client.ask("POST", "channels/x/record", body)
    await client.event("RecordingStarted")
    await client.ask("GET", f"recordings/live/{name}")
    await client.ask("POST", f"recordings/live/{name}/stop")
    await client.event("RecordingFinished")
    await client.ask("GET", f"recordings/stored/{name}")
    await client.ask("POST", "channels/x/record", {"name": name, "format": "wav"})
    await client.ask("DELETE", f"recordings/stored/{name}")
    await client.ask("DELETE", f"recordings/stored/{name}")
    await client.ask("DELETE", f"recordings/live/{name}")
    await client.ask("DELETE", "channels/x")
    await client.event("ChannelDestroyed")


@scene
async def recordings_that_wait_for_their_turn(client: Client) -> None:
    await client.up("0110", "x")
    await client.ask("POST", "channels/x/play/p", media("a"))
    await client.ask("POST", "channels/x/record", {"name": f"{client.app}-1", "format": "wav"})
    await client.ask("POST", f"recordings/live/{client.app}-1/stop")
    await client.event("RecordingStarted")
    await client.ask("POST", f"recordings/live/{client.app}-1/stop")
    await client.event("RecordingFinished")
    await client.ask("POST", "channels/x/play/p", media("a"))
    await client.event("PlaybackStarted", 2)
    await client.ask("POST", "channels/x/record", {"name": f"{client.app}-2", "format": "wav"})
    await client.ask("DELETE", "channels/x")
    await client.event("ChannelDestroyed")
    for n in (1, 2):
        await client.ask("DELETE", f"recordings/stored/{client.app}-{n}")


@scene
async def a_channel_that_is_made_first_and_dialled_later(client: Client) -> None:
    body = {"endpoint": "PJSIP/12025550108@lab", "app": client.app, "channelId": "c"}
    await client.ask("POST", "channels/create", body)
    await client.event("StasisStart")
    await client.ask("POST", "channels/c/dial", timeout="3")
    await client.event("Dial", dialstatus="ANSWER")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")


@scene
async def filters_of_events(client: Client) -> None:
    path = f"applications/{client.app}/eventFilter"
    for body in (
        {"disallowed": [{"type": "ChannelVarset"}]},
        {"allowed": "x"},
        {"allowed": [{"x": 1}]},
        {"allowed": [{"type": "StasisStart"}, {"type": "ChannelDestroyed"}]},
    ):
        await client.ask("PUT", path, body)
    await client.up("0108", "c")
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")
    await client.ask("PUT", path, {})
    await client.ask("PUT", "applications/none/eventFilter", {})
    await client.ask("GET", f"applications/{client.app}")


@scene
async def an_application_that_goes_and_comes_again(client: Client) -> None:
    await client.up("0110", "c")
    await client.disconnect()
    await client.ask("GET", f"applications/{client.app}")
    await client.ask("GET", "channels/c")
    await client.connect()
    await client.ask("DELETE", "channels/c")
    await client.event("ChannelDestroyed")


@scene
async def requests_over_the_websocket(client: Client) -> None:
    async def rest(**fields: str) -> None:
        await client.over_socket({"type": "RESTRequest", "transaction_id": "t", "request_id": "r", **fields})

    await rest(method="GET", uri="channels/none")
    await rest(method="GET", uri="nosuch")
    await rest(method="PUT", uri="channels")
    await rest(method="FOO", uri="channels")
    await rest(uri="channels")
    await rest(method="GET")
    await rest(method="GET", uri="/ari/asterisk/ping")
    await rest(method="POST", uri="channels/x/play", message_body="{}")
    await rest(method="POST", uri="channels/x/play", message_body="{", content_type="application/json")
    await client.over_socket("{bad")
    await client.over_socket("[]")
    await client.over_socket('{"type":"Foo"}')
    await client.over_socket('{"type":"RESTRequest"}')


@scene
async def what_is_not_there(client: Client) -> None:
    for method, path in (
        ("GET", "nosuch"),
        ("GET", "channels/a/b/c"),
        ("PUT", "channels"),
        ("POST", "channels/none/play"),
        ("POST", "bridges/none/play"),
        ("DELETE", "playbacks/none"),
        ("GET", "recordings/stored/none"),
        ("GET", "recordings/live/none"),
        ("GET", "sounds/none"),
        ("GET", "applications/none"),
        ("GET", "endpoints/PJSIP/none"),
        ("GET", "asterisk/modules/none.so"),
    ):
        await client.ask(method, path, media("a"))
    await client.ask("GET", "sounds", lang="zz")
    await client.ask("GET", "sounds", lang=FOLDER)


@pytest.mark.parametrize("name", SCENES)
async def test_each_scene_gives_the_same(lab: LabInfo, sounds: Path, name: str) -> None:
    same(*await on_both(lab, sounds, SCENES[name]))
