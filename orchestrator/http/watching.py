"""Who waits for news of a job."""

import asyncio
import contextlib
from collections.abc import Iterator


class Watching:
    """Wakes those who watch a job whenever something of it is on its way into the ledger."""

    def __init__(self) -> None:
        self._bells: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        """How many watch."""
        return sum(map(len, self._bells.values()))

    def ring(self, job_id: str) -> None:
        """There is news of the job. Costs next to nothing where nobody watches it."""
        for bell in self._bells.get(job_id, ()):
            bell.set()

    def ring_all(self) -> None:
        """There may be news of any job."""
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    @contextlib.contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Event]:
        """Watch a job: the event is set at each news."""
        bell = asyncio.Event()
        self._bells.setdefault(job_id, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[job_id].discard(bell)
            if not self._bells[job_id]:
                del self._bells[job_id]
