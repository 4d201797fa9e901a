"""Recordings over HTTP, from the PBX that made them."""

import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.audio.g711 import decode_alaw
from orchestrator.audio.wav import wav_bytes
from orchestrator.call import events as ev
from orchestrator.http.problems import Refusal
from orchestrator.http.recordings import alaw_of
from orchestrator.ledger.records import CallEnd, Entry, Verdict
from tests.fakes import now
from tests.http.world import CALLER, World, world

PCM = bytes(range(0, 200)) * 161
WAV = wav_bytes(PCM)


async def recorded(it: World, recording: str | None = "rec-1", pbx: str = "ast1") -> None:
    """A job whose call was recorded."""
    await it.submit(id="a")
    claim = (await it.ledger.claim("ast1", (CALLER,), now(), 1)).claims[0]
    record: dict[str, Any] = {
        "job_id": "a", "call_id": claim.call_id, "attempt": 1, "kind": "code", "from": None,
        "to": "+12025550100", "pbx": pbx, "trunk": None, "created_at": "", "dialed_at": None,
        "ringing_at": None, "answered_at": None, "ended_at": None,
        "ring_seconds": 0, "talk_seconds": 0, "outcome": "completed", "cause": 16,
        "sip_status": None, "hung_up_by": None, "plays_completed": 1, "digits_collected": 0,
        "recording": recording, "user_data": "",
    }  # fmt: skip
    end = CallEnd(
        job_id="a", call_id=claim.call_id, ended_at=now(), cdr=msgspec.json.encode(record),
        then=Verdict("completed", "", now()),
    )  # fmt: skip
    it.ledger.record("a", claim.call_id, Entry(2, now(), ev.Ended(16)), (), end)


async def test_a_recording_comes_as_it_is_or_as_alaw(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await recorded(it)
        it.pbx.recordings = {"rec-1": WAV}
        async with it.client.get(it.server.make_url("/v1/jobs/a/recording")) as answer:
            assert (answer.status, answer.content_type, await answer.read()) == (200, "audio/wav", WAV)
            assert answer.content_length == len(WAV)
        async with it.client.get(it.server.make_url("/v1/jobs/a/recording?format=alaw")) as answer:
            assert (answer.status, await answer.read()) == (200, alaw_of(WAV))
        assert (await it.ask("GET", "/v1/jobs/a/recording?format=mp3"))[0] == 400


@pytest.mark.parametrize(
    ("recording", "pbx", "kept", "status"),
    [
        (None, "ast1", {}, 404),
        ("rec-1", "ast1", {}, 404),
        ("rec-1", "a node that was taken away", {"rec-1": WAV}, 404),
        ("rec-1", "ast1", {"rec-1": None}, 503),
    ],
)
async def test_without_one_it_says_why(
    tmp_path: Path, recording: str | None, pbx: str, kept: dict[str, bytes | None], status: int
) -> None:
    async with world(tmp_path) as it:
        await recorded(it, recording, pbx)
        it.pbx.recordings = kept
        assert (await it.ask("GET", "/v1/jobs/a/recording"))[0] == status


def test_alaw_is_a_wav_file_of_half_the_size_that_decodes_to_nearly_the_same() -> None:
    made = alaw_of(wav_bytes(PCM[:1002]))
    assert made[:4] == b"RIFF"
    assert int.from_bytes(made[4:8], "little") == len(made) - 8
    assert len(made) % 2 == 0
    at = made.index(b"data") + 8
    length = int.from_bytes(made[at - 4 : at], "little")
    assert length == 501
    ours = memoryview(decode_alaw(made[at : at + length])).cast("h")
    for coded, real in zip(ours, memoryview(PCM[:1002]).cast("h"), strict=True):
        assert abs(coded - real) <= max(16, abs(real) / 16)


def test_what_is_not_pcm_is_refused() -> None:
    for bad in (b"", b"no wav at all", alaw_of(WAV)):
        with pytest.raises(Refusal):
            alaw_of(bad)
    eight = BytesIO()
    with wave.open(eight, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"abc")
    with pytest.raises(Refusal):
        alaw_of(eight.getvalue())
