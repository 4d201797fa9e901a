"""One call from its submission to its verdict, followed through the ledger.

Where a worker runs on the ledger, it makes the call. Where none does, a worker for this one job runs in here.
Either way what is shown is what the ledger tells.
"""

import asyncio
import contextlib
import os
import signal
from typing import Any, Protocol

from orchestrator import setup
from orchestrator.cli.deadline import in_time
from orchestrator.cli.fail import WORK_FAILED, Failure
from orchestrator.cli.options import check_ledger_folder
from orchestrator.cli.probe import check_nodes
from orchestrator.cli.timeline import Story, story
from orchestrator.clock import Clock, steady_clock
from orchestrator.config import Config, ConfigError
from orchestrator.guard.seal import Seal
from orchestrator.intake.accept import accept
from orchestrator.ledger.errors import LedgerUnusable
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import Summary
from orchestrator.ledgers import opened, worker_runs
from orchestrator.prompts import Library
from orchestrator.running import run_worker
from orchestrator.worker import Worker

TICK = 0.04
"""Seconds between two looks at the ledger, and two frames of the display."""
TAKE_OVER_EVERY = 1.0
"""Seconds between two looks whether the ledger has lost its worker."""
MAX_REFUSALS = 5
NOTIFY_WAIT = 3.0
"""Seconds that notifications get to arrive after the end."""
PATIENCE = 0.7
"""Seconds that a job waits before the reason is shown: connecting takes a moment."""
HANG_UP_GRACE = 0.5
"""Seconds from the first Ctrl-C until a second one is heeded."""
INTERRUPTED = 130
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Display(Protocol):
    """Where the call is shown."""

    def update(self, now: float, told: Story, note: str) -> None:
        """Show how it stands; called again and again."""

    def end(self, told: Story, summary: Summary | None) -> None:
        """Show the verdict."""


async def place(config: Config, raw: bytes, display: Display) -> int:
    """Check, submit and follow one job. The exit code.

    Raises `Invalid`, `Failure` and the errors of the rooms; then nothing has been stored.
    """
    clock = steady_clock()
    library = setup.load_prompts(config)
    if not config.pbx:
        raise ConfigError("no PBX is configured: add a [[pbx]] section")
    check_ledger_folder(config)
    # With a key of the moment: the ledger's own may not exist yet, and a bad job is to leave nothing behind.
    _accept(config, raw, library, Seal(os.urandom(32)), clock)
    await check_nodes(config, library)
    seal, left = setup.load_seal(config), "Nobody was called, nothing was stored."
    async with opened(config) as ledger:
        owners = await in_time(config, ledger, ledger.clock(clock), left)
        job = _accept(config, raw, library, seal, owners)
        await in_time(config, ledger, ledger.submit([job]), left)
        return await Following(config, ledger, job.id, clock, display).run()


def _accept(config: Config, raw: bytes, library: Library, seal: Seal, clock: Clock) -> Any:
    return accept(raw, setup.rules(config, library, seal), clock(), os.urandom(10))


class Unseen:
    """Shows nothing: the reader of our output has gone."""

    def update(self, now: float, told: Story, note: str) -> None:
        """Show nothing."""

    def end(self, told: Story, summary: Summary | None) -> None:
        """Show nothing."""


class _Quit(Exception):
    """The second Ctrl-C."""


class Following:
    """Follows one job, with a worker for it where nobody else is one."""

    def __init__(self, config: Config, ledger: Ledger, job_id: str, clock: Clock, display: Display) -> None:
        self._config = config
        self._ledger = ledger
        self._job_id = job_id
        self._clock = clock
        self._display = display
        self._stop = asyncio.Event()
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None
        self._interrupts = 0
        self._refusals = 0
        self._cancelled_at: float | None = None

    async def run(self) -> int:
        """Until the verdict. The exit code."""
        loop = asyncio.get_running_loop()
        caught = {number: signal.getsignal(number) for number in _STOPPING}
        for number in caught:
            loop.add_signal_handler(number, self._interrupt)
        quits = False
        try:
            async with asyncio.TaskGroup() as group:
                told = await self._follow(group)
                summary = await self._settle()
                self._stop.set()
        except* _Quit:
            quits = True
        finally:
            for number, before in caught.items():
                loop.remove_signal_handler(number)
                signal.signal(number, before)
        if quits:
            raise Failure(
                "left at once; see how it went on with: orchestrator show " + self._job_id, INTERRUPTED
            )
        self._display.end(told, summary)
        return 0 if told.job.outcome == "completed" else WORK_FAILED

    async def _follow(self, group: asyncio.TaskGroup) -> Story:
        told = await self._read()
        next_look = 0.0
        while not told.ended:
            now = self._clock()
            if self._working is None and now >= next_look and told.doing == "waiting":
                next_look = now + TAKE_OVER_EVERY
                self._work_unless_another_does(group)
            self._show(now, told, self._note(told, now))
            await asyncio.sleep(TICK)
            await self._heed_interrupts()
            if await self._ledger.changed():
                told = await self._read()
        self._show(self._clock(), told, "")
        return told

    def _show(self, now: float, told: Story, note: str) -> None:
        try:
            self._display.update(now, told, note)
        except BrokenPipeError:
            # Nobody looks on any more; as with Ctrl-C, nobody is to be left on the phone.
            self._display = Unseen()
            self._interrupts = max(self._interrupts, 1)

    async def _read(self) -> Story:
        followed = await self._ledger.follow(self._job_id)
        if followed is None:
            raise Failure(f"job {self._job_id} is no longer in the ledger", WORK_FAILED)
        return story(followed)

    def _work_unless_another_does(self, group: asyncio.TaskGroup) -> None:
        if not worker_runs(self._config):
            self._working = group.create_task(self._work())

    async def _work(self) -> None:
        try:
            await run_worker(self._config, self._stop, self._clock, only=self._job_id, started=self._started)
        except LedgerUnusable:
            # Another came first, or only looked whether it should: see in a moment.
            self._refusals += 1
            if self._refusals > MAX_REFUSALS and not worker_runs(self._config):
                raise
            self._working = None

    def _started(self, worker: Worker) -> None:
        self._worker = worker

    def _note(self, told: Story, now: float) -> str:
        if self._interrupts:
            return "cancelling; Ctrl-C again leaves at once"
        if told.doing != "waiting":
            return ""
        due = told.job.next_at
        if told.job.attempts and due > now:
            return f"dialling again in {due - now:.0f} s"
        if now - due < PATIENCE:
            return ""
        if self._worker is not None:
            return self._worker.why_not_ready() or "waiting for the PBX's pace"
        return "waiting for the worker that runs on this ledger"

    def _interrupt(self) -> None:
        self._interrupts += 1

    async def _heed_interrupts(self) -> None:
        if self._interrupts and self._cancelled_at is None:
            self._cancelled_at = self._clock()
            await self._ledger.request_cancel(self._job_id)
        # Two at once are common, and the hang-up must have left before we do: no phone is to ring on.
        asked = self._cancelled_at
        if self._interrupts > 1 and asked is not None and self._clock() - asked >= HANG_UP_GRACE:
            raise _Quit

    async def _settle(self) -> Summary | None:
        """Give the notifications a moment to arrive."""
        summary = await self._ledger.summary(self._job_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTIFY_WAIT):
                while summary is not None and summary.notifications.get("pending") and not summary.problem:
                    await asyncio.sleep(TICK)
                    if self._interrupts > 1:
                        break
                    summary = await self._ledger.summary(self._job_id)
        return summary
