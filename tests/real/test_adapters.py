"""The port on each backend: whichever PBX it is, the same requests bring the same events."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from orchestrator.audio.g711 import encode_ulaw
from orchestrator.audio.wav import write_wav
from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    Answered,
    Digit,
    Ended,
    Gone,
    HangupRefused,
    HangupRequested,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    Ready,
    Refused,
    Ringing,
)
from orchestrator.pbx.port import Dial, PlaySounds
from tests.real.backends import Backend
from tests.real.rig import PREFIX, rigged

pytestmark = pytest.mark.real


@pytest.fixture
def sounds(backend: Backend) -> Path:
    """Three short silences and a long one, as each kind of PBX plays them."""
    folder = backend.sounds / PREFIX / "en" / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    for name, seconds in (("1", 0.1), ("2", 0.1), ("3", 0.1), ("long", 20.0)):
        silence = bytes(2 * int(8000 * seconds))
        if backend.esl:
            write_wav(folder / f"{name}.wav", silence)
        else:
            (folder / f"{name}.ulaw").write_bytes(encode_ulaw(silence))
    return folder


@pytest.mark.usefixtures("sounds")
async def test_a_call_is_accepted_rung_answered_played_to_and_hung_up(backend: Backend) -> None:
    async with rigged(backend) as rig:
        channel = rig.dial("0100")
        await rig.until(channel, Ready)
        rig.pbx.send(PlaySounds(channel, "p1", ("en/digits/1", "en/digits/2", "en/digits/3")))
        assert await rig.until(channel, PlayFinished) == PlayFinished("p1")
        rig.pbx.send(Hangup(channel))
        assert await rig.until(channel, Ended) == Ended(16)
        asked = await rig.until(channel, HangupRequested)
        assert isinstance(asked, HangupRequested)
        assert asked.by_us
        rig.pbx.send(Hangup(channel))
        refused = await rig.until(channel, HangupRefused)
        assert isinstance(refused, HangupRefused)
        assert refused.gone
        course = [kind for kind in dict.fromkeys(rig.kinds(channel)) if kind is not Accepted]
        assert Accepted() in rig.of(channel)
        assert course == [
            Ringing,
            Answered,
            Ready,
            PlayStarted,
            PlayFinished,
            HangupRequested,
            Ended,
            HangupRefused,
        ]


@pytest.mark.parametrize(
    ("number", "ended"),
    [("0101", Ended(17, 486)), ("0103", Ended(21, 603)), ("0104", Ended(1, 404)), ("0109", Ended(34, 503))],
)
async def test_a_call_that_is_not_taken_ends_with_its_cause_and_sip_status(
    backend: Backend, number: str, ended: Ended
) -> None:
    async with rigged(backend) as rig:
        channel = rig.dial(number)
        assert await rig.until(channel, Ended) == ended
        await rig.until(channel, Accepted)
        assert Ready() not in rig.of(channel)


async def test_nobody_answering_ends_by_the_pbxs_own_time(backend: Backend) -> None:
    async with rigged(backend) as rig:
        channel = rig.dial("0102", ring_timeout=1)
        # FreeSWITCH gives a time-out of its own no SIP status.
        assert await rig.until(channel, Ended) == Ended(19, None if backend.esl else 480)
        assert Ringing() in rig.of(channel)


async def test_early_media_keys_and_the_callees_own_hangup_are_told(backend: Backend) -> None:
    async with rigged(backend) as rig:
        early, keys, leaves = rig.dial("0107"), rig.dial("0111"), rig.dial("0105")
        await rig.until(early, Ringing(early_media=True))
        await rig.until(early, Answered)
        await rig.until(keys, Digit, 3)
        assert [each.digit for each in rig.of(keys) if isinstance(each, Digit)] == ["4", "2", "#"]
        left = await rig.until(leaves, HangupRequested)
        assert left == HangupRequested(by_us=False, cause=16)
        for channel in (early, keys):
            rig.pbx.send(Hangup(channel))
        for channel in (early, keys, leaves):
            await rig.until(channel, Ended(16))


@pytest.mark.usefixtures("sounds")
async def test_a_cancelled_ringing_ends_and_a_question_tells_how_far_it_is(backend: Backend) -> None:
    async with rigged(backend) as rig:
        channel = rig.dial("0102")
        await rig.until(channel, Ringing)
        # The ringing is told a moment before the channel says so: the first answer may still say "down".
        asked = 0
        while Alive(ringing=True, up=False, ready=False) not in rig.of(channel):
            rig.pbx.send(Ask(channel))
            asked += 1
            await rig.until(channel, Alive, asked)
        assert not any(each.up for each in rig.of(channel) if isinstance(each, Alive))
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended(16))
        rig.pbx.send(Ask(channel))
        await rig.until(channel, Gone)
        rig.pbx.send(PlaySounds(channel, "p1", ("en/digits/1",)))
        refused = await rig.until(channel, PlayRefused)
        assert isinstance(refused, PlayRefused)
        assert refused.status == 404


async def test_an_originate_sent_twice_rings_once_and_is_adopted(backend: Backend) -> None:
    async with rigged(backend) as rig:
        channel = rig.dial("0102")
        await rig.until(channel, Ringing)
        rig.pbx.send(Dial(channel, "+12025550102", "+15550100", 10))
        await rig.until(channel, Alive)
        assert not any(isinstance(event, Refused | Ended) for event in rig.of(channel))
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended)


async def test_a_trunk_that_does_not_exist_is_refused(backend: Backend) -> None:
    async with rigged(backend, dial=backend.dial.replace("lab", "nosuch")) as rig:
        channel = rig.dial("0100")
        await rig.until(channel, Refused)
        assert [kind for kind in rig.kinds(channel) if kind is not Refused] == []


@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize("ending", ["stop", "hangup"])
async def test_a_playback_can_be_cut_short(backend: Backend, ending: str) -> None:
    async with rigged(backend) as rig:
        channel = rig.dial("0108")
        await rig.until(channel, Ready)
        rig.pbx.send(PlaySounds(channel, "p1", ("en/digits/long", "en/digits/1")))
        await rig.until(channel, PlayStarted)
        rig.pbx.send(StopPlay(channel, "p1") if ending == "stop" else Hangup(channel))
        if ending == "stop":
            await rig.until(channel, PlayFinished("p1"))
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended)
        assert PlayFinished("p1", ok=True) not in rig.of(channel) or ending == "stop"


async def test_missing_sounds_are_found_without_ringing_anybody(backend: Backend, sounds: Path) -> None:
    async with rigged(backend) as rig:
        check = await rig.pbx.check_sounds(["en/digits/1", "en/digits/9", "zh/digits/1"])
        assert (check.missing, check.checked) == (("en/digits/9", "zh/digits/1"), 3)


async def test_reconciliation_finds_the_living_and_the_gone_and_hangs_up_a_stray(backend: Backend) -> None:
    app = f"adapter-{uuid.uuid4()}"
    async with rigged(backend, app) as before:
        ours, stray, ringing_stray = before.dial("0110"), before.dial("0110"), before.dial("0102", 30)
        for channel in (ours, stray):
            await before.until(channel, Ready)
        await before.until(ringing_stray, Ringing)
    async with rigged(backend, app) as after:
        await after.pbx.reconcile([ours, "no-such-channel"])
        await after.until(ours, Alive(ringing=False, up=True, ready=True))
        await after.until("no-such-channel", Gone())
        for channel in (stray, ringing_stray):
            await after.until(channel, Ended)
        after.pbx.send(Hangup(ours))
        await after.until(ours, Ended)
