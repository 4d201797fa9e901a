"""Whatever is done to calls, and in whatever order: each call's story is whole, and nothing comes after
its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.pbx.virtual.callees import LAB
from orchestrator.pbx.virtual.clips import Clips
from orchestrator.pbx.virtual.esl import api
from orchestrator.pbx.virtual.esl.face import EslFace
from orchestrator.pbx.virtual.esl.fields import Fields
from orchestrator.pbx.virtual.switch import Switch
from orchestrator.pbx.virtual.timeline import ManualTimeline
from tests.pbx.virtual.ari.desk import Desk, digits

BEGIN = [("dial", "a", "0110", 0.0), ("dial", "b", "0108", 0.1)]
channels = st.sampled_from(["a", "b", "c"])
numbers = st.sampled_from([*sorted(LAB), *["0108", "0110"] * 8])
waits = st.sampled_from([0.0, 0.001, 0.01, 0.3, 1.0, 2.5, 40.0])
keys = st.sampled_from(
    ["dial", "play", "stop", "hang up", "bridge", "leave", "destroy", "record", "callee leaves"]
)
step = st.tuples(keys, channels, numbers, waits)
steps = st.lists(step, max_size=30).map(lambda asked: [*BEGIN, *asked])


def about(event: dict[str, Any]) -> str:
    """The channel that an event of ARI is about, or an empty string."""
    for name in ("channel", "peer"):
        if name in event:
            return str(event[name]["id"])
    target = event.get("playback", event.get("recording", {})).get("target_uri", "")
    return target.removeprefix("channel:") if target.startswith("channel:") else ""


@settings(max_examples=150, deadline=None)
@given(steps)
def test_every_channel_of_ari_has_a_whole_story(asked: list[tuple[str, str, str, float]]) -> None:
    async def play(folder: Path) -> list[dict[str, Any]]:
        digits(folder)
        desk = Desk(folder)
        desk.ask("POST", "bridges/br", {"type": "mixing"})
        acts: dict[str, Callable[[str, str], object]] = {
            "dial": lambda channel, number: desk.dial(number, channel),
            "play": lambda channel, number: desk.ask(
                "POST", f"channels/{channel}/play/p-{channel}", {"media": ["sound:digits/1", "sound:none"]}
            ),
            "stop": lambda channel, number: desk.ask("DELETE", f"playbacks/p-{channel}"),
            "hang up": lambda channel, number: desk.ask("DELETE", f"channels/{channel}"),
            "bridge": lambda channel, number: desk.ask_later(
                "POST", "bridges/br/addChannel", {"channel": [channel]}
            ),
            "leave": lambda channel, number: desk.ask(
                "POST", "bridges/br/removeChannel", {"channel": [channel]}
            ),
            "destroy": lambda channel, number: desk.ask("DELETE", "bridges/br"),
            "record": lambda channel, number: desk.ask(
                "POST", f"channels/{channel}/record", {"name": f"r-{channel}", "format": "wav"}
            ),
            "callee leaves": lambda channel, number: (
                desk.switch.hang_up_callee(desk.switch.legs[channel]) if channel in desk.switch.legs else None
            ),
        }
        for key, channel, number, wait in asked:
            acts[key](channel, number)
            desk.pass_time(wait)
        for channel in list(desk.face.channels):
            desk.ask("DELETE", f"channels/{channel}")
        desk.pass_time(100)
        assert not desk.switch.legs
        assert not desk.face.channels
        assert not [
            each for each in desk.face.playbacks.values() if each.shape()["target_uri"] != "bridge:br"
        ]
        assert not desk.face.recordings
        return desk.listener.events

    with TemporaryDirectory() as folder:
        events = asyncio.run(play(Path(folder)))
    alive: set[str] = set()
    stories: list[list[dict[str, Any]]] = []
    open_stories: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        channel = about(event)
        if not channel:
            continue
        if event["type"] == "Dial" and event["dialstatus"] == "":
            assert channel not in alive
            alive.add(channel)
            open_stories[channel] = []
        assert channel in alive, f"{event['type']} of a channel that is not there"
        open_stories[channel].append(event)
        if event["type"] == "ChannelDestroyed":
            alive.discard(channel)
            stories.append(open_stories.pop(channel))
    assert not open_stories
    for story in stories:
        count = Counter(event["type"] for event in story)
        assert count["StasisStart"] == count["StasisEnd"] <= 1
        assert count["ChannelEnteredBridge"] == count["ChannelLeftBridge"]
        assert count["RecordingStarted"] == count["RecordingFinished"]
        # One that is stopped while it waits for its turn is over without having begun [measured].
        assert count["PlaybackFinished"] >= count["PlaybackStarted"] - count["PlaybackContinuing"]


class Ears:
    """A listener of ESL that writes down every event."""

    def __init__(self) -> None:
        self.events: list[Fields] = []

    def hears(self, name: str) -> bool:
        return True

    def take(self, fields: Fields, body: str) -> None:
        self.events.append(fields)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_every_channel_of_esl_has_a_whole_story(asked: list[tuple[str, str, str, float]]) -> None:
    with TemporaryDirectory() as folder:
        digits(Path(folder))
        timeline = ManualTimeline()
        switch = Switch(timeline, Clips([Path(folder)], clock=timeline.now), keep_heard=5)
        face = EslFace(switch, Random(1))
        ears = Ears()
        face.listeners.append(ears)
        answers: list[str] = []

        def run(line: str) -> None:
            api.run(face, line, answers.append)

        def execute(channel: str) -> None:
            if channel in face.channels:
                path = "file_string://en/digits/1.sln!none!en/digits/2.sln"
                face.queue(face.channels[channel], "playback", path, face.new_uuid(), len(answers) % 2 == 0)

        for key, channel, number, wait in asked:
            match key:
                case "dial":
                    variables = f"{{origination_uuid={channel},ignore_early_media=true,originate_timeout=5}}"
                    run(f"originate {variables}sofia/gateway/lab/1202555{number} &park()")
                case "play":
                    execute(channel)
                case "stop":
                    run(f"uuid_break {channel} all")
                case "hang up":
                    run(f"uuid_kill {channel}")
                case "bridge":
                    other = "a" if channel != "a" else "b"
                    for each in (channel, other) if len(answers) % 2 else ():
                        run(f"uuid_setvar_multi {each} park_after_bridge=true;park_timeout=600")
                    run(f"uuid_bridge {channel} {other}")
                case "leave":
                    run(f"uuid_park {channel}")
                case "record":
                    run(f"uuid_record {channel} start {channel}.wav")
                case "destroy":
                    run(f"uuid_record {channel} stop all")
                case _ if channel in switch.legs:
                    switch.hang_up_callee(switch.legs[channel])
            timeline.advance(wait)
        for channel in list(face.channels):
            run(f"uuid_kill {channel}")
        timeline.advance(100)
    assert not switch.legs
    assert not face.channels
    dialled = sum(key == "dial" for key, *_ in asked)
    assert sum(answer.startswith(("+OK ", "-ERR ")) for answer in answers) >= dialled
    alive: set[str] = set()
    running: dict[str, list[str]] = {}
    for event in ears.events:
        channel, name = event["Unique-ID"], event["Event-Name"]
        if name == "CHANNEL_CREATE":
            assert channel not in alive
            alive.add(channel)
            running[channel] = []
        assert channel in alive, f"{name} of a channel that is not there"
        if name == "CHANNEL_EXECUTE" and event["Application"] != "uuid_bridge":  # told of, not executed
            running[channel].append(event["Application-UUID"])
        elif name == "CHANNEL_EXECUTE_COMPLETE":
            running[channel].remove(event["Application-UUID"])
        elif name == "CHANNEL_DESTROY":
            assert running.pop(channel) == []
            alive.discard(channel)
    assert not alive
    counts = Counter(event["Event-Name"] for event in ears.events)
    assert counts["CHANNEL_HANGUP"] == counts["CHANNEL_HANGUP_COMPLETE"] == counts["CHANNEL_CREATE"]
    assert counts["PLAYBACK_START"] == counts["PLAYBACK_STOP"]
    assert counts["RECORD_START"] == counts["RECORD_STOP"]
    assert counts["CHANNEL_BRIDGE"] == counts["CHANNEL_UNBRIDGE"]
