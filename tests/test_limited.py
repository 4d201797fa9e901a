"""Limits as the worker keeps them, on virtual time: who waits, who goes ahead, who ends as blocked."""

import asyncio
from itertools import pairwise

import pytest

from orchestrator.ledger.limits import CallLimits
from orchestrator.ledger.records import JobState
from tests.fakes import ANSWERS, BUSY, EPOCH, new_job, now, until
from tests.floor import Floor, floor, node
from tests.test_live import virtual

CALL = 3.6
"""Seconds that a call to a phone that answers lasts."""


def counted(on: Floor, metric: str, limit: str) -> float:
    found = on.meters.registry.get_sample_value(f"orchestrator_jobs_{metric}_total", {"limit": limit})
    return found or 0.0


@virtual
async def test_calls_to_one_number_follow_each_other_without_a_pause_and_nobody_else_waits() -> None:
    async with floor(limits=CallLimits(callee_calls=1)) as on:
        same = [new_job(f"same-{n}", to="+12025550100", priority=9) for n in range(4)]
        other = [new_job(f"other-{n}", to=f"+1202555011{n}") for n in range(4)]
        await on.submit(*same, *other)
        await on.ended(*(job.id for job in other))
        assert now() - EPOCH < CALL + 1
        await on.ended(*(job.id for job in same))
        assert now() - EPOCH < 4 * (CALL + 0.1)
        assert counted(on, "held", "callee_calls") >= 3
        to_same = [
            at
            for at, dial in zip(on.pbx.dialled_at, on.pbx.dials(), strict=True)
            if "2025550100" in str(dial)
        ]
        assert len(to_same) == 4
        assert all(later - earlier > CALL - 0.1 for earlier, later in pairwise(to_same))


@virtual
async def test_what_waits_for_a_limit_may_expire_and_be_cancelled() -> None:
    async with floor(limits=CallLimits(application_calls=1)) as on:
        await on.submit(
            new_job("first", application="shop", priority=9),
            new_job("short", application="shop", expires_in=2),
            new_job("unwanted", application="shop"),
        )
        await on.ledger.request_cancel("unwanted")
        on.wake()
        await on.ended("first", "short", "unwanted")
        assert [on.outcome(id) for id in ("first", "short", "unwanted")] == [
            "completed",
            "expired",
            "cancelled",
        ]
        assert len(on.pbx.dials()) == 1


@virtual
async def test_beyond_the_calls_of_an_hour_a_job_ends_as_blocked_and_says_so_once() -> None:
    async with floor(limits=CallLimits(callee_per_hour=2)) as on:
        await on.submit(*(new_job(f"job-{n}", priority=9 - n) for n in range(3)))
        await on.ended(*(f"job-{n}" for n in range(3)))
        assert [on.outcome(f"job-{n}") for n in range(3)] == ["completed", "completed", "blocked"]
        assert on.types("job-2") == ["job.ended"]
        told = on.told("job-2")[0]["data"]
        assert (told["outcome"], told["attempts"]) == ("blocked", 0)
        assert "callee_per_hour" in told["reason"]
        assert "2025550100" not in told["reason"]
        assert counted(on, "blocked", "callee_per_hour") == 1
        await asyncio.sleep(3600)
        await on.submit(new_job("later", now()))
        await on.ended("later")
        assert on.outcome("later") == "completed"


@virtual
async def test_a_retry_beyond_the_limit_ends_the_job_as_blocked_after_what_was_told_of_its_call() -> None:
    limits = CallLimits(callee_per_day=1)
    async with floor(far=[BUSY, ANSWERS], limits=limits) as on:
        await on.submit(new_job(retry={"attempts": 3, "delay": 5.0, "on": ["busy"]}))
        await on.ended()
        assert on.outcome() == "blocked"
        assert on.types() == ["call.dialing", "call.hangup", "job.ended"]
        assert on.told()[-1]["data"]["attempts"] == 1
        assert now() - EPOCH == pytest.approx(5.3, abs=0.3)


@virtual
async def test_very_many_that_wait_are_not_looked_at_again_and_again() -> None:
    async with floor(node(max_cps=1000.0), limits=CallLimits(application_calls=3)) as on:
        await on.submit(*(new_job(f"job-{n}", application="shop", expires_in=3000.0) for n in range(500)))
        await until(lambda: counted(on, "held", "application_calls") >= 497)
        before = counted(on, "held", "application_calls")
        await asyncio.sleep(60)
        assert counted(on, "held", "application_calls") - before < 4 * 500
        assert len(on.live) == 3
        done = sum(on.state(f"job-{n}") is JobState.ENDED for n in range(500))
        assert done >= 3 * int(60 / (CALL + 0.2))
