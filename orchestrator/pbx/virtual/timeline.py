"""Time for the virtual switch: what is due when, on a clock that somebody else holds.

`LoopTimeline` follows an event loop, as fast as the clock on the wall or faster. `ManualTimeline` stands
still until a test moves it, so that an hour of calls takes a moment and is the same each time.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol

from orchestrator.audio.wav import SAMPLE_RATE

Act = Callable[[], None]


class Timer(Protocol):
    """Something that is due."""

    def cancel(self) -> None:
        """Let it not happen. Harmless when it has happened."""


class Timeline(Protocol):
    """The clock of a switch, in seconds since the epoch."""

    def now(self) -> float:
        """The time."""

    def at(self, when: float, act: Act) -> Timer:
        """Do it then; at once, but not within this call, when `when` has passed."""

    def soon(self, act: Act) -> None:
        """Do it after what is being done now, in the order in which it was asked for."""


def at_sample(when: float) -> float:
    """The instant of the sample nearest to `when`. What is heard begins and ends at such instants alone: the
    distance of any two is then a whole number of samples, whichever of them is counted from."""
    return round(when * SAMPLE_RATE) / SAMPLE_RATE


class LoopTimeline:
    """Follows an event loop. `speed` seconds of the switch pass in each second of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch: float, speed: float = 1.0) -> None:
        if not 0 < speed <= 1000:
            raise ValueError("speed is above 0 and at most 1000")
        self._loop = loop
        self._start = loop.time()
        self._epoch = epoch
        self._speed = speed

    def now(self) -> float:
        return self._epoch + (self._loop.time() - self._start) * self._speed

    def at(self, when: float, act: Act) -> Timer:
        return self._loop.call_at(self._start + (when - self._epoch) / self._speed, act)

    def soon(self, act: Act) -> None:
        self._loop.call_soon(act)


class _Due:
    __slots__ = ("act", "number", "when")

    def __init__(self, when: float, number: int, act: Act) -> None:
        self.when = when
        self.number = number
        self.act: Act | None = act

    def __lt__(self, other: "_Due") -> bool:
        return (self.when, self.number) < (other.when, other.number)

    def cancel(self) -> None:
        self.act = None


class ManualTimeline:
    """Stands still until `advance`."""

    def __init__(self, epoch: float = 1_000_000_000.0) -> None:
        self._now = epoch
        self._due: list[_Due] = []
        self._made = 0

    def now(self) -> float:
        return self._now

    def at(self, when: float, act: Act) -> Timer:
        self._made += 1
        due = _Due(max(when, self._now), self._made, act)
        heapq.heappush(self._due, due)
        return due

    def soon(self, act: Act) -> None:
        self.at(self._now, act)

    def advance(self, seconds: float) -> None:
        """Let time pass; whatever falls due on the way happens at its own time."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        until = self._now + seconds
        while self._due and self._due[0].when <= until:
            due = heapq.heappop(self._due)
            if due.act is not None:
                self._now = due.when
                due.act()
        self._now = until
