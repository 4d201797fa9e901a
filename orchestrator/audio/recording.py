"""An operator's own recording: checked, and made into what a telephone switch plays."""

from typing import Final

from orchestrator.audio.resample import to_phone_rate
from orchestrator.audio.riff import RiffError, parse_wave
from orchestrator.audio.shape import to_floats, to_pcm
from orchestrator.audio.wav import SAMPLE_RATE

MAX_BYTES: Final = 2_000_000
RATES: Final = (8000, 16000)


def fit_recording(content: bytes) -> bytes:
    """16-bit PCM at 8000 Hz of a mono WAV file of PCM, A-law or µ-law with 8000 or 16000 Hz.

    Level and pauses stay as they are. Raises `RiffError`, whose message is the reason.
    """
    if len(content) > MAX_BYTES:
        raise RiffError(f"it has more than {MAX_BYTES // 1_000_000} MB")
    wave = parse_wave(content)
    if wave.rate not in RATES:
        raise RiffError(f"it has {wave.rate} Hz, not {RATES[0]} or {RATES[1]}")
    if wave.rate == SAMPLE_RATE:
        return wave.pcm
    return to_pcm(to_phone_rate(to_floats(wave.pcm), wave.rate))
