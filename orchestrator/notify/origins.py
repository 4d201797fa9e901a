"""Receivers, and whose turn it is to be delivered to. Pure: no clock, no I/O.

An origin is one receiver: scheme, host and port. Its window is how many deliveries it may have in flight. A
new origin starts with START; each answer adds one, up to `per_origin`; each failure to answer halves it.

An origin is troubled when its last try got no answer, or a slow one, or when it comes back for a retry.
Troubled origins together hold at most half of all slots, so those that answer promptly are not kept
waiting by those that hang. Within each class origins take turns.
"""

from collections import deque
from typing import Literal

from orchestrator.notify.delivery import Delivery

START = 4
DOWN_AFTER = 3
"""Consecutive tries without an answer after which an origin counts as down."""


WATCHED = 10_000
"""Receivers whose failures are remembered while nothing is in memory for them."""


class Watch:
    """Sees each receiver go down and come back, once each. Remembers those that failed, idle ones too."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}

    def heard(self, key: str, *, answered: bool) -> Literal["down", "up"] | None:
        """What a try has changed."""
        failures = self._failures.pop(key, 0)
        if answered:
            return "up" if failures >= DOWN_AFTER else None
        self._failures[key] = failures + 1
        if len(self._failures) > WATCHED:
            del self._failures[next(iter(self._failures))]
        return "down" if failures + 1 == DOWN_AFTER else None


class Origin:
    """One receiver's waiting lanes and its health."""

    __slots__ = ("failures", "flying", "full_until", "key", "queued", "troubled", "turn", "waiting", "window")

    def __init__(self, key: str, *, troubled: bool, window: int) -> None:
        self.key = key
        self.waiting: deque[Lane] = deque()
        self.queued = 0
        """Deliveries in memory, those in flight or at rest included."""
        self.flying = 0
        self.window = window
        self.failures = 0
        self.troubled = troubled
        self.full_until = 0.0
        """When the last lane put off for want of room comes back (seconds since the epoch)."""
        self.turn = False
        """Whether it stands in a queue of `Turns`."""

    @property
    def down(self) -> bool:
        """Whether trying its other lanes now would be a waste."""
        return self.failures >= DOWN_AFTER


class Lane:
    """The deliveries of one lane that are in memory, head first; they are the lane's first ones."""

    __slots__ = ("behind", "key", "next", "origin", "queue", "rest", "troubled", "url")

    def __init__(self, key: str, following: int, origin: Origin, url: str) -> None:
        self.key = key
        self.next = following
        """The sequence that the next offer must have to be in order."""
        self.origin = origin
        """Of `url`, the address of the head."""
        self.url = url
        self.queue: deque[Delivery] = deque()
        self.behind = False
        """More of this lane may lie in the ledger."""
        self.rest = 0
        """Which rest the lane is in; 0 while it is not resting."""
        self.troubled = False
        """While in flight: which class its slot came from."""


class Turns:
    """Hands the slots out."""

    def __init__(self, *, slots: int, per_origin: int) -> None:
        self._slots = slots
        self._troubled_slots = max(1, slots // 2)
        self._per_origin = per_origin
        self._sound: deque[Origin] = deque()
        self._troubled: deque[Origin] = deque()
        self.flying = 0
        self._troubled_flying = 0

    def origin(self, key: str, *, retrying: bool) -> Origin:
        """A receiver not met before, or forgotten since."""
        return Origin(key, troubled=retrying, window=1 if retrying else min(START, self._per_origin))

    def call(self, origin: Origin) -> None:
        """Let `origin` queue up, if it has something to send and a slot of its own left."""
        if not origin.turn and origin.waiting and origin.flying < origin.window:
            origin.turn = True
            (self._troubled if origin.troubled else self._sound).append(origin)

    def take(self) -> Lane | None:
        """The lane to send from next; its slot is taken."""
        while (queue := self._pick()) is not None:
            origin = queue.popleft()
            origin.turn = False
            if origin.troubled != (queue is self._troubled):
                self.call(origin)  # its health has changed while it queued
                continue
            if not origin.waiting or origin.flying >= origin.window:
                continue
            lane = origin.waiting.popleft()
            lane.troubled = origin.troubled
            origin.flying += 1
            self.flying += 1
            self._troubled_flying += lane.troubled
            self.call(origin)
            return lane
        return None

    def _pick(self) -> deque[Origin] | None:
        if self.flying >= self._slots:
            return None
        # One troubled delivery always gets through, also while the sound ones would fill every slot.
        if self._troubled and self._troubled_flying == 0:
            return self._troubled
        if self._sound:
            return self._sound
        return self._troubled if self._troubled and self._troubled_flying < self._troubled_slots else None

    def land(self, lane: Lane, *, answered: bool, slow: bool) -> None:
        """Give the lane's slot back, and learn how its receiver is."""
        origin = lane.origin
        origin.flying -= 1
        self.flying -= 1
        self._troubled_flying -= lane.troubled
        if answered:
            origin.failures = 0
            origin.troubled = slow
            origin.window = min(self._per_origin, origin.window + 1)
        else:
            origin.failures += 1
            origin.troubled = True
            origin.window = max(1, origin.window // 2)
        self.call(origin)
