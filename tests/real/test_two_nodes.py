"""Two Asterisks behind one worker: one freezes or dies, the other takes its calls until it is back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.lab import (
    LabInfo,
    freeze_lab,
    kill_lab,
    own_name,
    start_lab,
    start_lab_again,
    stop_lab,
    thaw_lab,
)
from tests.real.worker import House, worker_on

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("two nodes")]

BUSY = "+12025550101"
CPS = 10


@pytest.fixture(scope="module")
def second(lab: LabInfo) -> Iterator[LabInfo]:
    """Another lab, which a test may break."""
    name = own_name(f"second{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    yield start_lab(name)
    stop_lab(name)


def wait(house: House, what: str, condition: Callable[[], bool], seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come:\n{house.log}"
        time.sleep(0.05)


def jobs(house: House, count: int) -> list[str]:
    return house.submit([{"to": BUSY, "code": "493817"}] * count)


def dials(house: House, node: str) -> float:
    return house.metric("orchestrator_dials_total", pbx=node)


def taken(house: House, ids: list[str]) -> dict[str, int]:
    """How many of these jobs' calls each node made, by their records."""
    made = [record["pbx"] for record in house.receiver.cdrs() if record["job_id"] in set(ids)]
    return {node: made.count(node) for node in ("lab", "second")}


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_a_node_that_fails_gets_nothing_more_and_its_share_again_when_it_is_back(
    lab: LabInfo, second: LabInfo, tmp_path: Path, fault: str
) -> None:
    with worker_on(lab, tmp_path, second, max_cps=CPS) as house:
        wait(house, "the second node", lambda: house.metric("orchestrator_pbx_connected", pbx="second") == 1)
        both = jobs(house, 30)
        house.wait_ended(both)
        assert min(taken(house, both).values()) >= 10

        before = dials(house, "second")
        (freeze_lab if fault == "frozen" else kill_lab)(second.name)
        meanwhile = jobs(house, 60)
        down = "orchestrator_pbx_connected"
        wait(house, "the fault", lambda: house.metric(down, pbx="second") == 0)
        stranded = dials(house, "second") - before
        assert stranded <= 1.5 * CPS  # what was asked for until nothing had been answered for a second
        # All that the failed node had not been asked for yet is done by the other meanwhile.
        wait(house, "the other jobs", lambda: taken(house, meanwhile)["lab"] >= 60 - stranded)
        after = jobs(house, 30)
        house.wait_ended(after)
        assert taken(house, after) == {"lab": 30, "second": 0}
        assert house.metric("orchestrator_ready") == 1

        (thaw_lab if fault == "frozen" else start_lab_again)(second.name)
        wait(house, "the node again", lambda: house.metric(down, pbx="second") == 1)
        house.wait_ended(meanwhile)

        again = jobs(house, 60)
        house.wait_ended(again)
        assert taken(house, again)["second"] >= 10
        assert house.metric("orchestrator_node_breaker", pbx="second") == 0

        everything = [*both, *meanwhile, *after, *again]
        for job in everything:
            types = [event["type"] for event in house.receiver.of(job)]
            assert types.count("call.dialing") <= 1
            assert types.count("job.ended") == 1
        assert sum(taken(house, everything).values()) == len(everything)
        outcomes = [
            event["data"]["outcome"]
            for job in everything
            for event in house.receiver.of(job)
            if event["type"] == "job.ended"
        ]
        assert outcomes.count("busy") >= len(everything) - stranded
