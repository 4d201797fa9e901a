"""Speech as all our sounds are: no silence around it, no rumble, one level, soft peaks. At 8000 Hz."""

import math
from typing import Final

from orchestrator.audio.wav import SAMPLE_RATE

LEVEL_DB: Final = -20.0
"""RMS of the active speech, dB below full scale: that of the sounds that come along."""
PEAK_DB: Final = -3.0

_FRAME: Final = SAMPLE_RATE // 50  # 20 ms
_HOP: Final = SAMPLE_RATE // 200  # 5 ms
_WINDOW: Final = 2 * _HOP
_SPEECH_DB: Final = -38.0  # below the loudest 10 ms: what is softer is silence
_ACTIVE_DB: Final = -25.0  # below the loudest 20 ms
_SILENT: Final = 1e-7  # mean square: -70 dB of full scale, in the loudest 10 ms
_LEAD: Final = round(0.004 * SAMPLE_RATE)
_TAIL: Final = round(0.015 * SAMPLE_RATE)
_FADE_IN: Final = round(0.003 * SAMPLE_RATE)
_FADE_OUT: Final = round(0.012 * SAMPLE_RATE)
_DC_POLE: Final = 0.94  # about 80 Hz


class NoSpeechError(Exception):
    """There is nothing but silence."""


def high_passed(samples: list[float]) -> list[float]:
    """Without offset and rumble."""
    found = []
    before = value = 0.0
    for sample in samples:
        value = sample - before + _DC_POLE * value
        before = sample
        found.append(value)
    return found


def trimmed(samples: list[float]) -> list[float]:
    """Without the silence before and after, faded over some milliseconds. Raises `NoSpeechError`."""
    starts = range(0, max(1, len(samples) - _WINDOW + 1), _HOP)
    powers = [_power(samples[at : at + _WINDOW]) for at in starts]
    loudest = max(powers)
    if loudest < _SILENT:
        raise NoSpeechError
    limit = loudest * 10 ** (_SPEECH_DB / 10)
    active = [number for number, power in enumerate(powers) if power > limit]
    first = max(0, active[0] * _HOP - _LEAD)
    last = min(len(samples), active[-1] * _HOP + _WINDOW + _TAIL)
    kept = samples[first:last]
    for number in range(min(_FADE_IN, len(kept))):
        kept[number] *= number / _FADE_IN
    for number in range(1, min(_FADE_OUT, len(kept)) + 1):
        kept[-number] *= number / _FADE_OUT
    return kept


def levelled(samples: list[float], volume: float = 0.0) -> list[float]:
    """At the level of all sounds, `volume` dB more; a peak above the limit is rounded off, softly."""
    limit = 10 ** (PEAK_DB / 20)
    for _ in range(8):  # rounding off lowers the level a little: settle both
        gain = 10 ** ((LEVEL_DB + volume - active_level_db(samples)) / 20)
        samples = [sample * gain for sample in samples]
        if max(map(abs, samples)) <= limit:
            break
        samples = [_rounded(sample, 0.7 * limit, limit) for sample in samples]
    return samples


def active_level_db(samples: list[float]) -> float:
    """RMS of the 20 ms that are at most 25 dB softer than the loudest, in dB of full scale."""
    starts = range(0, max(1, len(samples) - _FRAME + 1), _FRAME)
    powers = [_power(samples[at : at + _FRAME]) for at in starts]
    limit = max(powers) * 10 ** (_ACTIVE_DB / 10)
    active = [power for power in powers if power >= limit]
    return 10 * math.log10(max(sum(active) / len(active), 1e-12))


def _power(samples: list[float]) -> float:
    return sum(sample * sample for sample in samples) / len(samples) if samples else 0.0


def _rounded(sample: float, knee: float, limit: float) -> float:
    over = abs(sample) - knee
    if over <= 0:
        return sample
    room = limit - knee
    return math.copysign(knee + room * math.tanh(over / room), sample)
