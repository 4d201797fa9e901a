"""Samples as a WAV file in memory."""

import io
import wave

from orchestrator.audio.wav import SAMPLE_RATE, SAMPLE_WIDTH


def wav_bytes(pcm: bytes) -> bytes:
    """16-bit little-endian PCM at 8000 Hz, mono, as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(SAMPLE_WIDTH)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(pcm)
    return file.getvalue()
