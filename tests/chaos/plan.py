"""What a run does, drawn from its seed: the jobs, and the order of the faults. Pure."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

NAMED_POINTS: Final = (
    "intent",
    "originate-sent",
    "answered",
    "playing",
    "hangup-before-commit",
    "hangup-after-commit",
    "delivering",
)
"""Where a worker can kill itself; see `launcher`."""

Callee = Literal["stays", "busy", "declines", "hangs-up", "rings-on", "late"]
PREFIXES: Final[dict[Callee, str]] = {
    "stays": "+1201",
    "busy": "+1202",
    "declines": "+1203",
    "hangs-up": "+1204",
    "rings-on": "+1205",
    "late": "+1206",
}
"""What a callee does is decided by its number; see callees.xml."""
SHARES: Final[dict[Callee, int]] = {
    "stays": 60,
    "busy": 11,
    "declines": 8,
    "hangs-up": 8,
    "rings-on": 5,
    "late": 8,
}
RETRIED: Final = ("busy", "rejected", "no_answer", "failed")
RETRYING: Final = 0.25
"""The part of jobs that are dialled again after what is in RETRIED."""
SHORT: Final = 0.35
"""The part of jobs that play once and are over, so that calls end at every moment."""
LONG_FREEZE: Final = 0.25
RING_TIMEOUT: Final = 5
SECONDS_A_DIGIT: Final = 0.8
LONGEST_CALL: Final = 60.0
LAST_CALL: Final = 5.0
SHORT_CALL: Final = 4.0
"""Seconds that a short one takes, about."""
MOST_DIGITS: Final = 10
ANSWERING: Final = 0.75
"""The part of the callees that answer."""

Action = Literal[
    "spawn",  # start a worker: `what` names the point where it kills itself, "" for none; `nth` the passing
    "stand-by",  # wait until each worker has found its place
    "kill",  # kill -9 the worker that has the ledger
    "await-death",  # wait until a worker has killed itself, for `seconds` at most; then kill it
    "stall",  # SIGSTOP the worker that has the ledger
    "wake",  # SIGCONT it
    "kill-pbx",
    "start-pbx",
    "freeze-pbx",
    "thaw-pbx",
    "cut",  # break the connections to Asterisk: `what` says how, see proxy.Fault
    "mend",
    "fill-disk",
    "free-disk",
    "receiver-down",
    "receiver-up",
    "wait",  # for `seconds`
    "recover",  # wait until the calls that were open have moved on
]
CUTS: Final = ("drop", "delay", "hold", "lose-requests", "lose-answers", "refuse")
TOOK: Final[dict[Action, float]] = {
    "spawn": 0.05,
    "stand-by": 0.5,
    "await-death": 2.0,
    "start-pbx": 0.9,
    "kill-pbx": 0.2,
    "recover": 1.6,
}
"""Seconds that an action takes, about; for the pace of the jobs."""


@dataclasses.dataclass(frozen=True)
class Op:
    """One thing to do."""

    action: Action
    seconds: float = 0.0
    what: str = ""
    nth: int = 1

    @property
    def estimate(self) -> float:
        """Seconds that it takes, about."""
        return self.seconds if self.action == "wait" else TOOK.get(self.action, 0.1)


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of everything."""

    seed: int
    calls: int
    worker_kills: int
    pbx_kills: int
    live: int = 500
    rate: float = 40.0
    """Jobs a second at most."""
    workers: int = 1
    """How many workers share the ledger: one works, the others stand by."""


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """A job as it is submitted."""

    id: str
    callee: Callee
    body: dict[str, Any]

    @property
    def retry(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.body.get("retry")
        return found


@dataclasses.dataclass(frozen=True)
class Plan:
    """A whole run."""

    size: Size
    jobs: tuple[PlannedJob, ...]
    ops: tuple[Op, ...]

    @property
    def seconds(self) -> float:
        """How long the faults take, about."""
        return sum(op.estimate for op in self.ops)

    def count(self, action: Action) -> int:
        return sum(op.action == action for op in self.ops)


def make_plan(size: Size) -> Plan:
    """The same seed and size always give the same plan."""
    ops = tuple(_ops(size, random.Random(f"faults/{size.seed}")))
    seconds = max(sum(op.estimate for op in ops), size.calls / size.rate)
    # So long that about `live` of them are on at the same time, and over soon after the last fault.
    each = size.live * seconds / max(1, size.calls) / ANSWERING
    length = min(LONGEST_CALL, max(SHORT_CALL, (each - SHORT * SHORT_CALL) / (1 - SHORT)))
    dice = random.Random(f"jobs/{size.seed}")
    jobs = []
    for number in range(size.calls):
        left = seconds * (1 - number / size.calls)
        jobs.append(_job(size.seed, number, min(length, left + LAST_CALL), dice))
    return Plan(size, tuple(jobs), ops)


def _job(seed: int, number: int, length: float, dice: random.Random) -> PlannedJob:
    callee = dice.choices(tuple(SHARES), tuple(SHARES.values()))[0]
    body: dict[str, Any] = {
        "id": f"chaos-{seed}-{number}",
        "to": f"{PREFIXES[callee]}{number:07d}",
        "template": "digits",
        "ring_timeout": RING_TIMEOUT,
        "expires_in": 1800,
    }
    digits, plays = 4, 1
    if dice.random() >= SHORT:
        digits = min(MOST_DIGITS, max(6, round(length / 9 / SECONDS_A_DIGIT)))
        plays = max(1, min(9, round(length / (digits * SECONDS_A_DIGIT))))
    body["code"] = "".join(dice.choices("0123456789", k=digits))
    body["plays"] = plays
    # A play that is interrupted begins anew, so only this bounds a call whose worker dies again and again.
    body["max_duration"] = plays * (digits * SECONDS_A_DIGIT + 1) + 3
    if dice.random() < RETRYING:
        body["retry"] = {"attempts": dice.choice((2, 3)), "delay": 1, "on": list(RETRIED)}
    return PlannedJob(body["id"], callee, body)


# ── faults ──


def _ops(size: Size, dice: random.Random) -> Iterator[Op]:
    """Scenes in random order, with exactly as many kills as were asked for."""
    yield from (Op("spawn") for _ in range(size.workers))
    yield Op("recover")
    scenes = list(_scenes(size, dice))
    dice.shuffle(scenes)
    # A bit of load before the first fault, and a receiver that is well again in the end.
    yield Op("wait", 1.0)
    down_at = {round(len(scenes) * part) for part in (0.25, 0.5)} if len(scenes) >= 10 else set[int]()
    for number, scene in enumerate(scenes):
        if number in down_at:
            yield from (Op("receiver-down"), Op("wait", dice.uniform(0.5, 1.5)), Op("receiver-up"))
        yield from scene
        yield Op("wait", dice.uniform(0.05, 0.9))


def _scenes(size: Size, dice: random.Random) -> Iterator[list[Op]]:
    kills, points = size.worker_kills, _in_turn(NAMED_POINTS, dice)
    troubles = _in_turn(
        ("freeze", "disk", *CUTS, *(("stall", "stall-cut") if size.workers > 1 else ())), dice
    )
    at_point = 2 if size.workers == 1 else 3
    # A point is passed about as often as jobs come; it must be reached before the patience ends.
    most = max(1, min(20, round(size.calls / max(1, size.worker_kills) / 3)))
    for number in range(size.pbx_kills):
        with_worker = kills > 0 and number % 5 in (1, 3)
        kills -= with_worker
        yield _pbx_dies(dice, with_worker=with_worker)
    for _ in range(max(1, size.worker_kills // 6)):
        with_worker = kills > 0 and dice.random() < 0.6
        scene = _trouble(next(troubles), dice, with_worker=with_worker)
        kills -= sum(op.action == "kill" for op in scene)
        yield scene
    while kills > 0:
        chance = dice.random()
        if kills >= at_point and chance < 0.6:
            kills -= at_point
            yield _dies_at(
                Op("spawn", what=next(points), nth=dice.randint(1, most)), stand_by=size.workers > 1
            )
        elif kills >= 2 and chance < 0.7:
            kills -= 2
            yield [*_dies(dice), Op("wait", dice.uniform(0.2, 1.4)), Op("kill"), Op("spawn"), Op("recover")]
        else:
            kills -= 1
            yield [*_dies(dice), Op("recover")]


def _in_turn(names: Sequence[str], dice: random.Random) -> Iterator[str]:
    """Each once in random order, again and again."""
    while True:
        yield from dice.sample(names, len(names))


def _dies(dice: random.Random) -> list[Op]:
    return [Op("kill"), Op("wait", dice.uniform(0, 0.3)), Op("spawn")]


def _dies_at(armed: Op, *, stand_by: bool) -> list[Op]:
    """A worker that kills itself at a point follows the one that works now."""
    if not stand_by:
        return [Op("kill"), armed, Op("await-death", 6.0), Op("spawn"), Op("recover")]
    # Whoever stands by takes over first, and it is that one's place that the armed one takes.
    first, second = [Op("kill"), armed, Op("recover"), Op("stand-by", 5.0)], [Op("kill"), Op("spawn")]
    return [*first, *second, Op("await-death", 6.0), Op("recover"), Op("spawn")]


def _pbx_dies(dice: random.Random, *, with_worker: bool) -> list[Op]:
    down = Op("wait", dice.uniform(0, 1.5))
    if not with_worker:
        return [Op("kill-pbx"), down, Op("start-pbx"), Op("recover")]
    back = [Op("spawn"), Op("start-pbx")]
    dice.shuffle(back)
    return [Op("kill-pbx"), down, Op("kill"), *back, Op("recover")]


def _trouble(kind: str, dice: random.Random, *, with_worker: bool) -> list[Op]:
    """Something other than a death, with a death in the middle of it or without."""
    hold = Op("wait", dice.uniform(0.4, 2.5))
    death = _dies(dice) if with_worker else []
    match kind:
        case "freeze":
            # Now and then longer than a ping waits, so that the connection is given up.
            hold = Op("wait", 9.0) if dice.random() < LONG_FREEZE else hold
            return [Op("freeze-pbx"), hold, *death, Op("thaw-pbx"), Op("recover")]
        case "stall":
            # Shorter than the lease: nothing happens. Longer: another has the ledger when it wakes.
            return [Op("stall"), Op("wait", dice.choice((1.0, 4.5))), Op("wake"), Op("recover")]
        case "stall-cut":
            # Both want to connect in the end, the one that slept and the one that took over.
            stalled = [Op("cut", what="refuse"), Op("stall"), Op("wait", 4.5)]
            return [*stalled, *dice.sample([Op("mend"), Op("wake")], 2), Op("recover")]
        case "disk":
            # What starts while the disk is full cannot open the ledger; its death comes before.
            return [Op("fill-disk"), hold, *death[:1], Op("free-disk"), *death[1:], Op("recover")]
        case _:
            return [Op("cut", what=kind), hold, *death, Op("mend"), Op("recover")]
