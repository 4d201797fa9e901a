"""A plan is what its seed and its numbers say, to the last kill."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.job import examine
from tests.chaos.__main__ import share
from tests.chaos.plan import NAMED_POINTS, PREFIXES, Plan, Size, make_plan

sizes = st.builds(
    Size,
    seed=st.integers(0, 10_000),
    calls=st.integers(0, 300),
    worker_kills=st.integers(0, 60),
    pbx_kills=st.integers(0, 8),
    workers=st.sampled_from([1, 2]),
)


@given(sizes)
def test_the_same_seed_gives_the_same_plan_and_another_one_another(size: Size) -> None:
    assert make_plan(size) == make_plan(size)
    if size.calls > 20:
        other = Size(**{**vars(size), "seed": size.seed + 1})
        assert make_plan(other).jobs != make_plan(size).jobs


@given(sizes)
def test_there_are_exactly_as_many_kills_and_jobs_as_were_asked_for(size: Size) -> None:
    plan = make_plan(size)
    assert len(plan.jobs) == size.calls
    assert plan.count("kill-pbx") == plan.count("start-pbx") == size.pbx_kills
    assert plan.count("kill") + plan.count("await-death") == size.worker_kills


@given(sizes)
def test_whatever_is_broken_is_mended_again(size: Size) -> None:
    opens = {"freeze-pbx": "thaw-pbx", "cut": "mend", "fill-disk": "free-disk", "stall": "wake"}
    opens |= {"kill-pbx": "start-pbx", "receiver-down": "receiver-up"}
    broken = Counter[str]()
    for op in make_plan(size).ops:
        if op.action in opens:
            broken[opens[op.action]] += 1
        if op.action in opens.values():
            broken[op.action] -= 1
        assert all(count in (0, 1) for count in broken.values())
    assert not any(broken.values())


@given(sizes)
def test_there_are_always_as_many_workers_as_there_should_be_when_a_fault_is_over(size: Size) -> None:
    alive = 0
    for op in make_plan(size).ops:
        alive += (op.action == "spawn") - (op.action in ("kill", "await-death"))
        assert 0 <= alive <= size.workers + 1
    assert alive == size.workers


@given(st.integers(0, 100))
def test_every_job_is_one_that_the_intake_takes_and_every_callee_has_its_own_number(seed: int) -> None:
    plan = make_plan(Size(seed, 40, 4, 1))
    numbers = [job.body["to"] for job in plan.jobs]
    assert len(set(numbers)) == len(numbers)
    for job in plan.jobs:
        assert examine(json.dumps(job.body))[1] == []
        assert job.body["to"].startswith(PREFIXES[job.callee])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_long_run_comes_by_every_point_and_every_fault(workers: int) -> None:
    plan = make_plan(Size(1, 5000, 200, 20, workers=workers))
    assert {op.what for op in plan.ops if op.action == "spawn" and op.what} == set(NAMED_POINTS)
    assert {op.what for op in plan.ops if op.action == "cut"} >= {"drop", "hold", "lose-requests"}
    actions = {op.action for op in plan.ops}
    assert {"freeze-pbx", "fill-disk", "receiver-down"} <= actions
    assert plan.count("stall") > 0 or workers == 1
    assert plan.seconds < 720
    assert _shares(plan)["stays"] > 0.5


def _shares(plan: Plan) -> dict[str, float]:
    counts = Counter(job.callee for job in plan.jobs)
    return {callee: count / len(plan.jobs) for callee, count in counts.items()}


@given(st.integers(0, 1000), st.integers(1, 9))
def test_a_number_shared_out_among_seeds_is_whole_again(total: int, parts: int) -> None:
    shares = share(total, parts)
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
