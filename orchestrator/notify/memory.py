"""An outbox in memory: for tests, and for trying a receiver without a ledger."""

from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from orchestrator.notify.delivery import Delivery


class MemoryOutbox:
    """Keeps the promise of `delivery.Outbox` for as long as the process lives."""

    def __init__(self) -> None:
        self.pending: dict[int, Delivery] = {}
        self.arrived: list[Delivery] = []
        self.dead_letters: dict[int, Delivery] = {}
        self.stopped: dict[str, str] = {}
        self.errors: dict[int, str] = {}
        """The last error of each delivery."""
        self.reads = 0

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Commit fresh deliveries. What belongs to a stopped lane is not kept."""
        for delivery in deliveries:
            if delivery.lane not in self.stopped:
                self.pending[delivery.id] = delivery

    def replay(self, id: int, now: float) -> None:
        """Make a dead letter pending again, with all its attempts."""
        self.pending[id] = replace(self.dead_letters.pop(id), attempts=0, next_at=now)

    def _lanes(self, skip: Collection[str]) -> list[list[Delivery]]:
        lanes: dict[str, list[Delivery]] = {}
        for delivery in self.pending.values():
            if delivery.lane not in skip:
                lanes.setdefault(delivery.lane, []).append(delivery)
        for members in lanes.values():
            members.sort(key=lambda member: member.sequence)
        return sorted(lanes.values(), key=lambda members: members[0].next_at)

    async def due(self, now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
        """See `Outbox.due`."""
        self.reads += 1
        lanes = [members for members in self._lanes(skip) if members[0].next_at <= now]
        return [delivery for members in lanes for delivery in members][:limit]

    async def next_due(self, skip: Collection[str]) -> float | None:
        """See `Outbox.next_due`."""
        lanes = self._lanes(skip)
        return lanes[0][0].next_at if lanes else None

    def delivered(self, ids: Sequence[int]) -> None:
        """See `Outbox.delivered`."""
        self.arrived.extend(self.pending.pop(id) for id in ids)

    def retry(self, id: int, attempts: int, next_at: float, error: str) -> None:
        """See `Outbox.retry`."""
        self.pending[id] = replace(self.pending[id], attempts=attempts, next_at=next_at)
        self.errors[id] = error

    def dead(self, id: int, attempts: int, error: str) -> None:
        """See `Outbox.dead`."""
        self.dead_letters[id] = replace(self.pending.pop(id), attempts=attempts)
        self.errors[id] = error

    def hasten(self, receiver: str, now: float) -> None:
        """See `Outbox.hasten`."""
        for id, delivery in self.pending.items():
            behind = delivery.url.removeprefix(receiver)
            if delivery.next_at > now and behind != delivery.url and behind[:1] in ("", "/", "?", "#"):
                self.pending[id] = replace(delivery, attempts=max(0, delivery.attempts - 1), next_at=now)

    def stop_lane(self, lane: str, error: str) -> None:
        """See `Outbox.stop_lane`."""
        self.stopped[lane] = error
        for delivery in [delivery for delivery in self.pending.values() if delivery.lane == lane]:
            del self.pending[delivery.id]
