"""Two legs of a callback by the project's own ESL adapter on the virtual FreeSWITCH: who hears whom, what is
recorded, who is left. Tier: loopback."""

from __future__ import annotations

import cmath
import contextlib
import io
import math
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.audio.wav import write_wav
from orchestrator.call.commands import (
    Ask,
    Bridge,
    DropBridge,
    Hangup,
    Record,
    Ringback,
    StopPlay,
    StopRecording,
)
from orchestrator.call.events import (
    Alive,
    Bridged,
    BridgeRefused,
    CallEvent,
    Digit,
    Ended,
    PlayFinished,
    PlayStarted,
    Ready,
    RecordingFinished,
    RecordingStarted,
)
from orchestrator.pbx.errors import RecordingNotFound
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.port import Dial, PlaySounds, Signal
from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.pbx import VirtualPbx
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.virtual.esl.client import virtual
from tests.pbx.virtual.esl.test_adapter import called
from tests.pbx.virtual.world import samples_in, write_sound

CALLER, CALLEE, PROMPT = 1000, 300, 50
"""What each says, as the value of each of its samples: any sum tells who sounded."""


def of(worker: Worker, channel: str) -> list[CallEvent]:
    return [each.event for each in worker.told if isinstance(each, Signal) and each.channel == channel]


async def until(worker: Worker, channel: str, event: CallEvent, times: int = 1) -> None:
    await worker.until(lambda: of(worker, channel).count(event) >= times)


def frames(wav: bytes) -> list[int]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return samples_in(file.readframes(file.getnframes()))


@contextlib.asynccontextmanager
async def telephones(tmp_path: Path, **changed: Any) -> AsyncIterator[VirtualPbx]:
    """Two who talk without end, and one sound of the library."""
    write_sound(tmp_path, "caller", [CALLER] * 8000)
    write_sound(tmp_path, "callee", [CALLEE] * 8000)
    (tmp_path / "own" / "en").mkdir(parents=True)
    write_wav(tmp_path / "own" / "en" / "a.wav", b"".join(PROMPT.to_bytes(2, "little") for _ in range(4000)))
    callees = {
        "001": Callee(says="caller", says_again=0.0),
        "002": Callee(says="callee", says_again=0.0, **changed),
        "003": Callee(presses="42#", presses_after=2.0),
    }
    async with virtual(
        folders=(tmp_path,), callees=callees, recordings=tmp_path / "recordings", speed=10.0
    ) as pbx:
        yield pbx


@contextlib.asynccontextmanager
async def talking(
    pbx: VirtualPbx, tmp_path: Path, numbers: Sequence[str] = ("001", "002")
) -> AsyncIterator[tuple[Worker, EslPbx]]:
    """Two legs, `c` and `c-to`, connected."""
    async with called(pbx, recordings_folder=str(tmp_path / "recordings")) as (worker, adapter):
        for channel, number in zip(("c", "c-to"), numbers, strict=True):
            adapter.send(Dial(channel, f"+12025550{number}", "+15550100", 30))
        for channel in ("c", "c-to"):
            await until(worker, channel, Ready())
        adapter.send(Bridge("c", "c-to"))
        await until(worker, "c", Bridged())
        yield worker, adapter


def amplitude(sound: list[int], hertz: float) -> float:
    """How loud one frequency is in it (a Fourier sum)."""
    turns = (cmath.rect(sample, -2 * math.pi * hertz * n / 8000) for n, sample in enumerate(sound))
    return 2 * abs(sum(turns)) / len(sound)


async def heard(pbx: VirtualPbx, channel: str, value: int) -> None:
    """Wait until the callee of a channel has heard this."""
    later = Worker()

    def look() -> bool:
        pbx.switch.timeline.at(pbx.switch.timeline.now() + 0.05, later._news.set)
        return value in samples_in(pbx.heard(channel))

    await later.until(look)


async def test_the_caller_hears_a_ringing_tone_until_it_is_stopped(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx, called(pbx) as (worker, adapter):
        adapter.send(Dial("c", "+12025550001", "+15550100", 30))
        await until(worker, "c", Ready())
        adapter.send(Ringback("c", "ring"))
        await until(worker, "c", PlayStarted("ring"))

        def rung() -> list[int]:
            sound = samples_in(pbx.heard("c"))
            return sound[next((n for n, sample in enumerate(sound) if sample), 0) :]

        await worker.until(lambda: len(rung()) > 1600 or heard_later(pbx, worker))
        adapter.send(StopPlay("c", "ring"))
        await until(worker, "c", PlayFinished("ring"))
        for hertz in (440, 480):
            assert amplitude(rung()[:1600], hertz) == pytest.approx(4000, rel=0.02)
        assert amplitude(rung()[:1600], 1000) < 100
        adapter.send(PlaySounds("c", "p", ("en/a",)))
        await until(worker, "c", PlayFinished("p"))


async def test_a_conversation_is_heard_announced_recorded_and_kept(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx, talking(pbx, tmp_path) as (worker, adapter):
        await heard(pbx, "c", CALLEE)
        await heard(pbx, "c-to", CALLER)
        for channel in ("c", "c-to"):
            adapter.send(Ask(channel))
            await until(worker, channel, Alive(ringing=False, up=True, ready=True))
        adapter.send(PlaySounds("c", "p", ("en/a",), both=True))
        await until(worker, "c", PlayFinished("p"))
        await heard(pbx, "c", PROMPT)
        await heard(pbx, "c-to", PROMPT)
        assert not any(isinstance(event, PlayStarted | PlayFinished) for event in of(worker, "c-to"))
        adapter.send(Record("c", "job-1", 3600))
        await until(worker, "c", RecordingStarted("job-1"))
        adapter.send(Record("c", "job-1", 3600))
        await until(worker, "c", RecordingStarted("job-1"), 2)
        before = len(pbx.heard("c"))
        await worker.until(lambda: len(pbx.heard("c")) > before + 32_000 or heard_later(pbx, worker))
        adapter.send(StopRecording("c", "job-1"))
        await until(worker, "c", RecordingFinished("job-1"))
        recorded = frames(await adapter.fetch_recording("job-1"))
        assert {CALLER + CALLEE} <= set(recorded) <= {0, CALLER, CALLEE, CALLER + CALLEE, PROMPT}
        adapter.send(StopRecording("c", "job-1"))
        await until(worker, "c", RecordingFinished("job-1"), 2)
        await adapter.delete_recording("job-1")
        with pytest.raises(RecordingNotFound):
            await adapter.fetch_recording("job-1")
        adapter.send(Hangup("c-to"))
        await until(worker, "c-to", Ended(16))
        adapter.send(StopRecording("c", "job-1"))
        await worker.until(lambda: not recordings_of(worker)[-1].ok)


def recordings_of(worker: Worker) -> list[RecordingFinished]:
    return [event for event in worker.events if isinstance(event, RecordingFinished)]


def heard_later(pbx: VirtualPbx, worker: Worker) -> bool:
    """Look again in a moment."""
    pbx.switch.timeline.at(pbx.switch.timeline.now() + 0.05, worker._news.set)
    return False


@pytest.mark.parametrize(("gone", "left"), [("c", "c-to"), ("c-to", "c")])
async def test_whoever_is_left_stays_and_can_be_played_to_and_the_recording_ends(
    tmp_path: Path, gone: str, left: str
) -> None:
    async with telephones(tmp_path) as pbx, talking(pbx, tmp_path) as (worker, adapter):
        adapter.send(Record("c", "job-1", 3600))
        await until(worker, "c", RecordingStarted("job-1"))
        await heard(pbx, "c", CALLEE)
        pbx.switch.hang_up_callee(pbx.switch.legs[gone])
        await until(worker, gone, Ended(16))
        await until(worker, "c", RecordingFinished("job-1"))
        assert CALLER + CALLEE in frames(await adapter.fetch_recording("job-1"))
        adapter.send(Ask(left))
        await until(worker, left, Alive(ringing=False, up=True, ready=True))
        adapter.send(PlaySounds(left, "sorry", ("en/a",)))
        await until(worker, left, PlayFinished("sorry"))
        adapter.send(DropBridge("c"))
        adapter.send(Hangup(left))
        await until(worker, left, Ended(16))


async def test_a_dropped_bridge_leaves_both_and_they_can_be_connected_again(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx, talking(pbx, tmp_path) as (worker, adapter):
        adapter.send(Bridge("c", "c-to"))  # it stands
        await until(worker, "c", Bridged(), 2)
        adapter.send(DropBridge("c"))
        for channel in ("c", "c-to"):
            adapter.send(PlaySounds(channel, f"{channel}-p", ("en/a",)))
            await until(worker, channel, PlayFinished(f"{channel}-p"))
        adapter.send(Bridge("c", "c-to"))
        await until(worker, "c", Bridged(), 3)
        adapter.send(PlaySounds("c-to", "warning", ("en/a",)))  # to one side of it
        await until(worker, "c-to", PlayFinished("warning"))
        assert not [event for event in worker.events if isinstance(event, Ended)]


async def test_keys_are_told_once_each_parked_played_to_and_bridged(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx, talking(pbx, tmp_path, ("003", "002")) as (worker, adapter):
        await worker.until(lambda: sum(isinstance(event, Digit) for event in of(worker, "c")) == 3)
        assert [event.digit for event in of(worker, "c") if isinstance(event, Digit)] == ["4", "2", "#"]
        adapter.send(PlaySounds("c", "p", ("en/a", "en/a")))
        await until(worker, "c", PlayStarted("p"))
        pbx.switch.press(pbx.switch.legs["c"], "7")
        await until(worker, "c", PlayFinished("p"))
        adapter.send(DropBridge("c"))
        adapter.send(Ask("c"))
        await worker.event(Alive)
        pbx.switch.press(pbx.switch.legs["c"], "8")
        await until(worker, "c", Digit("8"))
        assert [each.digit for each in worker.events if isinstance(each, Digit)] == ["4", "2", "#", "7", "8"]


async def test_a_recording_ends_when_it_is_long_enough(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx, talking(pbx, tmp_path) as (worker, adapter):
        adapter.send(Record("c", "short", 2))
        await until(worker, "c", RecordingFinished("short"))
        assert abs(len(frames(await adapter.fetch_recording("short"))) - 16_000) < 800


async def test_a_leg_that_is_not_there_is_not_bridged(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx, called(pbx) as (worker, adapter):
        adapter.send(Dial("c", "+12025550001", "+15550100", 30))
        await until(worker, "c", Ready())
        adapter.send(Bridge("c", "none"))
        assert (await worker.event(BridgeRefused)).status == 404
        adapter.send(Bridge("none", "c"))
        await worker.until(lambda: sum(isinstance(each, BridgeRefused) for each in worker.events) == 2)
        assert not [event for event in worker.events if isinstance(event, Ended)]


async def test_a_recording_that_cannot_be_written_is_told_as_none(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("no folder")
    async with telephones(tmp_path) as pbx, talking(pbx, tmp_path) as (worker, adapter):
        adapter.send(Record("c", "job-1", 60))
        await until(worker, "c", RecordingStarted("job-1"))
        adapter.send(StopRecording("c", "job-1"))
        assert not (await worker.event(RecordingFinished)).ok


async def test_two_go_on_talking_when_the_worker_dies_and_the_next_one_takes_over(tmp_path: Path) -> None:
    async with telephones(tmp_path) as pbx:
        async with talking(pbx, tmp_path) as (worker, adapter):
            adapter.send(Record("c", "job-1", 3600))
            await until(worker, "c", RecordingStarted("job-1"))
        scheduled = [list(channel.scheduled or ()) for channel in pbx.esl.channels.values()]
        assert [len(each) for each in scheduled] == [1, 1]
        before = len(pbx.heard("c"))
        async with called(pbx, recordings_folder=str(tmp_path / "recordings")) as (after, adapter):
            await adapter.reconcile(["c", "c-to"])
            assert after.events == [Alive(ringing=False, up=True, ready=True)] * 2
            await after.until(lambda: len(pbx.heard("c")) > before + 16_000 or heard_later(pbx, after))
            assert CALLEE in samples_in(pbx.heard("c")[before:])
            adapter.send(PlaySounds("c", "p", ("en/a",), both=True))
            await until(after, "c", PlayFinished("p"))
            adapter.send(StopRecording("c", "job-1"))
            await until(after, "c", RecordingFinished("job-1"))
            assert CALLER + CALLEE in frames(await adapter.fetch_recording("job-1"))
            pbx.switch.hang_up_callee(pbx.switch.legs["c"])
            await until(after, "c", Ended(16))
            adapter.send(Hangup("c-to"))
            await until(after, "c-to", Ended(16))
