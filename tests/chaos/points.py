"""One worker dies at a named point, the next one goes on: what ledger, phones and receiver say of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import judge, recovery, stage
from tests.chaos.crew import Crew
from tests.chaos.plan import PREFIXES, SECONDS_A_DIGIT, Callee, PlannedJob
from tests.chaos.producer import producing
from tests.chaos.receiver import receiving
from tests.real.lab import LabInfo

BEGUN = 30.0
DEATH = 30.0
SETTLED = 45.0
LOOK = 0.1


@dataclasses.dataclass(frozen=True)
class Scene:
    """Who dies where, and who is called."""

    point: str
    nth: int
    callees: tuple[Callee, ...]


@dataclasses.dataclass(frozen=True)
class Played:
    """What was seen: at the moment of the death, and in the end."""

    died: bool
    at_death: dict[str, judge.Stored]
    pending_at_death: frozenset[str]
    """The webhook ids that the ledger did not hold for delivered."""
    rung_at_death: frozenset[str]
    taken_at_death: frozenset[str]
    exit_codes: tuple[int, ...]
    found: judge.Evidence
    log: str

    @property
    def figures(self) -> dict[str, int]:
        """Every count that must be zero."""
        figures = judge.figures(self.found, judge.judge(self.found))
        more = ("stray_channels", "undelivered")
        return {name: figures[name] for name in (*judge.judge(self.found), *more)}

    @property
    def calls(self) -> frozenset[str]:
        """The ids of all calls, which are those of their channels."""
        return frozenset(a.call_id for job in self.found.stored.values() for a in job.attempts)

    def rings(self, job_id: str) -> int:
        """How often a job's phone rang."""
        number = next(job["to"] for job in self.found.submitted if job["id"] == job_id)
        return len(self.found.rings.get(number.removeprefix("+"), ()))

    def arrivals(self, webhook: str) -> list[judge.Arrival]:
        """A notification, as often as it came."""
        return [each for each in self.found.arrivals if each.webhook == webhook]


def jobs_of(scene: Scene, block: int) -> list[PlannedJob]:
    """The scene's jobs; `block` keeps their numbers apart from those of others. Each may be dialled again
    after a failure, if only it is certain that the phone did not ring."""
    jobs = []
    for n, callee in enumerate(scene.callees):
        body = {
            "id": f"{scene.point}-{n}",
            "to": f"{PREFIXES[callee]}{100 * block + n:07d}",
            "code": "4938",
            "plays": 1,
            "template": "digits",
            "ring_timeout": 5,
            "max_duration": 4 * SECONDS_A_DIGIT + 25,
            "retry": {"attempts": 2, "delay": 0, "on": ["failed"]},
        }
        jobs.append(PlannedJob(f"{scene.point}-{n}", callee, body))
    return jobs


async def play_all(lab: LabInfo, folder: Path, scenes: Sequence[Scene]) -> dict[str, Played]:
    """All scenes at the same time, each with a worker, a ledger and a receiver of its own."""
    with stage.callees(lab, folder):
        played = await asyncio.gather(
            *(_play(scene, block, lab, folder) for block, scene in enumerate(scenes))
        )
        left = {channel["id"] for channel in await stage.channels_left(lab)}
    return {
        scene.point: dataclasses.replace(
            each, found=dataclasses.replace(each.found, channels=len(left & each.calls))
        )
        for scene, each in zip(scenes, played, strict=True)
    }


async def _play(scene: Scene, block: int, lab: LabInfo, shared: Path) -> Played:
    folder = shared / scene.point
    folder.mkdir()
    ledger, listen = folder / "ledger.db", f"127.0.0.1:{stage.free_port()}"
    rings = shared / stage.RINGS
    async with receiving(0, folder / "webhooks.jsonl", faulty=False) as receiver:
        config = stage.write_config(
            folder, lab, ledger=ledger, ari_url=lab.ari_url, notify_url=receiver.url, listen=listen
        )
        crew = Crew(config, ledger, listen, folder)
        try:
            async with producing(config, folder / "jobs.jsonl") as producer:
                crew.spawn(scene.point, scene.nth)
                await crew.stand_by(BEGUN)
                crew.spawn()  # stands by, so that nothing depends on how fast a process starts here
                await crew.stand_by(BEGUN)
                await producer.submit(jobs_of(scene, block))
                await crew.await_death(DEATH)
                receiver.flush()
                stage.copy_ledger(ledger, folder / "at-death.db")
                shutil.copyfile(folder / "webhooks.jsonl", folder / "at-death.jsonl")
                rung = frozenset(judge.read_rings(rings))
                await _settled(ledger)
                codes = await crew.stop(40.0)
        finally:
            crew.end()
    numbers = {job.body["to"].removeprefix("+") for job in jobs_of(scene, block)}
    shutil.copyfile(rings, folder / stage.RINGS)
    (folder / "channels.json").write_text("[]")  # asked once, when all scenes are over
    found = judge.read_evidence(folder)
    before = [json.loads(line) for line in (folder / "at-death.jsonl").read_text().splitlines()]
    return Played(
        died=crew.kills_at.get(scene.point) == 1,
        at_death=judge.read_ledger(folder / "at-death.db"),
        pending_at_death=_pending(folder / "at-death.db"),
        rung_at_death=rung & numbers,
        taken_at_death=frozenset(line["id"] for line in before if line["taken"]),
        exit_codes=tuple(codes),
        found=dataclasses.replace(found, rings={n: at for n, at in found.rings.items() if n in numbers}),
        log="\n".join(file.read_text() for file in sorted(folder.glob("w*.log"))),
    )


async def _settled(ledger: Path) -> None:
    """Until all is over, or long enough: what is open then, the judge sees."""
    for _ in range(int(SETTLED / LOOK)):
        if await asyncio.to_thread(recovery.is_settled, ledger):
            return
        await asyncio.sleep(LOOK)


def _pending(ledger: Path) -> frozenset[str]:
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        return frozenset(row[0] for row in db.execute("SELECT event_id FROM outbox WHERE state = 'pending'"))
