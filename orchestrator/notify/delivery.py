"""One webhook waiting to be sent, and the outbox that keeps it."""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from msgspec import Struct


class Delivery(Struct, frozen=True, gc=False):
    """One event on its way to one receiver. Times are seconds since the epoch."""

    id: int
    event_id: str
    lane: str
    """Job id, or `cdr:<batch>`. Deliveries of one lane go out one after another, by `sequence`."""
    sequence: int
    """1, 2, 3… within the lane."""
    url: str
    type: str
    body: bytes
    attempts: int
    """Used up so far."""
    created_at: float
    next_at: float

    def __repr__(self) -> str:
        # Neither body nor URL: both may hold what a log should not.
        return (
            f"Delivery(id={self.id}, event_id={self.event_id!r}, lane={self.lane!r}, "
            f"sequence={self.sequence}, type={self.type!r}, attempts={self.attempts})"
        )


class Outbox(Protocol):
    """Where deliveries wait, durably. The ledger keeps this promise.

    A lane's head is its pending delivery of the lowest sequence. `due` and `next_due` see every fate that
    was handed over before they were called, committed or not yet; without that, a delivered event could be
    sent twice. What several workers share must be divided by lane: a lane has one notifier at a time.
    """

    async def due(self, now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
        """At most `limit` deliveries of lanes whose head is due, and that are not in `skip`.

        A lane's members come in sequence, from its head on (a long lane may be cut short), whatever the
        `next_at` of those behind the head. Lanes come by their heads' `next_at`. Empty: nothing is due.
        """
        ...

    async def next_due(self, skip: Collection[str]) -> float | None:
        """The earliest `next_at` of a head of a lane not in `skip`; None when there is none."""
        ...

    # The fates. Handed over without waiting; the ledger commits them with its next group.

    def delivered(self, ids: Sequence[int]) -> None:
        """These have arrived."""
        ...

    def retry(self, id: int, attempts: int, next_at: float, error: str) -> None:
        """This one stays pending until `next_at`. An empty `error`: it was not tried, only put off."""
        ...

    def dead(self, id: int, attempts: int, error: str) -> None:
        """This one goes to the dead letters; the rest of its lane goes on."""
        ...

    def hasten(self, receiver: str, now: float) -> None:
        """The receiver answers again: what waits for it (`receiver` is its URL, or the URL up to its path) is
        due now, and the try that this brings about is not counted."""
        ...

    def stop_lane(self, lane: str, error: str) -> None:
        """Nothing of this lane is pending any more, and nothing that it still gets will be."""
        ...


class Meter(Protocol):
    """Where the notifier's numbers go. Never blocks, never raises."""

    def count(self, outcome: "Tally") -> None:
        """One delivery came to `outcome`."""
        ...

    def latency(self, seconds: float) -> None:
        """A delivery arrived `seconds` after its event."""
        ...


Tally = Literal["delivered", "retried", "put_back", "dead", "stopped"]


class NoMeter:
    """Counts nothing."""

    def count(self, outcome: Tally) -> None:
        """Ignore it."""

    def latency(self, seconds: float) -> None:
        """Ignore it."""
