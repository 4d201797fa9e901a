"""Carries a plan out: jobs at a steady pace, and one fault after the other."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from pathlib import Path
from typing import Final, cast

import aiohttp

from tests.chaos import recovery
from tests.chaos.crew import AGAIN, Crew
from tests.chaos.disk import Disk
from tests.chaos.plan import Action, Op, Plan
from tests.chaos.producer import Producer
from tests.chaos.proxy import Fault, Proxy
from tests.chaos.receiver import Receiver
from tests.real.lab import LabInfo, freeze_lab, kill_lab, start_lab_again, thaw_lab

TICK: Final = 0.05
PATIENCE: Final = 15.0
"""Seconds after which a recovery is given up, and counts as that long."""
RESTARTS: Final[frozenset[Action]] = frozenset({"spawn", "kill", "await-death", "start-pbx"})
"""What a recovery is measured from. After other faults it is only waited for."""


@dataclasses.dataclass(frozen=True)
class Recovery:
    """One recovery: after what, how many calls were open, how long it took, and which came last."""

    after: str
    live: int
    seconds: float
    ready: float
    """Seconds until the worker was ready."""
    last: tuple[str, ...]
    """The last calls to move on, each with what its journal had said last."""


class Conductor:
    """Everything that a plan acts upon. `run` once."""

    def __init__(
        self,
        plan: Plan,
        lab: LabInfo,
        ledger: Path,
        crew: Crew,
        producer: Producer,
        proxy: Proxy,
        receiver: Receiver,
        disk: Disk,
        http: aiohttp.ClientSession,
    ) -> None:
        self.recoveries: list[Recovery] = []
        self.pbx_kills = 0
        self.live_max = 0
        self._plan = plan
        self._lab = lab
        self._ledger = ledger
        self._crew = crew
        self._producer = producer
        self._proxy = proxy
        self._receiver = receiver
        self._disk = disk
        self._http = http
        self._back: tuple[str, float, recovery.Marks] | None = None
        self._worked = False
        """Whether the worker that was killed last had the ledger."""
        self._progress = 0.0
        self._over = False

    async def run(self) -> None:
        """All faults and all jobs; returns when there are no more of either."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_crew())
            jobs = group.create_task(self._submit())
            try:
                await self._perform()
                self._over = True
                await jobs
            finally:
                keeping.cancel()

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
        """As far through the jobs as through the faults, and never faster than the rate."""
        jobs, rate = self._plan.jobs, self._plan.size.rate
        sent, allowed, before = 0, 0.0, time.monotonic()
        while sent < len(jobs):
            await asyncio.sleep(TICK)
            now = time.monotonic()
            allowed = min(allowed + (now - before) * rate, rate)
            before = now
            due = len(jobs) if self._over else int(self._progress * len(jobs))
            batch = jobs[sent : min(due, sent + int(allowed))]
            if batch:
                await self._producer.submit(batch)
                sent += len(batch)
                allowed -= len(batch)

    async def _keep_crew(self) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            self._crew.restart_ended()

    async def _do(self, op: Op) -> None:
        match op.action:
            case "spawn":
                self._crew.spawn(op.what, op.nth)
            case "stand-by":
                await self._crew.stand_by(op.seconds)
            case "kill":
                self._worked = await self._crew.kill()
            case "await-death":
                self._worked = await self._crew.await_death(op.seconds)
            case "stall":
                await self._crew.freeze()
            case "wake":
                self._crew.thaw()
            case "kill-pbx":
                await asyncio.to_thread(kill_lab, self._lab.name)
                self.pbx_kills += 1
            case "start-pbx":
                await asyncio.to_thread(start_lab_again, self._lab.name)
            case "freeze-pbx":
                await asyncio.to_thread(freeze_lab, self._lab.name)
            case "thaw-pbx":
                await asyncio.to_thread(thaw_lab, self._lab.name)
            case "cut":
                self._proxy.cut(cast("Fault", op.what))
            case "mend":
                self._proxy.mend()
            case "fill-disk":
                await asyncio.to_thread(self._disk.fill, self._crew.pids)
            case "free-disk":
                await asyncio.to_thread(self._disk.free, self._crew.pids)
            case "receiver-down":
                self._receiver.down()
            case "receiver-up":
                await self._receiver.up()
            case "wait":
                await asyncio.sleep(op.seconds)
            case "recover":
                await self._recover()
        if self._brings_back(op.action):
            await self._is_back(op.action)

    def _brings_back(self, action: Action) -> bool:
        match action:
            case "kill" | "await-death":
                return self._worked and len(self._crew) > 0  # one that stands by
            case "spawn":
                return len(self._crew) == 1
            case _:
                return action in ("start-pbx", "thaw-pbx", "mend", "free-disk", "wake")

    async def _is_back(self, action: Action) -> None:
        """What was missing is there again: a recovery begins."""
        at = time.monotonic()
        found = await recovery.marks(self._ledger)
        if found is not None:
            self.live_max = max(self.live_max, len(found))
            self._back = (action, at, found)

    async def _recover(self) -> None:
        if self._back is None:
            return
        after, since, before = self._back
        ready, last = PATIENCE, list[str]()
        while (seconds := time.monotonic() - since) < PATIENCE:
            if await self._crew.ready(self._http):
                ready = min(ready, seconds)
                now = await recovery.marks(self._ledger)
                left = recovery.waiting(before, now) if now is not None else last
                if not left and now is not None:
                    break
                last = left
            await asyncio.sleep(TICK)
        told = tuple(f"{call} {before[call][1]}" for call in last[:5])
        if self._crew.kills or self.pbx_kills:  # the first start is none
            self.recoveries.append(Recovery(after, len(before), min(seconds, PATIENCE), ready, told))
        self._back = None

    async def settle(self, seconds: float) -> bool:
        """Wait until every job has ended, every notification has arrived and every record was sent."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if await asyncio.to_thread(recovery.is_settled, self._ledger):
                return True
            self._crew.restart_ended()
            await asyncio.sleep(0.25)
        return False


def write_recoveries(path: Path, recoveries: list[Recovery]) -> None:
    """One line of JSON each."""
    path.write_text("".join(json.dumps(dataclasses.asdict(each)) + "\n" for each in recoveries))
