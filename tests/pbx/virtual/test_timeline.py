"""Time of the virtual switch."""

import asyncio

import pytest

from orchestrator.pbx.virtual.timeline import LoopTimeline, ManualTimeline


def test_manual_time_does_what_is_due_in_its_order_and_at_its_own_moment() -> None:
    timeline = ManualTimeline(100.0)
    seen: list[tuple[float, str]] = []
    timeline.at(103.0, lambda: seen.append((timeline.now(), "late")))
    timeline.at(101.0, lambda: seen.append((timeline.now(), "early")))
    timeline.at(101.0, lambda: timeline.soon(lambda: seen.append((timeline.now(), "after"))))
    timeline.advance(2.0)
    assert seen == [(101.0, "early"), (101.0, "after")]
    assert timeline.now() == 102.0
    timeline.advance(1.0)
    assert seen[2:] == [(103.0, "late")]


def test_what_is_cancelled_does_not_happen() -> None:
    timeline = ManualTimeline()
    timer = timeline.at(timeline.now() + 1, lambda: pytest.fail("it was cancelled"))
    timer.cancel()
    timeline.advance(2)


def test_manual_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        ManualTimeline().advance(-1)


async def test_loop_time_runs_as_fast_as_it_is_told() -> None:
    loop = asyncio.get_running_loop()
    timeline = LoopTimeline(loop, 1000.0, speed=500.0)
    done = asyncio.Event()
    timeline.at(1010.0, done.set)
    began = loop.time()
    async with asyncio.timeout(5):
        await done.wait()
    assert timeline.now() >= 1010.0
    assert loop.time() - began < 5


@pytest.mark.parametrize("speed", [0.0, -1.0, 1001.0])
async def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        LoopTimeline(asyncio.get_running_loop(), 0.0, speed=speed)
