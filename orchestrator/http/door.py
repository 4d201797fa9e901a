"""The way of a submitted job into the ledger: judged on a thread, stored together with its neighbours.

Judging renders the prompt, and may have to speak a text first; the loop carries live calls and must not wait
for that. What comes while a thread is at work, or while the ledger commits, goes next, all at once.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

import msgspec

from orchestrator.clock import Clock
from orchestrator.guard.keys import Key, beyond
from orchestrator.http.owner import owned
from orchestrator.http.problems import Refusal, place_of
from orchestrator.intake.accept import Rules, accept
from orchestrator.job import Job
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import NewJob, Submitted
from orchestrator.validate import Invalid

THREADS: Final = 2
"""Jobs that are judged at the same time."""
TOGETHER: Final = 16
"""Jobs that a thread judges in one go, where no speech engine can hold up those behind."""
CLOSING: Final = 2.0
"""Seconds that what is under way gets at the end."""
BATCH: Final = 500
"""Jobs that are stored in one go."""

_decode_job = msgspec.json.Decoder(Job).decode
_NO_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


class JudgingBroke(Exception):
    """Judging a job broke. Says what broke, and never of what: that may hold a code."""


class _Unjudged:
    __slots__ = ("became", "key", "raw")

    def __init__(self, raw: bytes, key: Key | None, became: "asyncio.Future[NewJob]") -> None:
        self.raw = raw
        self.key = key
        self.became = became


class Door:
    """Takes jobs. Made on the loop that uses it; `close` when nothing more comes."""

    def __init__(self, ledger: Ledger, rules: Rules, clock: Clock, stored: Callable[[], None]) -> None:
        self._ledger = ledger
        self._rules = rules
        self._clock = clock
        self._stored = stored
        """Called when new jobs are in the ledger."""
        self._threads = ThreadPoolExecutor(THREADS, "http")
        self._together = TOGETHER if rules.voices.engine is None else 1
        self._unjudged: deque[_Unjudged] = deque()
        self._unstored: deque[tuple[NewJob, asyncio.Future[Submitted]]] = deque()
        self._judges: set[asyncio.Task[None]] = set()
        self._storing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Let what is under way come to its end, for a moment: the ledger may be stuck, and nobody waits for
        an answer any more."""
        under_way = {*self._judges, *((self._storing,) if self._storing is not None else ())}
        if under_way:
            _, stuck = await asyncio.wait(under_way, timeout=CLOSING)
            for task in stuck:
                task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def take(self, raw: bytes, key: Key | None) -> tuple[NewJob, Submitted]:
        """Store the job, for whom the key belongs to. When this returns it is durable.

        Raises `Refusal`, and the ledger's errors.
        """
        loop = asyncio.get_running_loop()
        unjudged = _Unjudged(raw, key, loop.create_future())
        self._unjudged.append(unjudged)
        if len(self._judges) < THREADS:
            self._judges.add(loop.create_task(self._judge()))
        job = await unjudged.became
        stored: asyncio.Future[Submitted] = loop.create_future()
        self._unstored.append((job, stored))
        if self._storing is None:
            self._storing = loop.create_task(self._store())
        return job, await stored

    async def _judge(self) -> None:
        try:
            while self._unjudged:
                await self._judge_some()
        finally:
            # In the very turn that found nothing more to judge: what comes after it needs a new task, and a
            # task's own callbacks come later.
            self._judges.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _judge_some(self) -> None:
        some = [self._unjudged.popleft() for _ in range(min(self._together, len(self._unjudged)))]
        loop = asyncio.get_running_loop()
        judged = await loop.run_in_executor(self._threads, self._judge_all, some, self._clock())
        for each, result in zip(some, judged, strict=True):
            if each.became.done():  # whoever asked has gone
                continue
            if isinstance(result, NewJob):
                each.became.set_result(result)
            else:
                each.became.set_exception(result)

    async def _store(self) -> None:
        while self._unstored:
            some = [self._unstored.popleft() for _ in range(min(BATCH, len(self._unstored)))]
            try:
                became = await self._ledger.submit([job for job, _ in some])
            except Exception as error:  # noqa: BLE001 - told to each who waits for it
                for _, waiting in some:
                    if not waiting.done():
                        waiting.set_exception(error)
                continue
            for (_, waiting), what in zip(some, became, strict=True):
                if not waiting.done():
                    waiting.set_result(what)
            if "new" in became:
                self._stored()
        self._storing = None

    # On a thread.

    def _judge_all(self, some: Sequence[_Unjudged], now: float) -> list[NewJob | Refusal | JudgingBroke]:
        return [self._judge_one(each, now) for each in some]

    def _judge_one(self, each: _Unjudged, now: float) -> NewJob | Refusal | JudgingBroke:
        try:
            return self._judged(each.raw, each.key, now)
        except Invalid as invalid:
            if not _is_json(each.raw):
                return Refusal("malformed", "the body is not one JSON value in UTF-8.", errors=invalid.faults)
            return Refusal("invalid", "the job cannot be taken; nothing was stored.", errors=invalid.faults)
        except Refusal as refusal:
            return refusal
        except Exception as error:  # noqa: BLE001 - its text and its frames may hold a code
            return JudgingBroke(place_of(error))

    def _judged(self, raw: bytes, key: Key | None, now: float) -> NewJob:
        if key is None:
            return accept(raw, self._rules, now, os.urandom(10))
        asked = _job_in(raw)
        faults = beyond(key, asked) if asked is not None else []
        if faults:
            raise Refusal("forbidden", "the key does not allow this job.", errors=faults)
        job = accept(raw, self._rules, now, os.urandom(10))
        if asked is None:  # nobody has looked whether the key allows it
            raise Refusal("malformed", "the body can be read in more than one way.")
        return owned(job, key.application, self._rules.seal, key.calls)


def _job_in(raw: bytes) -> Job | None:
    """The job; None for what is none, whose faults `accept` names."""
    try:
        return _decode_job(raw)
    except _NO_JSON:
        return None


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except _NO_JSON:
        return False
    return True
