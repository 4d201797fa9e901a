"""WAV files whose writer was killed: what was recorded until then can be heard."""

import io
import wave

import pytest

from orchestrator.audio.cut_off import whole
from orchestrator.audio.wav import wav_bytes

PCM = bytes(range(200))
FILE = wav_bytes(PCM)
LENGTH = 40
"""Where the length of the samples stands in such a file."""


def samples(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as opened:
        frames: bytes = opened.readframes(opened.getnframes())
    return frames


def test_a_whole_file_stays_as_it_is() -> None:
    assert whole(FILE) == FILE


@pytest.mark.parametrize("told", [0, 0xFFFFFFFF, len(PCM) + 2])
def test_the_lengths_are_those_of_the_file(told: int) -> None:
    cut = FILE[:4] + bytes(4) + FILE[8:LENGTH] + told.to_bytes(4, "little") + FILE[LENGTH + 4 :]
    assert whole(cut) == FILE


def test_half_a_sample_at_the_end_is_left_out() -> None:
    assert samples(whole(FILE[:-1])) == PCM[:-2]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all, but text", FILE[:36]])
def test_what_has_no_samples_is_no_recording(content: bytes) -> None:
    assert whole(content) == b""
