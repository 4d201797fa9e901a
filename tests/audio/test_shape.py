"""An engine's speech becomes a telephone sound: 8000 Hz, cut, at the level of all sounds."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from orchestrator.audio.resample import to_phone_rate
from orchestrator.audio.shape import shape, to_floats, to_pcm
from orchestrator.audio.speech_level import LEVEL_DB, active_level_db, levelled, trimmed
from orchestrator.audio.wav import read_wav
from orchestrator.prompts import packaged_root


def tone(hertz: float, rate: int, seconds: float = 0.25, height: float = 0.5) -> list[float]:
    return [height * math.sin(2 * math.pi * hertz * at / rate) for at in range(round(rate * seconds))]


def file(samples: list[float], rate: int) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(to_pcm(samples))
    return made.getvalue()


def rms_db(samples: list[float]) -> float:
    return 20 * math.log10(math.sqrt(sum(value * value for value in samples) / len(samples)) + 1e-12)


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 24000, 44100, 48000])
def test_speech_keeps_its_pitch_level_and_length_and_what_a_telephone_has_not_goes(rate: int) -> None:
    found = to_phone_rate(tone(1000, rate), rate)
    assert len(found) == pytest.approx(2000, abs=1)
    wanted = tone(1000, 8000)
    middle = slice(200, 1800)
    assert np.max(np.abs(np.array(found[middle]) - np.array(wanted[middle]))) < 0.003
    assert rms_db(to_phone_rate(tone(3300, rate), rate)[200:1800]) > rms_db(wanted) - 0.3
    assert rms_db(to_phone_rate(tone(4400, rate), rate)[200:1800]) < rms_db(wanted) - 55


def test_a_rate_beyond_the_usual_is_refused() -> None:
    for rate in (4000, 96000):
        with pytest.raises(ValueError, match="between 8000 and 48000"):
            to_phone_rate([0.0] * 100, rate)


@pytest.mark.parametrize("height", [0.003, 0.1, 1.0])
def test_whatever_the_engine_s_loudness_it_is_as_loud_as_the_sounds_that_come_along(height: float) -> None:
    samples = [0.0] * 4000 + tone(300, 16000, 1.0, height) + [0.0] * 4000
    made = to_floats(shape(file(samples, 16000), 0.0))
    assert active_level_db(made) == pytest.approx(LEVEL_DB, abs=0.5)
    assert len(made) / 8000 == pytest.approx(1.0, abs=0.05)
    shipped = packaged_root() / "en/phrases/your-verification-code-is.wav"
    assert active_level_db(to_floats(read_wav(shipped))) == pytest.approx(LEVEL_DB, abs=1.0)


@pytest.mark.parametrize("volume", [-20.0, -6.0, 6.0])
def test_volume_is_so_many_decibels_more_and_nothing_is_clipped(volume: float) -> None:
    samples = tone(300, 8000, 1.0)
    assert active_level_db(levelled(samples, volume)) == pytest.approx(LEVEL_DB + volume, abs=0.5)
    assert max(levelled(samples, volume)) < 0.71


def test_the_pause_inside_stays_and_the_silence_around_goes() -> None:
    speech = tone(300, 8000, 0.2)
    samples = [0.0] * 1600 + speech + [0.0] * 800 + speech + [0.0] * 1600
    found = trimmed(samples)
    assert len(found) == pytest.approx(len(speech) * 2 + 800, abs=260)
    assert found[0] == 0.0
    assert abs(found[-1]) < 0.05


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (file([0.0] * 8000, 16000), "nothing but silence"),
        (file(tone(300, 8000), 96000), "not between"),
        (b"<html>", "no WAV file"),
    ],
)
def test_the_program_says_in_one_line_what_is_wrong(content: bytes, said: str) -> None:
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-S", "-m", "orchestrator.audio.shape", "0"],
        input=content,
        capture_output=True,
        env={"PYTHONPATH": root},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
