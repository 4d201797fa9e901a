"""A worker's floor on virtual time: ledger, live calls, dispatchers and sweeper around scripted PBXes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.config import Pbx as PbxConfig
from orchestrator.dispatcher import NodeDispatcher, open_script
from orchestrator.guard.seal import Seal
from orchestrator.health.fleet import Fleet
from orchestrator.ledger.limits import UNLIMITED, CallLimits
from orchestrator.ledger.records import JobState, NewJob, Script
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.live import LiveCalls
from orchestrator.meters import Meters
from orchestrator.notify.delivery import Delivery
from orchestrator.pbx.port import Link
from orchestrator.sweeper import Sweeper, end_job
from orchestrator.upkeep import keep_health
from tests.fakes import ANSWERS, SCRIPT, FakePbx, Far, db_of, inline_ledger, new_job, now, until

SEAL = Seal(b"k" * 32)
URL = "http://127.0.0.1:9/hook"


def node(name: str = "ast1", **changes: Any) -> PbxConfig:
    fields: dict[str, Any] = {"name": name, "url": "http://x", "dial": "PJSIP/{number}@carrier"}
    return PbxConfig(**(fields | {"max_cps": 100.0, "max_calls": 50} | changes))


class Floor:
    def __init__(
        self,
        ledger: SqliteLedger,
        configs: Sequence[PbxConfig],
        max_queued: int = 1000,
        limits: CallLimits = UNLIMITED,
    ) -> None:
        self.ledger = ledger
        self.meters = Meters()
        self.offered: list[Delivery] = []
        ledger.on_deliveries = self.offered.extend
        self.links: list[Link] = []
        self.live = LiveCalls(
            ledger,
            now,
            worker="w1",
            notify_url=None,
            trunks={config.name: "carrier" for config in configs},
            meters=self.meters,
            max_queued=max_queued,
            on_freed=self._freed,
        )
        self.live.on_link = self._linked
        self.fleet = Fleet(now, self.meters, lambda name: self.nodes[name].connected)
        self.live.on_settled, self.live.on_over = self.fleet.settled, self.fleet.over
        self.allowed = True
        self.nodes: dict[str, FakePbx] = {}
        self.pulls: dict[str, NodeDispatcher] = {}
        for config in configs:
            self.pulls[config.name] = NodeDispatcher(
                config,
                ledger,
                self.live,
                SEAL,
                now,
                self.fleet,
                may_dial=lambda: self.allowed,
                end=self._end,
                limits=limits,
                limited=self.meters.limited,
            )
            self.nodes[config.name] = FakePbx(config.name, self.live.sink)
            self.live.nodes[config.name] = self.nodes[config.name]
        self.sweeper = Sweeper(ledger, self.live, now, self._end)
        self.tasks: list[asyncio.Task[None]] = []

    def _linked(self, link: Link) -> None:
        self.links.append(link)
        self.fleet.linked(link)

    def _freed(self, pbx: str) -> None:
        self.pulls[pbx].freed()

    async def _end(self, job_id: str, outcome: str, reason: str) -> None:
        await end_job(self.ledger, job_id, outcome, reason, now(), None, "w1")

    @property
    def pbx(self) -> FakePbx:
        return next(iter(self.nodes.values()))

    def up(self, *names: str) -> None:
        """Connect and open for dialling: these nodes, or all."""
        for name in names or self.nodes:
            self.nodes[name].link(True)
            self.pulls[name].ready = True
            self.pulls[name].bell.ring()

    def start(self) -> None:
        pulls = (pull.run() for pull in self.pulls.values())
        keep = [self.sweeper.run(), *pulls, keep_health(self.fleet)]
        self.tasks += [asyncio.create_task(each) for each in keep]

    async def submit(self, *jobs: NewJob, script: Script = SCRIPT) -> None:
        """Store jobs, sealed, and wake everyone, as the worker does."""
        ready = [
            msgspec.structs.replace(job, sealed=SEAL.seal(job.id, msgspec.json.encode(script)))
            for job in jobs
        ]
        await self.ledger.submit(ready)
        self.wake()

    def wake(self) -> None:
        self.sweeper.bell.ring()
        for pull in self.pulls.values():
            pull.bell.ring()

    async def adopt(self) -> None:
        for found in await self.ledger.open_calls():
            self.live.adopt(found, open_script(SEAL, found))

    def outcome(self, job_id: str = "job-1") -> str | None:
        found: str | None = (
            db_of(self.ledger).execute("SELECT outcome FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
        )
        return found

    def state(self, job_id: str = "job-1") -> JobState:
        query = "SELECT state FROM jobs WHERE id = ?"
        return JobState(db_of(self.ledger).execute(query, (job_id,)).fetchone()[0])

    async def ended(self, *job_ids: str, within: float = 600.0) -> None:
        ids = job_ids or ("job-1",)
        await until(lambda: all(self.state(id) is JobState.ENDED for id in ids), within)

    def told(self, job_id: str = "job-1") -> list[dict[str, Any]]:
        """A job's notifications in the order of the outbox, which must be that of their sequence."""
        rows = db_of(self.ledger).execute("SELECT body FROM outbox WHERE lane = ? ORDER BY id", (job_id,))
        told = [json.loads(row[0]) for row in rows]
        assert [event["data"]["sequence"] for event in told] == list(range(1, len(told) + 1))
        return told

    def types(self, job_id: str = "job-1") -> list[str]:
        """The types told of an ended job: exactly one `job.ended`, the last of all."""
        types = [str(event["type"]) for event in self.told(job_id)]
        assert types.count("job.ended") == 1
        assert types[-1] == "job.ended"
        return types

    def cdrs(self, job_id: str = "job-1") -> list[dict[str, Any]]:
        query = "SELECT cdr FROM calls WHERE job_id = ? AND cdr IS NOT NULL ORDER BY attempt"
        return [json.loads(row[0]) for row in db_of(self.ledger).execute(query, (job_id,))]


@contextlib.asynccontextmanager
async def floor(
    *configs: PbxConfig,
    far: Sequence[Far] = (ANSWERS,),
    up: bool = True,
    ledger: Path | str = ":memory:",
    max_queued: int = 1000,
    limits: CallLimits = UNLIMITED,
) -> AsyncIterator[Floor]:
    """A running floor; leaving it is a crash: nothing is drained."""
    made = Floor(await inline_ledger(ledger), configs or (node(),), max_queued, limits)
    for pbx in made.nodes.values():
        pbx.far = list(far)
    if up:
        made.up()
    made.start()
    try:
        yield made
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.wait(made.tasks)
        made.live.close()
        await made.ledger.close()
        for task in made.tasks:
            if not task.cancelled():
                task.result()


__all__ = ["SEAL", "URL", "Floor", "floor", "new_job", "node"]
