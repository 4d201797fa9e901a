"""What somebody hears: a list of who sounded when, mixed into samples only when somebody listens to it.

Nothing is computed while a call runs: an ear notes spans of clips, a hundred bytes each. Listening turns them
into 8 kHz linear samples; where several sound together they are added, and clipped as a switch would.
"""

import array
import sys

from orchestrator.audio.wav import SAMPLE_RATE
from orchestrator.pbx.virtual.clips import Clip, samples_of
from orchestrator.pbx.virtual.timeline import at_sample

MAX_SPANS = 5_000
"""Spans that one ear keeps: over an hour of speech. What comes after is not kept."""
MAX_SECONDS = 3 * 3600.0
"""The longest recording that is mixed."""


class Sounding:
    """A clip that sounds since `begun`; its sample `offset` was heard then."""

    __slots__ = ("begun", "clip", "offset")

    def __init__(self, clip: Clip, begun: float, offset: int = 0) -> None:
        self.clip = clip
        self.begun = begun
        self.offset = offset

    def position(self, now: float) -> int:
        """The sample that sounds now."""
        return self.offset + round((now - self.begun) * SAMPLE_RATE)


class _Span:
    __slots__ = ("begun", "clip", "ended", "offset")

    def __init__(self, clip: Clip, begun: float, offset: int) -> None:
        self.clip = clip
        self.begun = begun
        self.offset = offset
        self.ended: float | None = None


class Ear:
    """Notes what can be heard at one place since `since`."""

    __slots__ = ("_now_heard", "_spans", "since")

    def __init__(self, since: float) -> None:
        self.since = at_sample(since)
        self._spans: list[_Span] = []
        self._now_heard: dict[Sounding, _Span] = {}

    def begin(self, sounding: Sounding, now: float) -> None:
        """It is heard from now on."""
        if sounding in self._now_heard or len(self._spans) >= MAX_SPANS:
            return
        now = at_sample(now)
        span = _Span(sounding.clip, now, max(0, sounding.position(now)))
        self._now_heard[sounding] = span
        self._spans.append(span)

    def finish(self, sounding: Sounding, now: float) -> None:
        """It is heard no more."""
        span = self._now_heard.pop(sounding, None)
        if span is not None:
            span.ended = at_sample(now)

    def close(self, now: float) -> None:
        """Nothing is heard any more."""
        for sounding in list(self._now_heard):
            self.finish(sounding, now)

    def pcm(self, now: float) -> bytes:
        """All that was heard until `now`, as 16-bit little-endian PCM at 8000 Hz."""
        total = round(min(max(0.0, now - self.since), MAX_SECONDS) * SAMPLE_RATE)
        heard = bytearray(2 * total)
        filled = 0
        for span in sorted(self._spans, key=lambda span: span.begun):
            first = max(0, round((span.begun - self.since) * SAMPLE_RATE))
            until = now if span.ended is None else min(span.ended, now)
            last = min(total, round((until - self.since) * SAMPLE_RATE))
            piece = samples_of(span.clip)[2 * span.offset : 2 * (span.offset + max(0, last - first))]
            if first >= filled:
                heard[2 * first : 2 * first + len(piece)] = piece
            else:
                _add(heard, 2 * first, piece)
            filled = max(filled, first + len(piece) // 2)
        return bytes(heard[: 2 * total])


def _add(heard: bytearray, at: int, piece: bytes) -> None:
    there, new = _samples(heard[at : at + len(piece)]), _samples(piece)
    for n in range(min(len(there), len(new))):
        there[n] = max(-32768, min(32767, there[n] + new[n]))
    if sys.byteorder == "big":
        there.byteswap()
    heard[at : at + 2 * len(there)] = there.tobytes()


def _samples(pcm: bytes | bytearray) -> "array.array[int]":
    samples = array.array("h")
    samples.frombytes(bytes(pcm))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


class Room:
    """Where voices meet: everybody in it hears all that sounds, but not himself."""

    __slots__ = ("_ears", "_voices")

    def __init__(self) -> None:
        self._ears: dict[Ear, object] = {}
        self._voices: dict[Sounding, object] = {}

    def begin(self, sounding: Sounding, by: object, now: float) -> None:
        """`by` sounds."""
        self._voices[sounding] = by
        for ear, whose in self._ears.items():
            if whose is not by:
                ear.begin(sounding, now)

    def finish(self, sounding: Sounding, now: float) -> None:
        """It sounds no more."""
        if self._voices.pop(sounding, None) is not None:
            for ear in self._ears:
                ear.finish(sounding, now)

    def enter(self, who: object, ear: Ear, now: float) -> None:
        """Somebody listens from now on, and may do so with several ears."""
        self._ears[ear] = who
        for sounding, by in self._voices.items():
            if by is not who:
                ear.begin(sounding, now)

    def leave(self, who: object, now: float) -> None:
        """Somebody neither listens nor sounds any more."""
        for sounding in [each for each, by in self._voices.items() if by is who]:
            self.finish(sounding, now)
        for ear in [each for each, whose in self._ears.items() if whose is who]:
            del self._ears[ear]
            for sounding in self._voices:
                ear.finish(sounding, now)
