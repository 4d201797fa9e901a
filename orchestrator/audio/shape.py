"""What a speech engine made, as a telephone sound. A program of its own: WAV in, 16-bit PCM at 8000 Hz out.

It runs beside the worker, which must not count samples while calls wait, and which should not be the one
that reads what a stranger's engine wrote. Needs nothing but the standard library.

    python -m orchestrator.audio.shape VOLUME_DB <in.wav >out.pcm

Exits 1 with one line on standard error when the WAV file holds no speech.
"""

import sys
from array import array

from orchestrator.audio.resample import to_phone_rate
from orchestrator.audio.riff import RiffError, parse_wave
from orchestrator.audio.speech_level import NoSpeechError, high_passed, levelled, trimmed


def shape(content: bytes, volume: float) -> bytes:
    """Raises `RiffError`, `NoSpeechError`, and `ValueError` for a rate that is not 8000 to 48000 Hz."""
    wave = parse_wave(content, streamed=True)
    samples = to_phone_rate(to_floats(wave.pcm), wave.rate)
    return to_pcm(levelled(trimmed(high_passed(samples)), volume))


def to_floats(pcm: bytes) -> list[float]:
    """16-bit little-endian PCM as numbers from -1 to 1."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return [sample / 32768 for sample in samples]


def to_pcm(samples: list[float]) -> bytes:
    """Numbers from -1 to 1 as 16-bit little-endian PCM; what is beyond is clipped."""
    found = array("h", [max(-32768, min(32767, round(sample * 32768))) for sample in samples])
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def main() -> int:
    """Shape standard input into standard output."""
    try:
        pcm = shape(sys.stdin.buffer.read(), float(sys.argv[1]))
    except NoSpeechError:
        sys.stderr.write("it made nothing but silence\n")
        return 1
    except (RiffError, ValueError) as error:
        sys.stderr.write(f"of what it made: {error}\n")
        return 1
    sys.stdout.buffer.write(pcm)
    return 0


if __name__ == "__main__":
    sys.exit(main())
