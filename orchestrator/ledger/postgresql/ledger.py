"""The shared ledger: PostgreSQL, every commit on disk before it counts.

Two streams of transactions, each on a connection of its own. What is written about calls and notifications
goes through one, in the order in which it came. Claims go through the other: they wait for other workers'
claims on the same node, and nothing else shall wait for that. A third connection listens for what other
processes have written.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from orchestrator.clock import Clock
from orchestrator.ledger.limits import UNLIMITED, CallLimits
from orchestrator.ledger.postgresql import claims, jobs, outbox, slots, views
from orchestrator.ledger.postgresql.commits import Batch, Commits, Guard, NoGuard, Operation
from orchestrator.ledger.postgresql.connection import Connection, connect, prepare, server_clock, told
from orchestrator.ledger.postgresql.listening import Listening
from orchestrator.ledger.postgresql.slots import Limits
from orchestrator.ledger.postgresql.workers import Fence
from orchestrator.ledger.records import (
    Booking,
    CallEnd,
    CallStep,
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
from orchestrator.notify.delivery import Delivery

T = TypeVar("T")

LEAD_LEAST: Final = 0.002
LEAD_MOST: Final = 0.1
"""Seconds from a claim to its start, at least and at most: as long as claims take to be stored."""
LEAD_FADES: Final = 0.8
"""What each claim leaves of the longest time that one took."""

_Submission = tuple[Sequence[NewJob], asyncio.Future[list[Submitted]]]


class PostgresLedger:
    """Keeps the protocol `Ledger`. Made by `open`, which must run on the loop that will use it."""

    def __init__(
        self,
        url: str,
        writes: Commits,
        claims: Commits,
        listening: Listening,
        worker: str,
        tells: str,
        limits: Mapping[str, Limits],
    ) -> None:
        self._url = url
        self._writes = writes
        self._claims = claims
        self._listening = listening
        self._worker = worker
        self._tells = tells
        self._limits = limits
        self._lead = LEAD_MOST  # the first has to connect
        self._tasks: list[asyncio.Task[None]] = []
        self._submissions: Batch[_Submission] = Batch(writes, _submit_all, _answer, soon=True)
        self._steps: Batch[CallStep] = Batch(
            writes, lambda db, steps: jobs.record_all(db, tells, steps), self._recorded
        )
        self._made: Batch[tuple[str, float]] = Batch(writes, slots.made, self._failed)
        self._delivered: Batch[int] = Batch(writes, outbox.delivered, self._failed)
        self.on_deliveries: Callable[[Sequence[Delivery]], None] = lambda deliveries: None

    @classmethod
    async def open(
        cls,
        url: str,
        commit_interval: float = 0.0,
        worker: str = "",
        token: int | None = None,
        *,
        tells: str | None = None,
        limits: Mapping[str, Limits] | None = None,
    ) -> "PostgresLedger":
        """Open the ledger, and make or migrate its schema.

        With a `token`, as that worker and only for as long as it is the one. `tells` is the worker that
        delivers the notifications, itself where not given; `limits` are those of the nodes.

        Raises `LedgerUnusable`.
        """
        await prepare(url)
        fences: list[Guard] = [NoGuard(), NoGuard()]
        if token is not None:
            fences = [Fence(worker, token, "writes"), Fence(worker, token, "claims")]
        writes, claims = (Commits(lambda: connect(url), commit_interval, fence) for fence in fences)
        listening = Listening(url, everything=token is None)
        ledger = cls(url, writes, claims, listening, worker, worker if tells is None else tells, limits or {})
        ledger._tasks = [
            asyncio.create_task(each.run(), name=name)
            for name, each in (("ledger", writes), ("claims", claims), ("listening", listening))
        ]
        return ledger

    @property
    def waiting(self) -> int:
        return self._writes.waiting + self._claims.waiting

    @property
    def fault(self) -> str | None:
        return self._writes.fault or self._claims.fault

    async def broken(self) -> None:
        """Wait until the ledger fails for good; raises the reason."""
        await asyncio.wait((self._writes.broken, self._claims.broken), return_when=asyncio.FIRST_COMPLETED)
        for each in (self._writes.broken, self._claims.broken):
            if each.done():
                each.result()

    async def close(self) -> None:
        self._writes.close()
        self._claims.close()
        self._listening.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # what broke them, `broken` has told

    async def _call(self, operation: Operation[T]) -> T:
        self._close_batches()
        return await self._writes.call(operation)

    async def _in_time(self, operation: Operation[T]) -> T:
        """For upkeep: a commit of its own would cost more than it."""
        self._close_batches()
        return await self._writes.call(operation, soon=False)

    def _post(self, operation: Operation[None]) -> None:
        self._close_batches()
        self._writes.post(operation)

    def _close_batches(self) -> None:
        """Whatever comes next must see all that came before it."""
        self._submissions.close()
        self._steps.close()
        self._made.close()
        self._delivered.close()

    def _announce(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self.on_deliveries(deliveries)

    def _recorded(self, steps: object, deliveries: Sequence[Delivery], error: Exception | None) -> None:
        self._failed(steps, None, error)
        self._announce(deliveries or ())

    def _failed(self, members: object, result: object, error: Exception | None) -> None:
        if error is not None and not self._writes.broken.done():
            self._writes.broken.set_exception(error)

    # Jobs.

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        self._steps.close()
        self._delivered.close()
        future: asyncio.Future[list[Submitted]] = asyncio.get_running_loop().create_future()
        self._submissions.add((jobs, future))
        return await future

    async def claim(
        self,
        pbx: str,
        caller_ids: Sequence[str],
        now: float,
        limit: int,
        only: str | None = None,
        limits: CallLimits = UNLIMITED,
    ) -> Claimed:
        began = time.monotonic()
        of_node = self._limits.get(pbx)

        async def run(db: Connection) -> Claimed:
            soonest = now + (time.monotonic() - began) + self._lead
            return await claims.claim(
                db, self._worker, pbx, caller_ids, now, limit, only, of_node, soonest, limits
            )

        # By the node's name: two workers that lock two nodes in different orders would wait for each other.
        claimed = await self._claims.call(run, order=pbx)
        self._learn(time.monotonic() - began)
        return claimed

    async def book(self, pbx: str, channel: str, now: float) -> Booking:
        began = time.monotonic()
        of_node = self._limits.get(pbx)

        async def run(db: Connection) -> Booking:
            soonest = now + (time.monotonic() - began) + self._lead
            return await slots.book(db, pbx, channel, now, soonest, of_node)

        booking = await self._claims.call(run, order=pbx)
        self._learn(time.monotonic() - began)
        return booking

    def _learn(self, took: float) -> None:
        self._lead = min(LEAD_MOST, max(LEAD_LEAST, self._lead * LEAD_FADES, took))

    def made(self, channel: str, at: float) -> None:
        if self._limits:
            self._made.add((channel, at))  # holds its place meanwhile; see slots.CLEAR

    async def end_queued(
        self, job_id: str, verdict: Verdict, build: Callable[[JobRow], Outgoing | None]
    ) -> None:
        self._announce(await self._call(lambda db: jobs.end_queued(db, self._tells, job_id, verdict, build)))

    async def overdue(self, now: float, limit: int) -> list[JobRow]:
        return await self._in_time(lambda db: jobs.overdue(db, now, limit))

    async def next_expiry(self) -> float | None:
        return await self._in_time(jobs.next_expiry)

    async def cancelled_active(self) -> list[str]:
        return await self._in_time(lambda db: jobs.cancelled_active(db, self._worker))

    async def request_cancel(self, job_id: str) -> JobRow | None:
        return await self._call(lambda db: jobs.request_cancel(db, job_id))

    # Calls.

    def record(
        self, job_id: str, call_id: str, entry: Entry, outgoing: Sequence[Outgoing], end: CallEnd | None
    ) -> None:
        self._submissions.close()
        self._steps.add(CallStep(call_id=call_id, entry=entry, outgoing=tuple(outgoing), end=end))

    def durable(self, then: Callable[[], None]) -> None:
        self._close_batches()
        self._writes.post(_nothing, lambda result, error: then() if error is None else None, soon=True)

    def undial(self, job_id: str, call_id: str, at: float) -> None:
        """Claims go through another stream, so whoever wants it looks again once this is stored."""
        self._close_batches()

        def stored(nothing: None, error: Exception | None) -> None:
            self._listening.hear()
            self._failed((), None, error)

        self._writes.post(lambda db: jobs.undial(db, job_id, call_id, at), stored, soon=True)

    async def open_calls(self) -> list[OpenCall]:
        return await self._call(lambda db: jobs.open_calls(db, self._worker))

    # Outbox.

    async def due(self, now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
        return await self._in_time(lambda db: outbox.due(db, self._tells, now, limit, skip))

    async def next_due(self, skip: Collection[str]) -> float | None:
        return await self._in_time(lambda db: outbox.next_due(db, self._tells, skip))

    def delivered(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            self._delivered.add(id_)

    def retry(self, id: int, attempts: int, next_at: float, error: str) -> None:
        self._post(lambda db: outbox.retry(db, id, attempts, next_at, error))

    def dead(self, id: int, attempts: int, error: str) -> None:
        self._post(lambda db: outbox.dead(db, id, attempts, error))

    def hasten(self, receiver: str, now: float) -> None:
        self._post(lambda db: outbox.hasten(db, receiver, now))

    def stop_lane(self, lane: str, error: str) -> None:
        self._post(lambda db: outbox.stop_lane(db, lane, error))

    async def batch_cdrs(self, limit: int, build: Callable[[list[bytes]], Outgoing]) -> int:
        deliveries, count = await self._in_time(lambda db: outbox.batch_cdrs(db, self._tells, limit, build))
        self._announce(deliveries)
        return count

    async def dead_letters(self, limit: int, application: str | None = None) -> list[DeadLetter]:
        return await self._call(lambda db: outbox.dead_letters(db, limit, application))

    async def replay_dead(self, job_ids: Collection[str], now: float, application: str | None = None) -> int:
        return await self._call(lambda db: outbox.replay_dead(db, job_ids, now, application))

    # People, and upkeep.

    async def changed(self) -> bool:
        return self._listening.changed()

    async def clock_set(self, was: float, now: float) -> int:
        """All go by the server's clock, whatever their own shows: nothing is to be moved."""
        return 0

    async def clock(self, own: Clock) -> Clock:
        """The server's time of day, carried on by this machine's monotonic clock."""
        with told(self._url):
            db = await connect(self._url)
            try:
                ahead = await server_clock(db)
            finally:
                await db.close(timeout=1.0)
        return lambda: ahead + time.monotonic()

    async def follow(self, job_id: str) -> Followed | None:
        return await self._call(lambda db: views.follow(db, job_id))

    async def summary(self, job_id: str) -> Summary | None:
        return await self._call(lambda db: views.summary(db, job_id))

    async def counts(self) -> dict[str, int]:
        return await self._in_time(views.counts)

    async def recordings(self, before: float, limit: int) -> list[Kept]:
        return await self._in_time(lambda db: views.recordings(db, before, limit))

    async def recording_gone(self, call_id: str) -> None:
        await self._in_time(lambda db: views.recording_gone(db, call_id))

    async def forget(self, before: float, limit: int) -> int:
        return await self._in_time(lambda db: views.forget(db, before, limit))


async def _nothing(db: Connection) -> None:
    """For who only waits for the commit."""


async def _submit_all(db: Connection, several: Sequence[_Submission]) -> list[Submitted]:
    return await jobs.submit(db, [job for some, _ in several for job in some])


def _answer(
    several: Sequence[_Submission], became: Sequence[Submitted] | None, error: Exception | None
) -> None:
    at = 0
    for some, future in several:
        if not future.done():
            if error is not None:
                future.set_exception(error)
            elif became is not None:
                future.set_result(list(became[at : at + len(some)]))
        at += len(some)
