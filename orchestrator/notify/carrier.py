"""Takes notifications where HTTP does not go: a queue, a folder. The outbox is the same for all."""

from typing import Protocol

from orchestrator.notify.delivery import Delivery
from orchestrator.notify.schedule import Response


class Carrier(Protocol):
    """Carries what the outbox holds for one URL."""

    async def send(self, delivery: Delivery) -> Response:
        """Hand over one event, durably. `Answered(204)` when the other side has it, else `Failed`: it comes
        again. May be cancelled at any moment."""
        ...
