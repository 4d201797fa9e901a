"""Carries a plan on a shared ledger out: jobs at a steady pace, and one fault after the other."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from typing import Final

from tests.chaos import export, recovery
from tests.chaos.conduct import PATIENCE, TICK, Recovery
from tests.chaos.crew import AGAIN
from tests.chaos.pace import put_first
from tests.chaos.producer import Producer
from tests.chaos.shared_crew import SharedCrew
from tests.chaos.shared_plan import SharedOp, SharedPlan
from tests.postgres import Server
from tests.real.lab import LabInfo, kill_lab, start_lab_again

BEGIN: Final = 20.0
STOP: Final = 20.0


class SharedConductor:
    """Everything that a plan acts upon. `run` once."""

    def __init__(
        self,
        plan: SharedPlan,
        labs: Sequence[LabInfo],
        server: Server,
        url: str,
        crew: SharedCrew,
        producer: Producer,
    ) -> None:
        self.recoveries: list[Recovery] = []
        self.pbx_kills = 0
        self.restarts = 0
        self.live_max = 0
        self._plan = plan
        self._labs = labs
        self._server = server
        self._url = url
        self._crew = crew
        self._producer = producer
        self._back: tuple[str, float, recovery.Marks] | None = None
        self._progress = 0.0
        self._over = False

    async def run(self) -> None:
        """All faults and all jobs; returns when there are no more of either."""
        for _ in range(self._plan.size.workers):
            self._crew.spawn()
        if not await self._crew.begun(BEGIN):
            raise RuntimeError("the workers did not start; see their logs (--keep DIR)")
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_crew())
            jobs = group.create_task(self._submit())
            try:
                await self._perform()
                self._over = True
                await jobs
            finally:
                keeping.cancel()

    async def settle(self, seconds: float) -> bool:
        """Wait until every job has ended, every notification has arrived and every record was sent."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if await export.is_settled(self._url):
                return True
            self._crew.restart_ended()
            await asyncio.sleep(0.25)
        return False

    async def _perform(self) -> None:
        done, total = 0.0, self._plan.seconds
        for op in self._plan.ops:
            began, upto = time.monotonic(), done + op.estimate
            doing = asyncio.create_task(self._do(op))
            try:
                while not doing.done():
                    await asyncio.wait([doing], timeout=TICK)
                    self._progress = min(upto, done + time.monotonic() - began) / total
                doing.result()
            finally:
                doing.cancel()
            done = upto

    async def _submit(self) -> None:
        """In waves, as far through the jobs as through the faults."""
        jobs, wave = self._plan.jobs, self._plan.size.wave
        sent = 0
        while sent < len(jobs):
            due = len(jobs) if self._over else int(self._progress * len(jobs)) + 1
            while sent < due:
                await self._producer.submit(jobs[sent : sent + wave])
                sent += wave
            await asyncio.sleep(TICK)

    async def _keep_crew(self) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            self._crew.restart_ended()

    async def _do(self, op: SharedOp) -> None:
        match op.action:
            case "kill":
                name = await self._crew.kill(op.which)
                await self._is_back("kill")
                await asyncio.sleep(op.seconds)
                self._crew.spawn(name if op.same else "")
            case "stop":
                name = await self._crew.stop(op.which, STOP)
                self._crew.spawn(name if op.same else "")
            case "restart":
                await asyncio.to_thread(self._server.stop, signal.SIGQUIT if op.crash else signal.SIGINT)
                await asyncio.sleep(op.seconds)
                await asyncio.to_thread(self._server.start)
                self.restarts += 1
                await self._is_back("restart")
            case "kill-pbx":
                name = self._labs[int(op.which * len(self._labs))].name
                await asyncio.to_thread(kill_lab, name)
                self.pbx_kills += 1
                await asyncio.sleep(op.seconds)
                lab = await asyncio.to_thread(start_lab_again, name)
                if lab.pid is not None:
                    put_first(lab.pid)
                await self._is_back("kill-pbx")
            case "wait":
                await asyncio.sleep(op.seconds)
            case "recover":
                await self._recover()

    async def _is_back(self, after: str) -> None:
        """From now on all that is needed is there: a recovery begins. For the calls of a killed worker it is
        its death that counts, for the others can take them over."""
        at = time.monotonic()
        found = await export.read_marks(self._url)
        if found is not None:
            self.live_max = max(self.live_max, len(found))
            self._back = (after, at, found)

    async def _recover(self) -> None:
        if self._back is None:
            return
        after, since, before = self._back
        last = list[str]()
        while (seconds := time.monotonic() - since) < PATIENCE:
            now = await export.read_marks(self._url)
            if now is not None and not (last := recovery.waiting(before, now)):
                break
            await asyncio.sleep(TICK)
        told = tuple(f"{call} {before[call][1]}" for call in last[:5])
        self.recoveries.append(Recovery(after, len(before), min(seconds, PATIENCE), 0.0, told))
        self._back = None
