"""Where messages become jobs: checked, stored in one commit, and only then may they be acknowledged.

Every queue has a desk of its own. It tells, message by message, what became of it; the queue's side then
acknowledges or puts it among the dead letters. A message redelivered is the same job: one without an `id`
gets an id that is a function of the queue's own name for the message.

Checking may take long (a text may have to be spoken into a file first), so it is done on two threads, shared
by all intakes. While the ledger cannot take more, `room` waits, and nothing is read.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog
from msgspec import Struct

from orchestrator.clock import Clock
from orchestrator.intake.accept import Rules, accept, new_id
from orchestrator.intake.options import Intake
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import NewJob
from orchestrator.validate import Invalid

CHUNK: Final = 32
"""Messages that are checked without a pause; then another intake has its turn."""
LOOK_EVERY: Final = 0.05
"""Seconds between two looks whether there is room again."""
LOG_AT_ONCE: Final = 20
"""Refused messages of one batch that are logged one by one."""
NO_ID: Final = "the job has no `id`, and the message has none that stays the same when it is redelivered"

_log = structlog.get_logger(__name__)


class Message(Struct, frozen=True, gc=False):
    """One message of a queue. It holds a code, so it shows only its key."""

    key: str
    """What the queue itself calls it, however often it is delivered; empty: nothing that stays the same."""
    raw: bytes
    unfit: str = ""
    """Why it cannot hold a job, when its form already says so."""

    def __repr__(self) -> str:
        return f"Message({self.key!r})"


class Stored(Struct, frozen=True):
    """The job is in the ledger: it may be acknowledged. Not `new`: it was there before."""

    job_id: str
    new: bool


class Refused(Struct, frozen=True):
    """No job: to the dead letters with it. The reason never holds a value of the job."""

    reason: str


Fate = Stored | Refused


class Tally(Protocol):
    """Where an intake's numbers go. Never blocks, never raises."""

    def taken(self, intake: str, outcome: str, count: int) -> None:
        """So many messages were `accepted`, `duplicate` or `refused`."""
        ...

    def connected(self, intake: str, up: bool) -> None:
        """The intake's connection came up, or went."""
        ...

    def lag(self, intake: str, messages: int) -> None:
        """So many messages wait in the queue."""
        ...


class Room(Struct, frozen=True):
    """What all desks of a worker share."""

    ledger: Ledger
    rules: Rules
    clock: Clock
    tally: Tally
    threads: ThreadPoolExecutor
    may_take: Callable[[], bool]
    """Whether the ledger can take more now."""
    stored: Callable[[], None]
    """Called when new jobs are in the ledger."""


class Desk:
    """Takes the messages of one intake."""

    def __init__(self, intake: Intake, room: Room) -> None:
        self.intake = intake
        self._in = room
        self._source = f"{intake.kind}/{intake.name}/{intake.jobs}"
        self.is_up = False

    async def room(self) -> None:
        """Wait until there is room for more. A cancellation that a client library has swallowed takes effect
        here, so every source comes by."""
        if cancelled_from_outside():
            raise asyncio.CancelledError
        while not self._in.may_take():  # noqa: ASYNC110 - what it hangs on changes without an event
            await asyncio.sleep(LOOK_EVERY)

    def up(self) -> None:
        """The connection stands."""
        self.is_up = True
        self._in.tally.connected(self.intake.name, True)
        _log.info("intake_up", intake=self.intake.name, kind=self.intake.kind)

    def down(self, reason: str) -> None:
        """The connection is gone, or does not come about."""
        self.is_up = False
        self._in.tally.connected(self.intake.name, False)
        _log.warning("intake_down", intake=self.intake.name, kind=self.intake.kind, reason=reason)

    def lag(self, messages: int) -> None:
        """So many messages wait."""
        self._in.tally.lag(self.intake.name, messages)

    async def take(self, messages: Sequence[Message]) -> list[Fate]:
        """Store what can be stored. When this returns it is durable. Raises the ledger's errors."""
        loop = asyncio.get_running_loop()
        judged: list[NewJob | Refused] = []
        for start in range(0, len(messages), CHUNK):
            some = messages[start : start + CHUNK]
            judged += await loop.run_in_executor(self._in.threads, self._judge_all, some, self._in.clock())
        jobs = [job for job in judged if isinstance(job, NewJob)]
        became = iter(await self._in.ledger.submit(jobs) if jobs else ())
        fates: list[Fate] = []
        for job in judged:
            if isinstance(job, Refused):
                fates.append(job)
            elif (what := next(became)) == "conflict":
                fates.append(
                    Refused(f"job {job.id} is known with other content; give the new job another id")
                )
            else:
                fates.append(Stored(job.id, what == "new"))
        self._tell(messages, fates)
        return fates

    def _tell(self, messages: Sequence[Message], fates: Sequence[Fate]) -> None:
        new = sum(isinstance(fate, Stored) and fate.new for fate in fates)
        refused = [
            message.key for message, fate in zip(messages, fates, strict=True) if type(fate) is Refused
        ]
        name, taken = self.intake.name, self._in.tally.taken
        taken(name, "accepted", new)
        taken(name, "refused", len(refused))
        taken(name, "duplicate", len(fates) - new - len(refused))
        for key in refused[:LOG_AT_ONCE]:  # the reason goes with the dead letter, to whom the job belongs
            _log.warning("intake_refused", intake=name, message=_plain(key))
        if len(refused) > LOG_AT_ONCE:
            _log.warning("intake_refused_more", intake=name, count=len(refused) - LOG_AT_ONCE)
        if new:
            self._in.stored()

    # On a thread.

    def _judge_all(self, messages: Sequence[Message], now: float) -> list[NewJob | Refused]:
        return [self._judge(message, now) for message in messages]

    def _judge(self, message: Message, now: float) -> NewJob | Refused:
        if message.unfit:
            return Refused(message.unfit)
        id_ = self.id_of(message) if message.key else new_id(now, os.urandom(10))
        rules, intake = self._in.rules, self.intake
        try:
            job = accept(
                message.raw, rules, now, b"", own_id=id_, reply_url=intake.reply_url, intake=intake.name
            )
        except Invalid as invalid:
            return Refused(str(invalid))
        except Exception as error:  # noqa: BLE001 - a message that breaks us would come again for ever
            # Only the error's name: what it says might be of the job.
            where = type(error).__name__
            _log.error("intake_fault", intake=self.intake.name, message=_plain(message.key), error=where)
            return Refused(f"a fault of the orchestrator's own ({where}); tell its operator")
        if not message.key and job.id == id_:
            return Refused(NO_ID)
        return job

    def id_of(self, message: Message) -> str:
        """The id of a job that has none: a UUIDv8 (RFC 9562) of the message's own name. Never of its content:
        that holds a code, and an id is public."""
        named = f"{self._source}/{message.key}".encode("utf-8", "surrogateescape")
        value = int.from_bytes(hashlib.blake2b(named, digest_size=16).digest(), "big")
        value = value & ~(0xF << 76) | 8 << 76
        value = value & ~(0x3 << 62) | 2 << 62
        text = f"{value:032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def cancelled_from_outside() -> bool:
    """Whether somebody cancelled the current task. Some client libraries cancel what waits for a lost
    connection, which looks the same to whoever waits; and some swallow a cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _plain(key: str) -> str:
    """A key as a log may show it: it may be the producer's own words."""
    return "".join(char if char.isprintable() else "?" for char in key[:64])
