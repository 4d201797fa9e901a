"""Even spacing: calls a second, without bursts. Pure; time comes in as an argument."""


class Pace:
    """At most `per_second` starts, each at least 1/`per_second` after the one before."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed, 0 when it is now."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """Note a start. One that came up to a gap late does not push the later ones back."""
        self._next = max(self._next, now - self._gap) + self._gap
