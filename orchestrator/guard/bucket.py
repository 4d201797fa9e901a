"""A token bucket: so many requests a second on average, and a second's worth of them at once."""


class Bucket:
    """Holds up to a second's worth of tokens, one at least. Pure; time comes in as an argument."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._size = max(1.0, per_second)
        self._tokens = self._size
        self._at = float("-inf")

    def take(self, now: float) -> float:
        """Take one. 0 when there was one, else the seconds until there is."""
        gained = max(0.0, now - self._at) * self.per_second
        self._tokens = min(self._size, self._tokens + gained)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.per_second
