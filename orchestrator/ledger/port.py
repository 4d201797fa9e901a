"""The ledger's protocol: what any store must promise. Whoever awaits has it durable when it returns."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from orchestrator.clock import Clock
from orchestrator.ledger.limits import UNLIMITED, CallLimits
from orchestrator.ledger.records import (
    Booking,
    CallEnd,
    Claimed,
    DeadLetter,
    Entry,
    Followed,
    JobRow,
    Kept,
    NewJob,
    OpenCall,
    Outgoing,
    Submitted,
    Summary,
    Verdict,
)
from orchestrator.notify.delivery import Delivery, Outbox


class Ledger(Outbox, Protocol):
    """Jobs, calls, journal and outbox, durably."""

    on_deliveries: Callable[[Sequence[Delivery]], None]
    """Called after a commit with the notifications that it made."""

    @property
    def waiting(self) -> int:
        """Writes not yet committed."""
        ...

    @property
    def fault(self) -> str | None:
        """Why nothing can be committed now, or None."""
        ...

    async def broken(self) -> None:
        """Wait until the ledger fails for good; raises the reason."""
        ...

    async def close(self) -> None:
        """Commit what was handed over, and close."""
        ...

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        """Store new jobs; say which were known."""
        ...

    async def claim(
        self,
        pbx: str,
        caller_ids: Sequence[str],
        now: float,
        limit: int,
        only: str | None = None,
        limits: CallLimits = UNLIMITED,
    ) -> Claimed:
        """Take due jobs for dialling: each intent to dial is durable when this returns. What `limits` make
        wait is due again once it may be dialled; what they forbid is named, to be ended."""
        ...

    def record(
        self, job_id: str, call_id: str, entry: Entry, outgoing: Sequence[Outgoing], end: CallEnd | None
    ) -> None:
        """One step of a call, as one transaction. Does not wait."""
        ...

    def durable(self, then: Callable[[], None]) -> None:
        """Call `then` once all that was handed over so far is durable. Does not wait."""
        ...

    async def book(self, pbx: str, channel: str, now: float) -> Booking:
        """Book the start of a callback's second leg, with those who share the node's calls a second."""
        ...

    def made(self, channel: str, at: float) -> None:
        """The PBX has said that it made the start of `channel`, or that there will be none. Does not wait."""
        ...

    def undial(self, job_id: str, call_id: str, at: float) -> None:
        """Give back an attempt that never left; the job is due again at `at`. Does not wait."""
        ...

    async def end_queued(
        self, job_id: str, verdict: Verdict, build: Callable[[JobRow], Outgoing | None]
    ) -> None:
        """End a job that has no call, with the notification that `build` makes; nothing if it has one."""
        ...

    async def overdue(self, now: float, limit: int) -> list[JobRow]:
        """Queued jobs that have expired or were cancelled."""
        ...

    async def next_expiry(self) -> float | None:
        """When the next queued job expires."""
        ...

    async def cancelled_active(self) -> list[str]:
        """Jobs in a call that somebody cancelled."""
        ...

    async def request_cancel(self, job_id: str) -> JobRow | None:
        """Ask for a job's end. The job as it was, None when there is none."""
        ...

    async def open_calls(self) -> list[OpenCall]:
        """Every call without an end, with its journal."""
        ...

    async def changed(self) -> bool:
        """Whether another process has written since this was last asked."""
        ...

    async def clock_set(self, was: float, now: float) -> int:
        """The clock of the former owner would show `was` where ours shows `now`: nothing is to wait longer,
        or to expire, for that. How many were moved."""
        ...

    async def clock(self, own: Clock) -> Clock:
        """The clock of all times in here: that of the owner, or of the server. It may differ from `own`, such
        as when the time of day was set since the owner's start."""
        ...

    async def batch_cdrs(self, limit: int, build: Callable[[list[bytes]], Outgoing]) -> int:
        """Make one notification of call records not sent yet; how many records went in."""
        ...

    async def follow(self, job_id: str) -> Followed | None:
        """A job with its calls' journals."""
        ...

    async def summary(self, job_id: str) -> Summary | None:
        """All that can be told of a job."""
        ...

    async def counts(self) -> dict[str, int]:
        """How much is queued, active, pending and dead."""
        ...

    async def dead_letters(self, limit: int, application: str | None = None) -> list[DeadLetter]:
        """Notifications that were given up, the oldest first; those of one application's jobs where it is
        given: the jobs whose body has its name as `application`."""
        ...

    async def replay_dead(self, job_ids: Collection[str], now: float, application: str | None = None) -> int:
        """Make dead letters pending again, those of `job_ids` or all; of these only those of one
        application's jobs where it is given. How many."""
        ...

    async def recordings(self, before: float, limit: int) -> list[Kept]:
        """Recordings, perhaps there, of calls that ended before `before`, the oldest first."""
        ...

    async def recording_gone(self, call_id: str) -> None:
        """The recording lies on its PBX no more."""
        ...

    async def forget(self, before: float, limit: int) -> int:
        """Delete jobs that ended before `before`."""
        ...
