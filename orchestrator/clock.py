"""The time of day that never steps: seconds since the epoch, carried on by the monotonic clock.

Timers and durations would jump with a wall clock that is set. This one is anchored once, at the start.

So two processes disagree when the time of day was set between their starts, or the machine slept. Within one
boot of the machine the monotonic clock is the same for all, and says by how much.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

Clock = Callable[[], float]

TOLERANCE: Final = 1.0
"""Seconds by which two clocks may differ without anything being done about it."""


def steady_clock() -> Clock:
    """A clock anchored to the wall clock now."""
    offset = time.time() - time.monotonic()
    monotonic = time.monotonic
    return lambda: offset + monotonic()


class Moment(msgspec.Struct, frozen=True):
    """What somebody's clock shows at a moment of the machine's own monotonic clock."""

    at: float
    """Seconds since the epoch, by that clock."""
    monotonic: float
    """Seconds, by the machine's."""
    boot: str
    """Which boot of the machine; empty where the system does not say."""


def moment(clock: Clock) -> Moment:
    """What `clock` shows now."""
    return Moment(clock(), time.monotonic(), _boot())


def ahead(of: Moment, than: Moment) -> float | None:
    """By how many seconds the clock of the one moment is ahead of the other's, 0 within TOLERANCE. None when
    it cannot be known: they are from different boots."""
    if not of.boot or of.boot != than.boot:
        return None
    seconds = (of.at - of.monotonic) - (than.at - than.monotonic)
    return seconds if abs(seconds) > TOLERANCE else 0.0


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
