"""WAV files as a telephone switch plays them: 8000 Hz, mono, 16-bit PCM."""

import io
import wave
from pathlib import Path

SAMPLE_RATE = 8000
"""Samples a second."""

SAMPLE_WIDTH = 2
"""Bytes a sample."""


class WavError(Exception):
    """A WAV file that cannot be read or written; says which, why and the mend."""

    def __init__(self, path: Path, reason: str, mend: str) -> None:
        super().__init__(f"{path}: {reason}; {mend}")
        self.path = path


class WavMissingError(WavError):
    """There is no such file, or it may not be opened."""


class WavFormatError(WavError):
    """It is no WAV file, is cut short, or is not 8000 Hz mono 16-bit PCM."""


def seconds(pcm: bytes) -> float:
    """How long 16-bit PCM at 8000 Hz lasts."""
    return len(pcm) / (SAMPLE_RATE * SAMPLE_WIDTH)


def read_wav(path: Path) -> bytes:
    """The samples of `path` as signed 16-bit little-endian PCM.

    Raises WavMissingError when the file cannot be opened, WavFormatError when it is something else.
    """
    try:
        with path.open("rb") as raw, wave.open(raw) as file:
            found = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            frames = file.getnframes()
            pcm: bytes = file.readframes(frames)
    except OSError as error:
        raise WavMissingError(
            path, f"cannot be opened ({error.strerror})", "check the path and its permissions"
        ) from error
    except (wave.Error, EOFError) as error:
        raise WavFormatError(
            path,
            f"is not a PCM WAV file ({str(error) or 'it ends too soon'})",
            "convert it to 16-bit PCM WAV",
        ) from error
    if found != (SAMPLE_RATE, 1, SAMPLE_WIDTH):
        rate, channels, width = found
        raise WavFormatError(
            path,
            f"has {rate} Hz, {channels} channel(s), {8 * width} bits",
            "convert it to 8000 Hz, mono, 16 bits",
        )
    if len(pcm) != frames * SAMPLE_WIDTH:
        raise WavFormatError(
            path, f"is cut short: {len(pcm) // SAMPLE_WIDTH} of {frames} samples", "copy it again"
        )
    return pcm


def wav_bytes(pcm: bytes) -> bytes:
    """Signed 16-bit little-endian PCM at 8000 Hz as a WAV file. ValueError when it ends within a sample."""
    if len(pcm) % SAMPLE_WIDTH:
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_WIDTH)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm)
    return made.getvalue()


def write_wav(path: Path, pcm: bytes) -> None:
    """Write signed 16-bit little-endian PCM at 8000 Hz to `path`.

    Raises WavMissingError when the file cannot be written, ValueError when `pcm` ends within a sample.
    """
    content = wav_bytes(pcm)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise WavMissingError(
            path, f"cannot be written ({error.strerror})", "check that the folder exists and may be written"
        ) from error
