"""Two legs on each backend: bridged, played to, recorded, and each one's own ears as the proof.

The lab's 0112 says 1 2 3 again and again, 0113 says 7 8 9; a high tone is played to both, a higher one to the
first alone.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import uuid
import wave
from collections.abc import Callable

import numpy as np
import pytest

from orchestrator.audio.wav import SAMPLE_RATE, write_wav
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
    Digit,
    Ended,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    Ready,
    RecordingFinished,
    RecordingStarted,
)
from orchestrator.pbx.errors import RecordingNotFound
from orchestrator.pbx.port import PlaySounds
from orchestrator.pbx.virtual.leg import Leg
from orchestrator.pbx.virtual.pbx import VirtualPbx
from orchestrator.pbx.virtual.switch import Heard
from orchestrator.prompts import packaged_root
from tests.audio_decode import decode_digits, digit_sounds, load, stripped
from tests.real.backends import NAMES, Backend
from tests.real.lab import LabInfo
from tests.real.rig import PREFIX, Rig, rigged

pytestmark = pytest.mark.real

TOGETHER = 0.5
"""As alike as a digit is to itself while another voice talks as loudly; two digits are less alike."""
SPOKEN = packaged_root() / "en"
TALKS, TALKS_TOO = "0112", "0113"
ONE_SAYS, OTHER_SAYS = "123", "789"
TONES = {"to-both": 2000, "to-one": 2600}
STAYS = Alive(ringing=False, up=True, ready=True)


@pytest.fixture(autouse=True)
def sounds(backend: Backend) -> None:
    """The digits that the lab's callees say, and two tones of our own."""
    theirs, ours = backend.sounds / "orchestrator" / "en" / "digits", backend.sounds / PREFIX / "en"
    for folder in (theirs, ours):
        folder.mkdir(parents=True, exist_ok=True)
    for digit in ONE_SAYS + OTHER_SAYS:
        for path in (SPOKEN / "digits").glob(f"{digit}.*"):
            shutil.copy(path, theirs)
    for name, pitch in TONES.items():
        write_wav(ours / f"{name}.wav", tone(pitch))


def tone(pitch: int) -> bytes:
    """0.3 s at a quarter of full scale."""
    at = np.arange(round(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    return bytes((8192 * np.sin(2 * np.pi * pitch * at)).astype("<i2").tobytes())


def tones_in(heard: bytes) -> set[str]:
    """Which of the tones is somewhere in a sound, whatever else sounds with it."""
    return {name for name, pitch in TONES.items() if loudest(heard, pitch) > 0.15}


def loudest(heard: bytes, pitch: int) -> float:
    """The greatest amplitude of a pitch, of full scale 1, over any fifth of a second."""
    samples = load(heard)
    turned = samples * np.exp(-2j * np.pi * pitch * np.arange(len(samples)) / SAMPLE_RATE)
    window = SAMPLE_RATE // 5
    return float(np.abs(np.convolve(turned, np.full(window, 2 / window), "valid")).max(initial=0.0))


def said_in(heard: bytes, digits: str, threshold: float = 0.8) -> set[str]:
    """Which of the digits are in a sound. Where two talk at once the threshold must be lower."""
    templates = digit_sounds(SPOKEN)
    wanted = {digit: templates[digit] for digit in digits}
    return {found.digit for found in decode_digits(heard, wanted, threshold)}


def samples_of_wav(wav: bytes) -> bytes:
    """What is in a WAV file, as it says of itself."""
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return bytes(file.readframes(file.getnframes()))


Ears = Callable[[str], bytes]
"""What the far end of the leg with this caller ID has heard so far."""


@pytest.fixture
def ears(backend: Backend, request: pytest.FixtureRequest) -> Ears:
    """The real callees' recordings, or the virtual PBX's own knowledge."""
    virtual = backend.virtual
    if virtual is not None:

        def ear(caller: str) -> bytes:
            bare = caller.removeprefix("+")

            def find(pbx: VirtualPbx) -> str:
                legs: list[Leg | Heard] = [*pbx.switch.legs.values(), *pbx.switch.ended.values()]
                return next(leg.id for leg in legs if leg.caller.removeprefix("+") == bare)

            return virtual.heard(virtual.do(find))

        return ear
    lab: LabInfo = request.getfixturevalue("lab")

    def recorded(caller: str) -> bytes:
        (path,) = lab.recordings.glob(f"*-{caller[1:]}-*.wav")
        written = path.read_bytes()[44:]
        return written[: len(written) // 2 * 2]

    return recorded


def ringing_share(heard: bytes) -> float:
    """How much of the first half second of sound is the ringing tone of the United States, 440 and 480 Hz:
    0 to 1."""
    first = stripped(load(heard))[: SAMPLE_RATE // 2]
    power = np.abs(np.fft.rfft(first)) ** 2
    pitch = np.fft.rfftfreq(len(first), 1 / SAMPLE_RATE)
    return float(power[(pitch > 430) & (pitch < 490)].sum() / power.sum())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110 - a recording grows, and no event tells of it
            await asyncio.sleep(0.1)


async def answered(rig: Rig, *numbers: str) -> list[str]:
    """Channels to these, all answered and ours."""
    channels = [rig.dial(number) for number in numbers]
    for channel in channels:
        await rig.until(channel, Ready)
    return channels


async def bridged(rig: Rig, *numbers: str) -> tuple[str, str]:
    """Two answered legs, connected."""
    caller, callee = await answered(rig, *numbers)
    rig.pbx.send(Bridge(caller, callee))
    await rig.until(caller, Bridged)
    return caller, callee


async def played(rig: Rig, channel: str, *names: str, both: bool = False) -> None:
    """Play these, and wait for the end."""
    playback = f"play-{uuid.uuid4()}"
    rig.pbx.send(PlaySounds(channel, playback, tuple(f"en/{name}" for name in names), both))
    assert await rig.until(channel, PlayFinished(playback)) == PlayFinished(playback)
    assert PlayStarted(playback) in rig.of(channel)


@pytest.mark.parametrize("backend", [name for name in NAMES if name != "asterisk-http"], indirect=True)
async def test_two_who_are_bridged_hear_each_other_whatever_becomes_of_the_worker(
    backend: Backend, ears: Ears
) -> None:
    app, recording = f"two-legs-{uuid.uuid4()}", f"recording-{uuid.uuid4()}"
    one, other = (f"+1555{uuid.uuid4().int % 10**7:07d}" for _ in range(2))
    async with rigged(backend, app) as rig:
        presses, another = await bridged(rig, "0106", "0110")
        caller = rig.dial(TALKS, caller_id=one)
        await rig.until(caller, Ready)
        callee = rig.dial(TALKS_TOO, caller_id=other)
        rig.pbx.send(Ringback(caller, "ringing"))
        await rig.until(caller, PlayStarted("ringing"))
        await rig.until(callee, Ready)
        rig.pbx.send(StopPlay(caller, "ringing"))
        await rig.until(caller, PlayFinished("ringing"))
        for times in (1, 2):
            rig.pbx.send(Bridge(caller, callee))
            await rig.until(caller, Bridged, times)
        await played(rig, caller, "to-both", both=True)
        for times in (1, 2):
            rig.pbx.send(Record(caller, recording, 60))
            await rig.until(caller, RecordingStarted(recording), times)
        await played(rig, caller, "to-one")
        await rig.until(presses, Digit("1"))
        for channel in (presses, another):
            rig.pbx.send(Hangup(channel))
            await rig.until(channel, Ended(16))
        rig.pbx.send(DropBridge(presses))
    begun = len(ears(one)), len(ears(other))
    await until(lambda: bool(said_in(ears(one)[begun[0] :], OTHER_SAYS)))
    await until(lambda: bool(said_in(ears(other)[begun[1] :], ONE_SAYS)))
    async with rigged(backend, app) as rig:
        await rig.pbx.reconcile([caller, callee])
        for channel in (caller, callee):
            assert await rig.until(channel, Alive) == STAYS
        rig.pbx.send(Bridge(caller, callee))
        await rig.until(caller, Bridged)
        for times in (1, 2):
            rig.pbx.send(StopRecording(caller, recording))
            await rig.until(caller, RecordingFinished(recording), times)
        wav = await rig.pbx.fetch_recording(recording)
        for _ in range(2):
            await rig.pbx.delete_recording(recording)
        with pytest.raises(RecordingNotFound):
            await rig.pbx.fetch_recording(recording)
        rig.pbx.send(Hangup(callee))
        await rig.until(callee, Ended(16))
        rig.pbx.send(Hangup(caller))
        await rig.until(caller, Ended(16))
        rig.pbx.send(DropBridge(caller))
    recorded = samples_of_wav(wav)
    assert said_in(recorded, ONE_SAYS, TOGETHER)
    assert said_in(recorded, OTHER_SAYS, TOGETHER)
    for caller_id, not_heard in ((one, ONE_SAYS), (other, OTHER_SAYS)):
        assert not said_in(ears(caller_id), not_heard, TOGETHER), "heard himself, or the threshold is too low"
    assert tones_in(ears(one)) == {"to-both", "to-one"}
    assert tones_in(ears(other)) == {"to-both"}
    # FreeSWITCH records the first leg, with what is played to it alone; Asterisk the bridge, without.
    assert tones_in(recorded) == ({"to-one"} if backend.esl else set())
    assert ringing_share(ears(one)) > 0.9


async def test_when_one_leg_ends_the_other_stays_and_can_be_played_to(backend: Backend) -> None:
    async with rigged(backend) as rig:
        caller, callee = await bridged(rig, "0108", "0110")
        rig.pbx.send(Hangup(callee))
        await rig.until(callee, Ended(16))
        await played(rig, caller, "to-both")
        rig.pbx.send(DropBridge(caller))
        rig.pbx.send(Ask(caller))
        assert await rig.until(caller, Alive) == STAYS
        await played(rig, caller, "to-both")
        rig.pbx.send(Bridge(caller, callee))
        await rig.until(caller, BridgeRefused)
        rig.pbx.send(DropBridge(caller))
        rig.pbx.send(Hangup(caller))
        await rig.until(caller, Ended(16))


async def test_without_a_bridge_nothing_is_played_to_both_nor_recorded(backend: Backend) -> None:
    async with rigged(backend) as rig:
        (caller,) = await answered(rig, "0110")
        rig.pbx.send(PlaySounds(caller, "p", ("en/to-both",), both=True))
        refused = await rig.until(caller, PlayRefused)
        assert isinstance(refused, PlayRefused)
        assert refused.playback == "p"
        for request in (Record(caller, "none", 60), StopRecording(caller, "none")):
            count = rig.kinds(caller).count(RecordingFinished)
            rig.pbx.send(request)
            none = await rig.until(caller, RecordingFinished, count + 1)
            assert isinstance(none, RecordingFinished)
            assert (none.recording, none.ok) == ("none", False)
        rig.pbx.send(Hangup(caller))
        await rig.until(caller, Ended(16))


async def test_a_bridge_that_nobody_knows_is_cleared_away_and_a_known_one_is_not(backend: Backend) -> None:
    app = f"two-legs-{uuid.uuid4()}"
    async with rigged(backend, app) as before:
        known = await bridged(before, "0110", "0108")
        stray = await bridged(before, "0110", "0108")
    async with rigged(backend, app) as after:
        await after.pbx.reconcile(known)
        for channel in stray:
            await after.until(channel, Ended)
        await played(after, known[0], "to-both", both=True)
        after.pbx.send(PlaySounds(stray[0], "p", ("en/to-both",), both=True))
        await after.until(stray[0], PlayRefused)
        for channel in known:
            after.pbx.send(Hangup(channel))
            await after.until(channel, Ended(16))
        after.pbx.send(DropBridge(known[0]))
