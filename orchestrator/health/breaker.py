"""The circuit breaker of one node: whether it is given calls at all.

    CLOSED ──── failures in a row, or a connection that flaps ────► OPEN
      ▲                                                              │ after a wait, once a request that
      │ several calls in a row were taken                            ▼ rings nobody was answered
      └──────────────────────────────────────────────────────── HALF_OPEN ── one failure ──► OPEN

Only faults of the PBX itself count. Whether the callee answers is no business of the breaker. Pure; time
comes in as an argument.
"""

from enum import StrEnum
from typing import Final

FAILURES: Final = 5
"""So many originates in a row must fail before the breaker opens."""
PROOFS: Final = 3
"""So many originates in a row must succeed, one at a time, before it closes again."""
FLAPS: Final = 3
"""So many connections in a row must be short-lived before it opens."""
SHORT_LIVED: Final = 10.0
"""Seconds below which a connection counts as short-lived."""
FIRST_WAIT: Final = 1.0
"""Seconds that it is open before the first look whether the node is well. They double each time."""
LONGEST_WAIT: Final = 15.0
CALM: Final = 30.0
"""Seconds that it must have been closed before the waits begin from the first again."""


class State(StrEnum):
    """Whether calls may go to the node."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One node's breaker. Times are seconds on any one clock that never goes back."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.reason = ""
        """Why it is not closed."""
        self.until = 0.0
        """When it was opened: not to be tried before."""
        self._failures = 0
        self._proofs = 0
        self._flaps = 0
        self._up_at: float | None = None
        self._wait = 0.0
        self._closed_at = float("-inf")
        self._half_open_at = 0.0

    def succeeded(self, asked_at: float, now: float) -> None:
        """An originate that was asked for at `asked_at` was answered."""
        self._failures = 0
        if self.state is State.HALF_OPEN and asked_at >= self._half_open_at:
            self._proofs += 1
            if self._proofs >= PROOFS:
                self.state, self.reason, self._closed_at = State.CLOSED, "", now

    def failed(self, why: str, asked_at: float, now: float) -> None:
        """An originate that was asked for at `asked_at` failed, by a fault of the PBX."""
        self._failures += 1
        if self.state is State.CLOSED and self._failures >= FAILURES:
            self._open(f"{self._failures} originates in a row failed, the last: {why}", now)
        elif self.state is State.HALF_OPEN and asked_at >= self._half_open_at:
            self._open(f"it was tried again, and failed: {why}", now)

    def linked(self, up: bool, now: float) -> None:
        """The connection came up or went down."""
        if up:
            self._up_at = self._up_at if self._up_at is not None else now
            return
        if self._up_at is None:
            return
        lived, self._up_at = now - self._up_at, None
        self._flaps = self._flaps + 1 if lived < SHORT_LIVED else 0
        if self._flaps >= FLAPS and self.state is not State.OPEN:
            self._open(f"{self._flaps} connections in a row broke within {SHORT_LIVED:g} s", now)

    def due(self, now: float) -> bool:
        """Whether it is time to ask the node, without ringing anybody, how it is."""
        return self.state is State.OPEN and now >= self.until

    def probed(self, fault: str | None, now: float) -> None:
        """The node was asked: with no `fault` it gets a call at a time."""
        if self.state is not State.OPEN:
            return
        if fault is None:
            self.state, self._proofs, self._half_open_at = State.HALF_OPEN, 0, now
        else:
            self._open(f"it does not answer: {fault}", now)

    def _open(self, reason: str, now: float) -> None:
        calm = self.state is State.CLOSED and now - self._closed_at >= CALM
        self._wait = FIRST_WAIT if calm else min(2 * self._wait, LONGEST_WAIT)
        self.state, self.reason, self.until = State.OPEN, reason, now + self._wait
        self._failures = 0
