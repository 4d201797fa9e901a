"""The time of day that never steps: seconds since the epoch, carried on by the monotonic clock.

Timers and durations would jump with a wall clock that is set. This one is anchored once, at the start.
"""

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady_clock() -> Clock:
    """A clock anchored to the wall clock now."""
    offset = time.time() - time.monotonic()
    monotonic = time.monotonic
    return lambda: offset + monotonic()
