"""Which deliveries are in memory, and in what order they go. Pure: no clock, no I/O.

Everything here is also in the ledger, so forgetting costs a reading of the ledger and nothing else. What
must hold is: a lane that is in memory is there from its head on, without gaps, and has at most one delivery
in flight. A lane is in memory, empty but known (we know which sequence comes next), or unknown (only its
sequence 1 is surely the head; all else is left to the ledger).

`behind` says that the ledger may hold something due that is not here.
"""

import heapq
from collections.abc import Callable, Collection, Sequence

from orchestrator.notify.delivery import Delivery
from orchestrator.notify.origins import Lane, Origin, Turns

PUT_OFF = 2.0
"""What finds no room is put off by at least this (seconds)…"""
PUT_OFF_RATE = 500.0
"""… and comes back at this rate (lanes a second for one receiver), so that a long queue costs few writes."""
_LAST = frozenset({"job.ended", "cdr"})
"""After these a lane gets nothing more."""


class Lanes:
    """The deliveries in memory.

    `take` hands a delivery out; `land` gives its slot back; then exactly one of `settled`, `rest`, `again`
    and `leave` says what becomes of it.
    """

    def __init__(
        self, origin_of: Callable[[str], str], *, max_queued: int, per_origin: int, in_flight: int
    ) -> None:
        self._origin_of = origin_of
        self._max_queued = max_queued
        self._max_per_origin = max(1, max_queued // 2)
        self._max_known = max_queued
        self._turns = Turns(slots=in_flight, per_origin=per_origin)
        self._lanes: dict[str, Lane] = {}
        self._known: dict[str, int] = {}
        self._origins: dict[str, Origin] = {}
        self._resting: dict[str, Lane] = {}
        self._timers: list[tuple[float, int, Lane]] = []
        self._rests = 0
        self.queued = 0
        self.behind = False

    @property
    def in_flight(self) -> int:
        return self._turns.flying

    @property
    def origins(self) -> int:
        return len(self._origins)

    @property
    def quiet(self) -> bool:
        """Whether nothing can be sent before the next rest ends."""
        return len(self._lanes) == len(self._resting)

    def held(self) -> Collection[str]:
        """The lanes in memory now; a copy."""
        return frozenset(self._lanes)

    def __contains__(self, lane: str) -> bool:
        return lane in self._lanes

    # In.

    def offer(self, delivery: Delivery) -> bool:
        """Take a fresh delivery if it is next in its lane and there is room. False: the ledger keeps it."""
        key = delivery.lane
        lane = self._lanes.get(key)
        expected = lane.next if lane is not None else self._known.get(key, 1)
        if delivery.sequence == expected and self._room(
            lane.origin if lane is not None else self._origins.get(self._origin_of(delivery.url))
        ):
            # Making room may have dropped this very lane.
            if lane is None or key in self._lanes:
                self._append(lane or self._new_lane(delivery), delivery)
                return True
        elif lane is not None:
            lane.behind = True
        self.behind = self.behind or key not in self._lanes
        return False

    def load(self, deliveries: Sequence[Delivery]) -> bool:
        """Take a lane that is not in memory, from its head on, as the ledger gave it. False: no room."""
        head = deliveries[0]
        origin = self._origins.get(self._origin_of(head.url))
        if not self._room(origin):
            return False
        room = min(self._max_queued - self.queued, self._max_per_origin - (origin.queued if origin else 0))
        lane = self._new_lane(head)
        # What was committed while the ledger was being read is not in `deliveries`, and was not taken here.
        lane.behind = True
        for delivery in deliveries[: max(1, room)]:
            self._append(lane, delivery)
        return True

    def put_off(self, head: Delivery, now: float) -> float:
        """When to try again to find room for a lane that `load` refused (seconds since the epoch)."""
        origin = self._origins.get(self._origin_of(head.url))
        if origin is None:
            return now + PUT_OFF
        origin.full_until = max(origin.full_until, now + PUT_OFF) + 1.0 / PUT_OFF_RATE
        return origin.full_until

    def _new_lane(self, head: Delivery) -> Lane:
        self._known.pop(head.lane, None)
        lane = Lane(head.lane, head.sequence, self._origin(head), head.url)
        self._lanes[head.lane] = lane
        return lane

    def _origin(self, head: Delivery) -> Origin:
        key = self._origin_of(head.url)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = self._turns.origin(key, retrying=head.attempts > 0)
        return origin

    def _append(self, lane: Lane, delivery: Delivery) -> None:
        lane.queue.append(delivery)
        lane.next = delivery.sequence + 1
        lane.origin.queued += 1
        self.queued += 1
        if len(lane.queue) == 1:
            self._ready(lane)

    def _ready(self, lane: Lane) -> None:
        head = lane.queue[0]
        if head.url != lane.url:
            origin = self._origin(head)
            origin.queued += len(lane.queue)
            self._unbook(lane, len(lane.queue))
            lane.origin, lane.url = origin, head.url
        lane.origin.waiting.append(lane)
        self._turns.call(lane.origin)

    # Out.

    def take(self) -> Delivery | None:
        """The next delivery to send, or None; its slot is taken until `land`."""
        lane = self._turns.take()
        return None if lane is None else lane.queue[0]

    def land(self, delivery: Delivery, *, answered: bool, slow: bool = False) -> list[Delivery]:
        """The try is over. Returns the heads of the lanes that now need not be tried.

        Those are the waiting lanes of a receiver that is down. As with `delivery` itself, the caller says of
        each what becomes of it.
        """
        lane = self._lanes[delivery.lane]
        self._turns.land(lane, answered=answered, slow=slow)
        if answered or not lane.origin.down:
            return []
        heads = [waiting.queue[0] for waiting in lane.origin.waiting]
        lane.origin.waiting.clear()
        return heads

    def settled(self, delivery: Delivery) -> None:
        """Delivered or dead: the next of its lane may go."""
        lane = self._lanes[delivery.lane]
        lane.queue.popleft()
        self.queued -= 1
        if lane.queue:
            lane.origin.queued -= 1
            self._ready(lane)
            return
        self._unbook(lane, 1)
        del self._lanes[lane.key]
        self.behind = self.behind or lane.behind
        if delivery.type not in _LAST:
            self._known[lane.key] = lane.next
            if len(self._known) > self._max_known:
                del self._known[next(iter(self._known))]

    def rest(self, delivery: Delivery) -> None:
        """Keep it in memory until its `next_at`, with what has changed of it."""
        lane = self._lanes[delivery.lane]
        lane.queue[0] = delivery
        self._rests += 1
        lane.rest = self._rests
        self._resting[lane.key] = lane
        heapq.heappush(self._timers, (delivery.next_at, lane.rest, lane))

    def again(self, delivery: Delivery) -> None:
        """Let it wait for its turn."""
        self._ready(self._lanes[delivery.lane])

    def leave(self, key: str) -> None:
        """Forget the lane: the ledger has it, or nobody wants it any more."""
        lane = self._lanes.pop(key)
        self._resting.pop(key, None)
        lane.rest = 0
        self.queued -= len(lane.queue)
        self._unbook(lane, len(lane.queue))
        lane.queue.clear()  # a timer may go on holding the lane for a while

    def wake(self, now: float) -> None:
        """End the rests that are over."""
        while self._timers and (self._timers[0][0] <= now or self._over(self._timers[0])):
            timer = heapq.heappop(self._timers)
            if not self._over(timer):
                lane = timer[2]
                lane.rest = 0
                del self._resting[lane.key]
                self._ready(lane)

    def next_wake(self) -> float | None:
        """When the next rest ends (seconds since the epoch)."""
        return self._timers[0][0] if self._timers else None

    @staticmethod
    def _over(timer: tuple[float, int, Lane]) -> bool:
        return timer[2].rest != timer[1]

    def _unbook(self, lane: Lane, count: int) -> None:
        origin = lane.origin
        origin.queued -= count
        if origin.queued == 0 and origin.flying == 0:
            self._origins.pop(origin.key, None)

    # Room. Nobody holds more than half of the memory; when it is full, those who hold most give way.

    def _room(self, origin: Origin | None) -> bool:
        held = origin.queued if origin is not None else 0
        if held >= self._max_per_origin:
            return False
        return self.queued < self._max_queued or self._give_way(held)

    def _give_way(self, held: int) -> bool:
        self.behind = True
        if self._resting:
            self.leave(next(reversed(self._resting)))
            return True
        if self.queued < 2 * len(self._origins):
            return False  # nobody holds much; do not search
        most = max(self._origins.values(), key=lambda origin: origin.queued)
        if most.queued <= 2 * held:
            return False
        goal = most.queued // 2
        while most.waiting and most.queued > goal:
            self.leave(most.waiting.pop().key)
        return self.queued < self._max_queued
