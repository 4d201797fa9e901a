"""Even spacing: calls a second, without bursts. Pure; time comes in as an argument."""

from typing import Final

SLACK: Final = 0.005
"""Seconds by which a start may be late without pushing back the later ones: what a timer may be late."""


class Pace:
    """At most `per_second` starts, each 1/`per_second` after the one before, give or take a timer's lateness
    (a tenth of that, or `SLACK` if that is more). Over time there are never more than `per_second`."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._slack = max(self._gap / 10, SLACK)
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed, 0 when it is now."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """Note a start."""
        late = now - self._next
        self._next = (self._next if late <= self._slack else now) + self._gap
