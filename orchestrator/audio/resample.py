"""Speech of any usual rate to the telephone's 8000 samples a second.

One linear-phase low-pass, a sinc under a Kaiser window, worked out once for each phase that an output
sample can have between two input samples (polyphase). Flat to 3.3 kHz, 60 dB down from 4.2 kHz on.
"""

import math
from operator import mul
from typing import Final

from orchestrator.audio.wav import SAMPLE_RATE

MIN_RATE: Final = SAMPLE_RATE
MAX_RATE: Final = 48_000

_CUTOFF_HZ: Final = 3750.0
_TRANSITION_HZ: Final = 900.0
_STOP_DB: Final = 60.0
_BETA: Final = 0.1102 * (_STOP_DB - 8.7)  # Kaiser's formula
_BESSEL_TERMS: Final = 24


def to_phone_rate(samples: list[float], rate: int) -> list[float]:
    """`samples` at `rate` (8000 to 48000 Hz) as samples at 8000 Hz. ValueError for another rate."""
    if rate == SAMPLE_RATE:
        return samples
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"{rate} Hz is not between {MIN_RATE} and {MAX_RATE} Hz")
    common = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    half = math.ceil((_STOP_DB - 8) / (2.285 * 2 * math.pi * _TRANSITION_HZ / rate) / 2)
    kernels: dict[int, list[float]] = {}
    padded = [0.0] * half + samples + [0.0] * (half + 1)
    found = []
    for number in range(len(samples) * up // down):
        first, phase = divmod(number * down, up)
        kernel = kernels.get(phase)
        if kernel is None:
            kernel = kernels[phase] = _kernel(half, phase / up, rate)
        found.append(sum(map(mul, padded[first : first + len(kernel)], kernel)))
    return found


def _kernel(half: int, shift: float, rate: int) -> list[float]:
    """The weights of the `2 * half + 2` input samples around a place `shift` of a sample after one."""
    width = 2 * _CUTOFF_HZ / rate
    weights = []
    for number in range(-half, half + 2):
        away = number - shift
        inside = 1 - (away / (half + 1)) ** 2
        angle = math.pi * away * width
        sinc = math.sin(angle) / angle if angle else 1.0
        weights.append(sinc * _bessel(_BETA * math.sqrt(inside)) if inside > 0 else 0.0)
    whole = sum(weights)
    return [weight / whole for weight in weights]


def _bessel(value: float) -> float:
    """The modified Bessel function of the first kind and order 0."""
    term = total = 1.0
    for number in range(1, _BESSEL_TERMS):
        term *= (value / 2 / number) ** 2
        total += term
    return total
