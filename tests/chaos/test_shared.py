"""Three workers, two Asterisks, one PostgreSQL by a fixed seed: all of them die, and no law is broken."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.pace import most_in_a_second
from tests.chaos.shared import play
from tests.chaos.shared_plan import SharedSize, make_shared_plan
from tests.chaos.show import ZERO
from tests.postgres import programs
from tests.real.lab import LabUnavailableError

SIZE = SharedSize(
    seed=2, calls=110, worker_kills=2, worker_stops=1, postgresql_restarts=2, pbx_kills=1, live=40, wave=55
)


@pytest.mark.real
@pytest.mark.xdist_group("chaos")
def test_a_short_run_on_a_shared_ledger_breaks_no_law_and_no_limit(sipp: str, tmp_path: Path) -> None:
    try:
        programs()
    except RuntimeError as error:
        pytest.skip(f"NO POSTGRESQL HERE, so this was not tested:\n{error}")
    try:
        figures = asyncio.run(play(make_shared_plan(SIZE), tmp_path / "run"))
    except LabUnavailableError as error:
        pytest.skip(f"NO REAL ASTERISK HERE, so this was not tested:\n{error}")
    offences = json.loads((tmp_path / "run" / "offences.json").read_text())
    assert {law: ids for law, ids in offences.items() if ids} == {}
    assert {name: figures[name] for name in ZERO if figures[name]} == {}
    assert figures["settled"]
    killed = [figures[name] for name in ("worker_kills", "worker_stops", "postgresql_restarts", "pbx_kills")]
    assert (figures["calls"], killed) == (110, [2, 1, 2, 1])
    assert figures["rings"] >= 60, "hardly any phone rang, so nothing was shown"
    # How many rang in one second is for the long run to judge, on a quiet machine: what a busy one holds up
    # comes in a bunch.
    assert len(figures["cps_max"]) == 2
    assert not any(figures["worker_exit_codes"])


@given(st.integers(0, 10_000), st.integers(0, 30), st.integers(0, 8), st.integers(0, 6))
def test_a_plan_is_what_its_seed_and_numbers_say(
    seed: int, kills: int, restarts: int, pbx_kills: int
) -> None:
    size = SharedSize(seed, 40, kills, 2, restarts, pbx_kills)
    plan = make_shared_plan(size)
    assert plan == make_shared_plan(size)
    planned = [op.action for op in plan.ops]
    counts = [planned.count(action) for action in ("kill", "stop", "restart", "kill-pbx")]
    assert counts == [kills, 2, restarts, pbx_kills]
    assert len(plan.jobs) == 40
    assert all(0 <= op.which < 1 for op in plan.ops)


def test_the_most_in_a_second_is_counted_wherever_the_second_begins() -> None:
    assert most_in_a_second([]) == 0
    assert most_in_a_second([0.9, 1.1, 1.2, 1.95, 2.05]) == 4
    assert most_in_a_second([3.0, 1.0, 2.0]) == 1
