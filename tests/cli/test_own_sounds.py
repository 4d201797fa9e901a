"""An operator's own recordings: checked, converted once, found by the library, carried to the PBX."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path

import pytest

from orchestrator.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from orchestrator.audio.wav import read_wav
from tests.audio.test_riff import wav
from tests.cli.conftest import Desk


def tone(rate: int, seconds: float = 0.5, hertz: float = 440) -> bytes:
    samples = (round(9000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(round(rate * seconds)))
    return array("h", samples).tobytes()


def record(desk: Desk, content: bytes, name: str = "Closed_Today.wav") -> str:
    path = desk.folder / name
    path.write_bytes(content)
    return str(path)


def kept(desk: Desk, name: str = "closed_today") -> Path:
    return desk.folder / "own-sounds/own" / f"{name}.wav"


@pytest.mark.parametrize(
    ("content", "pcm"),
    [
        (wav(tone(8000)), tone(8000)),
        (wav(encode_alaw(tone(8000)), tag=6, bits=8), decode_alaw(encode_alaw(tone(8000)))),
        (wav(encode_ulaw(tone(8000)), tag=7, bits=8), decode_ulaw(encode_ulaw(tone(8000)))),
    ],
    ids=["pcm", "alaw", "ulaw"],
)
def test_a_recording_at_8_khz_is_kept_sample_by_sample(desk: Desk, content: bytes, pcm: bytes) -> None:
    result = desk.run("sounds", "add", record(desk, content), "--text", "We are\n closed today.", "--json")
    assert json.loads(result.stdout) == {"id": "own/closed_today", "ms": 500, "file": str(kept(desk))}
    assert read_wav(kept(desk)) == pcm
    assert kept(desk).with_suffix(".ulaw").read_bytes() == encode_ulaw(pcm)
    assert kept(desk).with_suffix(".alaw").read_bytes() == encode_alaw(pcm)
    listed = desk.run("sounds", "list", "--language", "own", "--json").stdout
    assert json.loads(listed) == {
        "id": "own/closed_today",
        "ms": 500,
        "encodings": ["wav", "alaw", "ulaw"],
        "text": "We are closed today.",
    }


@pytest.mark.parametrize("law", [1, 6, 7])
def test_one_at_16_khz_keeps_its_length_pitch_and_level(desk: Desk, law: int) -> None:
    pcm = tone(16000)
    data = {1: pcm, 6: encode_alaw(pcm), 7: encode_ulaw(pcm)}[law]
    desk.run("sounds", "add", record(desk, wav(data, tag=law, bits=16 if law == 1 else 8, rate=16000)))
    found, wanted = array("h", read_wav(kept(desk))), array("h", tone(8000))
    assert len(found) == len(wanted)
    assert max(abs(a - b) for a, b in zip(found[200:-200], wanted[200:-200], strict=True)) < 400


def test_it_is_played_by_templates_and_carried_to_the_pbx(desk: Desk) -> None:
    (desk.folder / "templates").mkdir()
    (desk.folder / "templates/today.ssml").write_text('<speak><audio src="own/closed"/></speak>')
    desk.add('templates = "templates"\n')
    assert desk.run("render", "today").exit_code == 2
    assert desk.run("sounds", "add", record(desk, wav(tone(8000))), "--name", "own/closed").exit_code == 0
    rendered = desk.run("render", "today")
    assert "own/closed" in rendered.stdout
    desk.run("sounds", "install", "--to", str(desk.folder))
    for ending in ("wav", "ulaw", "alaw"):
        assert (desk.folder / f"orchestrator/own/closed.{ending}").is_file()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (wav(b""), "it holds no sound"),
        (wav(tone(8000))[:-100], "it is cut short"),
        (wav(tone(8000), channels=2), "it has 2 channels, not 1"),
        (wav(tone(44100), rate=44100), "it has 44100 Hz, not 8000 or 16000"),
        (b"ID3\4" + bytes(1000), "it is no WAV file, but an MP3 file"),
        (wav(tone(8000), tag=0x55, bits=0), "it is coded as MP3"),
        (wav(tone(8000, 126)), "it has more than 2 MB"),
        (b"#!/bin/sh\n", "it is no WAV file"),
    ],
)
def test_one_that_is_unfit_is_refused_with_the_reason_and_nothing_is_kept(
    desk: Desk, content: bytes, said: str
) -> None:
    result = desk.run("sounds", "add", record(desk, content))
    assert result.exit_code == 1
    assert said in result.stderr
    assert "sox Closed_Today.wav -r 8000" in result.stderr
    assert desk.left == {"Closed_Today.wav"}


@pytest.mark.parametrize("name", ["../up", "Über", "a b", "", "a/b", "x" * 65, ".hidden"])
def test_a_name_that_is_no_sound_s_name_is_refused(desk: Desk, name: str) -> None:
    result = desk.run("sounds", "add", record(desk, wav(tone(8000))), f"--name={name}")
    assert (result.exit_code, desk.left) == (2, {"Closed_Today.wav"})
    assert desk.run("sounds", "remove", f"{name}").exit_code == 2


def test_another_recording_of_that_name_is_not_overwritten_unless_told(desk: Desk) -> None:
    first, other = record(desk, wav(tone(8000))), record(desk, wav(tone(8000, 0.25)), "other.wav")
    assert desk.run("sounds", "add", first, "--name", "a", "--text", "the first").exit_code == 0
    assert desk.run("sounds", "add", first, "--name", "a").exit_code == 0
    assert "the first" in desk.run("sounds", "list", "--language", "own").stdout
    refused = desk.run("sounds", "add", other, "--name", "a")
    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    assert desk.run("sounds", "add", other, "--name", "a", "--replace").exit_code == 0
    listed = desk.run("sounds", "list", "--language", "own").stdout
    assert "250 ms  own/a" in listed
    assert "the first" not in listed


def test_a_recording_that_is_removed_is_gone_whole(desk: Desk) -> None:
    desk.run("sounds", "add", record(desk, wav(tone(8000))), "--name", "a", "--text", "a")
    assert desk.run("sounds", "remove", "own/a").exit_code == 0
    assert list((desk.folder / "own-sounds").rglob("*.*")) == []
    assert desk.run("sounds", "remove", "a").exit_code == 1
    assert desk.run("sounds", "list", "--language", "own").exit_code == 1


def test_a_file_that_cannot_be_read_or_a_place_that_cannot_be_written_says_so(desk: Desk) -> None:
    missing = desk.run("sounds", "add", str(desk.folder / "none.wav"))
    assert (missing.exit_code, "cannot be read: No such file" in missing.stderr) == (2, True)
    (desk.folder / "own-sounds").write_text("a file")
    unwritable = desk.run("sounds", "add", record(desk, wav(tone(8000))))
    assert (unwritable.exit_code, "cannot be written" in unwritable.stderr) == (1, True)
