"""How an engine is to speak: `<prosody>` and `<voice>` (SSML 1.1, sections 3.2.4 and 3.2.1), bounded.

Recorded sounds are played as they are. A value inside another one adds up, and stays within the bounds.
"""

import math
import re
from collections.abc import Mapping

import msgspec

from orchestrator.prompts.errors import SsmlInvalid

RATE = (0.5, 2.0)
PITCH = (-12.0, 12.0)
"""Semitones."""
VOLUME = (-20.0, 6.0)
"""dB."""

RATES = {"x-slow": 0.6, "slow": 0.8, "medium": 1.0, "fast": 1.25, "x-fast": 1.6, "default": 1.0}
PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "high": 3.0, "x-high": 6.0, "default": 0.0}
VOLUMES = {"x-soft": -12.0, "soft": -6.0, "medium": 0.0, "loud": 3.0, "x-loud": 6.0, "default": 0.0}

_NUMBER = r"([0-9]{1,3}(?:\.[0-9]{1,3})?)"
_PERCENT = re.compile(rf"([+-]?){_NUMBER}%")
_SEMITONES = re.compile(rf"([+-]){_NUMBER}st")
_DECIBELS = re.compile(rf"([+-]){_NUMBER}dB")
_VOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")


class Manner(msgspec.Struct, frozen=True):
    """Voice, rate (1 is as usual), pitch in semitones, volume in dB."""

    voice: str | None = None
    rate: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0


PLAIN = Manner()


def voice(manner: Manner, attributes: Mapping[str, str], at: int) -> Manner:
    """Return the manner inside a `<voice>`. Raises `SsmlInvalid`."""
    name = attributes.get("name")
    if name is None or not _VOICE.fullmatch(name):
        raise SsmlInvalid(
            "the name of <voice> is no name of a voice",
            "write one name, 1 to 64 of A-Z a-z 0-9 _ . + -",
            at=at,
        )
    return msgspec.structs.replace(manner, voice=name)


def prosody(manner: Manner, attributes: Mapping[str, str], at: int) -> Manner:
    """Return the manner inside a `<prosody>`. Raises `SsmlInvalid`."""
    if not attributes:
        raise SsmlInvalid("<prosody> changes nothing", "give it rate, pitch or volume", at=at)
    rate, pitch, volume = manner.rate, manner.pitch, manner.volume
    if (value := attributes.get("rate")) is not None:
        rate *= _rate(value, at)
    if (value := attributes.get("pitch")) is not None:
        pitch += _pitch(value, at)
    if (value := attributes.get("volume")) is not None:
        volume += _volume(value, at)
    return Manner(manner.voice, _within(rate, RATE), _within(pitch, PITCH), _within(volume, VOLUME))


def _rate(value: str, at: int) -> float:
    if value in RATES:
        return RATES[value]
    # `80%` is four fifths of the usual rate, `+10%` a tenth more: the two Recommendations differ.
    match = _PERCENT.fullmatch(value)
    if match:
        rate = float(f"{match[1]}{match[2]}") / 100 + (1 if match[1] else 0)
        if RATE[0] <= rate <= RATE[1]:
            return rate
    raise SsmlInvalid(
        "the rate of <prosody> is none that is spoken here",
        f"write 50% to 200%, or one of {', '.join(RATES)}",
        at=at,
    )


def _pitch(value: str, at: int) -> float:
    if value in PITCHES:
        return PITCHES[value]
    semitones = math.nan
    if match := _SEMITONES.fullmatch(value):
        semitones = float(match[1] + match[2])
    elif (match := _PERCENT.fullmatch(value)) and match[1]:
        factor = 1 + float(match[1] + match[2]) / 100
        semitones = 12 * math.log2(factor) if factor > 0 else math.nan
    if PITCH[0] <= semitones <= PITCH[1]:
        return semitones
    raise SsmlInvalid(
        "the pitch of <prosody> is none that is spoken here",
        f"write -12st to +12st, -50% to +100%, or one of {', '.join(PITCHES)}",
        at=at,
    )


def _volume(value: str, at: int) -> float:
    if value in VOLUMES:
        return VOLUMES[value]
    match = _DECIBELS.fullmatch(value)
    if match and VOLUME[0] <= float(match[1] + match[2]) <= VOLUME[1]:
        return float(match[1] + match[2])
    raise SsmlInvalid(
        "the volume of <prosody> is none that is spoken here",
        f"write -20dB to +6dB, or one of {', '.join(VOLUMES)}",
        at=at,
    )


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
