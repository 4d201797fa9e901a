"""Each intake on its real server with a real worker, both killed with -9 in the midst of work."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from orchestrator.intake.accept import Rules
from orchestrator.intake.options import Intake
from orchestrator.intake.redis_streams import RedisSource
from orchestrator.intake.source import IntakeDown
from tests.intake.endurance import CALLS, CODE, KINDS, endure, refuse_and_reply, trial
from tests.intake.house import House, job, make_rules, standing, until
from tests.intake.servers import missing, serving

pytestmark = pytest.mark.real
JOBS = 300


def need(kind: str) -> None:
    """With CI=true a server that is not there is a failure."""
    program = missing(kind)
    if program is not None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed")
    if program is not None:
        pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_job_is_lost_or_made_twice_and_what_is_to_be_told_comes_back(
    kind: str, tmp_path: Path
) -> None:
    need(kind)
    async with trial(kind, tmp_path, prefetch=20) as on:
        found = await endure(on, JOBS, rounds=2)
        assert (found.stored, found.lost, found.twice, found.dead, found.left) == (JOBS, 0, 0, 0, 0)
        assert found.worker_kills > 0
        assert found.server_kills > 0 or kind == "folder"
        letters, events = await refuse_and_reply(on, JOBS + 1)
    reasons = {reason.partition(":")[0].strip() for reason, _ in letters}
    assert reasons == {"$", "$.code", "job job-1 is known with other content; give the new job another id"}
    assert CODE not in str(reasons)
    assert b"{not json" in {body for _, body in letters}

    events.sort(key=lambda event: str(event["subject"]))  # stable: each job's in the order they came in
    told = {job: list(group) for job, group in groupby(events, lambda event: event["subject"])}
    assert len(told) == CALLS
    for group in told.values():
        assert [event["data"]["sequence"] for event in group] == list(range(1, len(group) + 1))
        assert [event["type"] for event in group][-1] == "job.ended"
        assert group[-1]["data"]["outcome"] == "completed"
    assert CODE not in json.dumps(events)
    assert CODE not in on.worker.log.read_text()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with standing(tmp_path, rules_of(tmp_path)) as house:
        yield house


def rules_of(folder: Path) -> Rules:
    return make_rules(folder / "sounds")


async def test_what_another_consumer_took_and_never_acknowledged_is_claimed(
    house: House, tmp_path: Path
) -> None:
    need("redis")
    with serving("redis", tmp_path / "server") as server:
        client = Redis.from_url(server.url, protocol=2)
        await client.xgroup_create("jobs", "orchestrator", id="0", mkstream=True)
        await client.xadd("jobs", {"job": job()})
        await client.xadd("jobs", {"other": "field"})
        await client.xreadgroup("orchestrator", "dead-worker", {"jobs": ">"})
        intake = Intake(name="q", kind="redis", url=server.url, jobs="jobs", redeliver_after=1)
        task = asyncio.create_task(RedisSource(intake, "w2").serve(house.desk(intake)))
        await until(lambda: house.counts.outcomes.get("accepted") == 1, 20)
        await until(lambda: house.counts.outcomes.get("refused") == 1)
        letters: Any = []
        while not letters:
            letters = await client.xrange("jobs:dead")
        assert [fields[b"reason"] for _, fields in letters] == [b"the message has no field `job`"]
        # Cancelled while it settles, where the library swallows that: it ends all the same.
        task.cancel()
        await asyncio.wait_for(asyncio.wait([task]), 10)
        await client.delete("jobs", "jobs:dead")
        await client.set("wrong", "not a stream")
        await client.xadd("jobs", {"job": b"{not json"})
        unfit = Intake(name="q", kind="redis", url=server.url, jobs="jobs", dead="wrong")
        with pytest.raises(IntakeDown, match="WRONGTYPE"):
            await RedisSource(unfit, "w2").serve(house.desk(unfit))
        assert await client.xlen("jobs") == 1  # what cannot be buried is not thrown away
        await client.aclose()
