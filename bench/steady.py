"""How steady the machine itself is: the same small work, again and again, while nothing else runs.

On a machine that others share, a core may be half as fast again in one second as in the next, and nothing on
it says so: no load, no stolen time. Figures of such a run are those of that minute.
"""

import statistics
import time

LOOK = 1.0
"""Seconds that one look takes."""
PAUSE = 0.05
"""Seconds of rest between two tries: others must have had a chance to be in the way."""
STEPS = 150_000
"""Of the loop: a few milliseconds."""
AGAIN = 3
"""Times that a try runs the loop. The best counts: the first begins with cold caches."""


def _loop() -> float:
    began = time.thread_time()
    total = 0
    for n in range(STEPS):
        total += n
    return 1000 * (time.thread_time() - began)


def _try() -> float:
    return min(_loop() for _ in range(AGAIN))


def look(seconds: float = LOOK) -> list[float]:
    """CPU (ms) of the same small loop, tried for so many `seconds`."""
    tries = [_try()]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(PAUSE)
        tries.append(_try())
    return tries


def slowdown(tries: list[float]) -> float:
    """How much longer than the best a try takes on average; 1.0 on a machine that is always as fast."""
    return statistics.fmean(tries) / min(tries)
