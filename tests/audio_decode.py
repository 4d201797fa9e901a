"""Reads digits back from the recording of a call, by correlation with the known digit sounds.

The normalised cross-correlation of a sound with a recording is 1 where the sound lies, whatever its
level. G.711 and a shift by part of a sample cost a few hundredths; another digit stays far below.
A digit can match by chance inside a spoken phrase, so phrases can be found and masked first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.wav import SAMPLE_RATE, read_wav

Samples = NDArray[np.float64]
Recording = Path | str | bytes | Samples
"""A WAV file, 16-bit PCM, or samples in -1 to 1; all at 8000 Hz."""

_SHORTEST = 0.1  # s: something shorter matches by chance
_SILENT = 1e-3  # of full scale, RMS (-60 dBFS): where a recording is softer, nothing was played


class Found(NamedTuple):
    """A sound in a recording: where it starts (s), its name, and how well it matches (0 to 1)."""

    time: float
    digit: str
    score: float


def load(recording: Recording) -> Samples:
    """The samples, -1 to 1, of whatever a recording is given as."""
    match recording:
        case Path() | str():
            return load(read_wav(Path(recording)))
        case bytes():
            return np.frombuffer(recording, dtype="<i2").astype(np.float64) / 32768
        case _:
            return np.asarray(recording, dtype=np.float64)


def stripped(samples: Samples) -> Samples:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(samples) > 1e-3)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def digit_sounds(folder: Path) -> dict[str, Samples]:
    """The digit sounds of one language's folder, as `decode_digits` takes them."""
    return {digit: load(folder / "digits" / f"{digit}.wav") for digit in "0123456789"}


def decode_digits(
    recording: Recording,
    digit_templates: Mapping[str, Recording],
    threshold: float = 0.8,
    phrases: Mapping[str, Recording] | None = None,
) -> list[Found]:
    """The digits heard in a recording, in order.

    `digit_templates` and `phrases` map names to sounds. A match below `threshold` is none. Of matches
    that overlap the best stays. Digits within a phrase that was found do not count.
    """
    heard = load(recording)
    spans = [_span(found, phrases or {}) for found in find_sounds(heard, phrases or {}, threshold)]
    return [
        found
        for found in find_sounds(heard, digit_templates, threshold)
        if not any(start <= _middle(found, digit_templates) <= end for start, end in spans)
    ]


def find_sounds(recording: Recording, sounds: Mapping[str, Recording], threshold: float = 0.8) -> list[Found]:
    """Every sound in a recording, in order of time; of overlapping ones the best match."""
    heard = load(recording)
    candidates: list[tuple[float, int, int, str]] = []
    transforms: dict[int, NDArray[np.complex128]] = {}
    for name, sound in sounds.items():
        wanted = stripped(load(sound))
        if len(wanted) < _SHORTEST * SAMPLE_RATE:
            raise ValueError(f"{name!r} is shorter than {_SHORTEST} s and would match by chance")
        scores = _correlation(heard, wanted, transforms)
        candidates += [(scores[at], at, len(wanted), name) for at in _peaks(scores, threshold)]
    taken: list[tuple[int, int]] = []
    found: list[Found] = []
    for score, at, length, name in sorted(candidates, reverse=True):
        # Two sounds played one after the other never overlap by more than a shift of some samples.
        margin = length // 10
        if all(at + length - margin <= start or at + margin >= end for start, end in taken):
            taken.append((at, at + length))
            found.append(Found(at / SAMPLE_RATE, name, float(score)))
    return sorted(found)


def _correlation(heard: Samples, wanted: Samples, transforms: dict[int, NDArray[np.complex128]]) -> Samples:
    """Normalised cross-correlation at every place where `wanted` fits whole; 0 where it is silent."""
    places = len(heard) - len(wanted) + 1
    if places <= 0:
        return np.zeros(0)
    size = 1 << (len(heard) + len(wanted) - 1).bit_length()
    if size not in transforms:
        transforms[size] = np.fft.rfft(heard, size)
    product = transforms[size] * np.conj(np.fft.rfft(wanted, size))
    alike = np.fft.irfft(product, size)[:places]
    summed = np.concatenate([[0.0], np.cumsum(heard**2)])
    energy = summed[len(wanted) :] - summed[:places]
    silent = energy < len(wanted) * _SILENT**2
    norm = np.sqrt(np.where(silent, 1.0, energy) * np.sum(wanted**2))
    return np.where(silent, 0.0, alike / norm)


def _peaks(scores: Samples, threshold: float) -> list[int]:
    """The best place of each run of scores above the threshold, runs within 20 ms taken as one."""
    above = np.flatnonzero(scores >= threshold)
    if not len(above):
        return []
    runs = np.split(above, np.flatnonzero(np.diff(above) > SAMPLE_RATE // 50) + 1)
    return [int(run[np.argmax(scores[run])]) for run in runs]


def _length(found: Found, sounds: Mapping[str, Recording]) -> float:
    return len(stripped(load(sounds[found.digit]))) / SAMPLE_RATE


def _span(found: Found, sounds: Mapping[str, Recording]) -> tuple[float, float]:
    return found.time, found.time + _length(found, sounds)


def _middle(found: Found, sounds: Mapping[str, Recording]) -> float:
    return found.time + _length(found, sounds) / 2
