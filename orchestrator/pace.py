"""Even spacing: calls a second, without bursts, and less of them while the PBX is overloaded.

Additive increase, multiplicative decrease (Chiu and Jain, 1989): a cut halves the rate, and between cuts it
climbs evenly up to what the operator allows, never above. Pure; time comes in as an argument.
"""

from typing import Final

SLACK: Final = 0.005
"""Seconds by which a start may be late without pushing back the later ones: what a timer may be late."""
MISSED: Final = 0.015
"""Seconds after which a start that was booked with other workers is given back: it would be one too many."""
CUT: Final = 0.5
"""What a cut leaves of the rate."""
LEAST: Final = 1 / 32
"""The part of the full rate below which no cut goes: some calls must go out, to learn that all is well."""
HOLD: Final = 2.0
"""Seconds after a cut in which another counts as the same: its calls were under way already."""
CLIMB: Final = 20.0
"""Seconds that a climb from nothing to the full rate takes."""
FRESH: Final = 0.25
"""The part of the full rate with which a node begins again that took no calls at all."""


class Pace:
    """At most `per_second` starts, each 1/`rate` after the one before, give or take a timer's lateness
    (a tenth of that, or `SLACK` if that is more). Over time there are never more than `per_second`."""

    def __init__(self, per_second: float) -> None:
        self.most = per_second
        self._low = per_second
        self._since = float("-inf")
        self._next = float("-inf")

    def rate(self, now: float) -> float:
        """Starts a second that are allowed now, `most` at most."""
        if self._low >= self.most:
            return self.most
        climbed = max(0.0, now - self._since - HOLD) * self.most / CLIMB
        return min(self.most, self._low + climbed)

    def cut(self, now: float) -> bool:
        """The PBX has too much. False when it was cut a moment ago already."""
        if now < self._since + HOLD:
            return False
        self._low = max(self.rate(now) * CUT, self.most * LEAST)
        self._since = now
        return True

    def begin_again(self, now: float) -> None:
        """The PBX took nothing for a while; what it can bear now is not known."""
        self._low = min(self.rate(now), self.most * FRESH)
        self._since = now

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed, 0 when it is now."""
        return max(0.0, self._next - now)

    def take(self, now: float, share: float = 1.0) -> None:
        """Note a start. `share`, above 0 and at most 1, is the part of the rate that the node may use."""
        gap = 1.0 / (self.rate(now) * share)
        late = now - self._next
        self._next = (self._next if late <= max(gap / 10, SLACK) else now) + gap
