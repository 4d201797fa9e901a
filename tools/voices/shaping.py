"""From the model's 24 kHz speech to a telephone sound: cut, filtered, levelled, 8 kHz."""

import numpy as np

from tools.voices.kokoro import SAMPLE_RATE, Samples

PHONE_RATE = 8000
LEVEL_DB = -20.0  # RMS of the active speech, dB below full scale
PEAK_DB = -3.0

_HOP = 120  # 5 ms at 24 kHz
_WINDOW = 240
_HIGH_PASS_HZ = 80.0
_SPEECH_DB = -38.0  # below the loudest 10 ms: what is softer is silence
_FADE_IN = 0.003  # s
_FADE_OUT = 0.012  # s


def high_passed(samples: Samples) -> Samples:
    """Without offset and rumble, no phase shift."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    gain = 1 / (1 + (_HIGH_PASS_HZ / np.maximum(hertz, 1e-3)) ** 8)
    return np.fft.irfft(spectrum * gain, len(samples))


def levels_db(samples: Samples) -> Samples:
    """The level of each 10 ms, every 5 ms, in dB of full scale."""
    starts = range(0, max(1, len(samples) - _WINDOW + 1), _HOP)
    return np.array([10 * np.log10(np.mean(samples[at : at + _WINDOW] ** 2) + 1e-12) for at in starts])


def trimmed(samples: Samples) -> Samples:
    """Without the silence before and after, faded over a few milliseconds at both ends."""
    levels = levels_db(samples)
    active = np.flatnonzero(levels > levels.max() + _SPEECH_DB)
    first = max(0, int(active[0]) * _HOP - int(0.004 * SAMPLE_RATE))
    last = min(len(samples), int(active[-1]) * _HOP + _WINDOW + int(0.015 * SAMPLE_RATE))
    return _faded(samples[first:last])


def softest(samples: Samples, at: int) -> int:
    """The softest place within 50 ms before and 25 ms after `at`, where one word ends and another begins."""
    levels = levels_db(samples)
    low = max(0, at // _HOP - 10)
    return (low + int(np.argmin(levels[low : at // _HOP + 6]))) * _HOP


def cut_before_stop(samples: Samples, digit_end: int, stop_at: int) -> Samples:
    """The speech before the closure of a stop consonant: a real silence in the middle of a sentence.

    `digit_end` and `stop_at` are the samples at which the model says the wanted syllable ends and the
    stop begins; the cut is at the softest place between them, give or take the 100 ms of the release.
    """
    levels = levels_db(samples)
    low = digit_end // _HOP
    high = min(len(levels), stop_at // _HOP + 20)
    return trimmed(samples[: (low + int(np.argmin(levels[low:high]))) * _HOP + _HOP])


def _faded(samples: Samples) -> Samples:
    result = samples.copy()
    rise, fall = int(_FADE_IN * SAMPLE_RATE), int(_FADE_OUT * SAMPLE_RATE)
    result[:rise] *= np.linspace(0, 1, rise)
    result[-fall:] *= np.linspace(1, 0, fall)
    return result


def to_phone_rate(samples: Samples) -> Samples:
    """24 kHz to 8 kHz behind a linear-phase low-pass: flat to 3.6 kHz, 80 dB down at 4 kHz."""
    half = 150
    at = np.arange(-half, half + 1)
    cutoff = 2 * 3800 / SAMPLE_RATE
    kernel = np.sinc(at * cutoff) * cutoff * np.kaiser(2 * half + 1, 8.0)
    return np.convolve(samples, kernel / kernel.sum(), mode="same")[:: SAMPLE_RATE // PHONE_RATE]


def active_level_db(samples: Samples) -> float:
    """RMS of the 20 ms frames that are at most 25 dB softer than the loudest, dB of full scale."""
    whole = len(samples) // 160 * 160
    power = np.mean(samples[:whole].reshape(-1, 160) ** 2, axis=1)
    return float(10 * np.log10(np.mean(power[power > power.max() / 10**2.5])))


def levelled(samples: Samples) -> Samples:
    """At the level of all sounds; a peak above the limit is rounded off, softly, first."""
    limit = 10 ** (PEAK_DB / 20)
    for _ in range(8):  # rounding off lowers the level a little: settle both
        samples = samples * 10 ** ((LEVEL_DB - active_level_db(samples)) / 20)
        peak = np.max(np.abs(samples))
        if peak <= limit:
            break
        knee = 0.7 * limit
        over = np.maximum(np.abs(samples) - knee, 0)
        room = limit - knee
        samples = np.sign(samples) * (np.minimum(np.abs(samples), knee) + room * np.tanh(over / room))
    return samples


def to_pcm(samples: Samples, silence: float) -> bytes:
    """16-bit PCM, followed by so many seconds of silence."""
    padded = np.concatenate([samples, np.zeros(round(silence * PHONE_RATE))])
    return np.clip(np.round(padded * 32767), -32768, 32767).astype("<i2").tobytes()
