"""What a run on a shared ledger does, drawn from its seed: workers, PBXs and PostgreSQL are killed. Pure."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Final, Literal

from tests.chaos.plan import PlannedJob, Size, make_plan

SharedAction = Literal[
    "kill",  # kill -9 a worker, and start one: under its name when `same`, else under a new one
    "stop",  # SIGTERM in the middle of its calls, and start one
    "restart",  # PostgreSQL: `crash` as a crash of the server, otherwise an administrator's fast restart
    "kill-pbx",
    "wait",
    "recover",
]
TOOK: Final[dict[SharedAction, float]] = {
    "kill": 0.5,
    "stop": 1.5,
    "restart": 1.0,
    "kill-pbx": 1.2,
    "recover": 2.5,
}


@dataclasses.dataclass(frozen=True)
class SharedOp:
    """One thing to do. `which` picks the worker or the PBX among those there are, 0 up to 1."""

    action: SharedAction
    seconds: float = 0.0
    """To wait; or how long what was broken stays away."""
    which: float = 0.0
    same: bool = False
    crash: bool = False

    @property
    def estimate(self) -> float:
        """Seconds that it takes, about."""
        return TOOK.get(self.action, 0.0) + self.seconds


@dataclasses.dataclass(frozen=True)
class SharedSize:
    """How much of everything."""

    seed: int
    calls: int
    worker_kills: int
    worker_stops: int
    postgresql_restarts: int
    pbx_kills: int
    workers: int = 3
    pbxs: int = 2
    live: int = 120
    wave: int = 90
    """Jobs that are submitted at once: so many more than can be dialled that each PBX is at its limit."""
    max_cps: float = 20.0
    """Of each PBX, of all workers together."""


@dataclasses.dataclass(frozen=True)
class SharedPlan:
    """A whole run."""

    size: SharedSize
    jobs: tuple[PlannedJob, ...]
    ops: tuple[SharedOp, ...]

    @property
    def seconds(self) -> float:
        """How long the faults take, about."""
        return sum(op.estimate for op in self.ops)


def make_shared_plan(size: SharedSize) -> SharedPlan:
    """The same seed and size always give the same plan. The jobs are those of a run on SQLite."""
    ops = tuple(_ops(size, random.Random(f"shared/{size.seed}")))
    together = size.max_cps * size.pbxs
    jobs = make_plan(Size(size.seed, size.calls, 0, 0, size.live, together)).jobs
    return SharedPlan(size, jobs, ops)


def _ops(size: SharedSize, dice: random.Random) -> Iterator[SharedOp]:
    scenes = [*_scenes(size, dice)]
    dice.shuffle(scenes)
    yield SharedOp("wait", 1.5)
    for scene in scenes:
        yield from scene
        yield SharedOp("wait", dice.uniform(0.05, 0.9))


def _scenes(size: SharedSize, dice: random.Random) -> Iterator[list[SharedOp]]:
    kills, recover = size.worker_kills, SharedOp("recover")
    for number in range(size.postgresql_restarts):
        restart = SharedOp("restart", dice.uniform(0, 1.5), crash=number % 2 == 1)
        # Now and then a worker dies while the others cannot see it.
        if number % 4 == 2 and kills:
            kills -= 1
            yield [_kill(dice), restart, recover]
        else:
            yield [restart, recover]
    for number in range(size.pbx_kills):
        dies = SharedOp("kill-pbx", dice.uniform(0, 1.5), which=(number + 0.5) / size.pbx_kills)
        if number % 2 == 1 and kills:
            kills -= 1
            yield [_kill(dice), dies, recover]
        else:
            yield [dies, recover]
    for _ in range(size.worker_stops):
        yield [SharedOp("stop", which=dice.random(), same=dice.random() < 0.5), recover]
    while kills > 0:
        if kills >= 2 and dice.random() < 0.3:
            kills -= 2
            # The heir of the first may be the second.
            yield [_kill(dice), SharedOp("wait", dice.uniform(0, 3.0)), _kill(dice), recover]
        else:
            kills -= 1
            yield [_kill(dice), recover]


def _kill(dice: random.Random) -> SharedOp:
    return SharedOp("kill", dice.uniform(0, 0.8), which=dice.random(), same=dice.random() < 0.5)
