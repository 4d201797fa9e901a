"""Jobs that end without a call: expired or cancelled before they were dialled."""

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator.clock import Clock
from orchestrator.dispatcher import LONGEST_WAIT, Doorbell
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import JobRow, Outgoing, Verdict
from orchestrator.live import LiveCalls
from orchestrator.report import Reporter


async def end_job(
    ledger: Ledger, job_id: str, outcome: str, reason: str, now: float, notify_url: str | None, worker: str
) -> None:
    """End a job that has no call, with its one notification."""

    def build(job: JobRow) -> Outgoing | None:
        return Reporter(job, notify_url, worker).ended(outcome, reason, job.attempts, now, None)

    await ledger.end_queued(job_id, Verdict(outcome, reason, now), build)


def _why_over(job: JobRow) -> tuple[str, str]:
    if job.cancel:
        return "cancelled", "cancelled on request, before it was dialled"
    if job.attempts:
        return "expired", f"it expired before attempt {job.attempts + 1}"
    return "expired", "it expired before it could be dialled"


class Sweeper:
    """Ends queued jobs that have expired or were cancelled, and passes cancels on to live calls."""

    def __init__(
        self,
        ledger: Ledger,
        live: LiveCalls,
        clock: Clock,
        end: Callable[[str, str, str], Awaitable[None]],
    ) -> None:
        self.bell = Doorbell()
        """Rung when another process has written to the ledger."""
        self._ledger = ledger
        self._live = live
        self._clock = clock
        self._end = end

    async def run(self) -> None:
        """Sweep until cancelled: at each expiry, and whenever the bell rings."""
        while True:
            seen = self.bell.count
            wait = await self.sweep()
            await self.bell.wait(seen, wait)

    async def sweep(self) -> float:
        """End what is over now. Seconds until the next expiry, `LONGEST_WAIT` at most."""
        now = self._clock()
        overdue, cancelled = await asyncio.gather(
            self._ledger.overdue(now, 500), self._ledger.cancelled_active()
        )
        for job_id in cancelled:
            self._live.cancel(job_id)
        await asyncio.gather(*(self._end(job.id, *_why_over(job)) for job in overdue))
        upcoming = await self._ledger.next_expiry()
        if upcoming is None:
            return LONGEST_WAIT
        return min(max(0.0, upcoming - self._clock()), LONGEST_WAIT)
