"""Several nodes on virtual time: calls go by weight and health, and a node that does badly gets less."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from orchestrator.call import events as ev
from orchestrator.health.breaker import State
from orchestrator.ledger.intent import call_id
from orchestrator.ledger.records import JobState
from orchestrator.pbx.errors import PbxUnreachable
from tests.fakes import BUSY, EPOCH, SILENT, Far, db_of, new_job, now, until
from tests.floor import Floor, floor, node
from tests.test_live import virtual

QUICK: Far = ((0.01, ev.Accepted()), (0.1, ev.Ringing()), (0.2, ev.Ended(17, 486)))
OVERLOADED: Far = ((0.01, ev.Refused(503, "Service Unavailable")),)
BROKEN: Far = ((0.01, ev.Refused(500, "Allocation failed")),)
TIMES_OUT: Far = ((5.0, ev.OriginateLost("unconfirmed")),)
ANSWERED: Far = ((0.01, ev.Accepted()), (0.1, ev.Ringing()), (0.1, ev.Answered()), (0.2, ev.Ended(16)))


async def trickle(on: Floor, count: int, start: int = 0) -> list[str]:
    """Submit jobs one after another, about twenty a second."""
    ids = [f"job-{start + n}" for n in range(count)]
    for id in ids:
        await on.submit(new_job(id, now()))
        await asyncio.sleep(0.05)
    return ids


def counts(on: Floor, since: float = EPOCH) -> dict[str, int]:
    return {name: sum(at >= since for at in pbx.dialled_at) for name, pbx in on.nodes.items()}


def longest_wait(on: Floor) -> float:
    """How long the job that waited longest for its call did."""
    query = "SELECT id, created_at FROM jobs"
    asked: dict[str, float] = {call_id(job, 1): at for job, at in db_of(on.ledger).execute(query)}
    nodes = on.nodes.values()
    dialled = (
        (dial.channel, at) for pbx in nodes for dial, at in zip(pbx.dials(), pbx.dialled_at, strict=True)
    )
    return max(at - asked[channel] for channel, at in dialled)


@virtual
async def test_calls_go_by_weight_while_both_nodes_have_room() -> None:
    async with floor(node("a", weight=3.0), node("b"), far=(QUICK,)) as on:
        await on.ended(*await trickle(on, 200))
        assert counts(on) == {"a": pytest.approx(150, abs=5), "b": pytest.approx(50, abs=5)}
        assert longest_wait(on) < 0.06


@virtual
async def test_several_nodes_of_one_weight_take_turns() -> None:
    async with floor(node("a"), node("b"), node("c"), far=(QUICK,)) as on:
        await on.ended(*await trickle(on, 90))
        assert all(count == pytest.approx(30, abs=3) for count in counts(on).values())


@virtual
async def test_a_heavy_node_without_room_holds_up_nobody() -> None:
    async with floor(node("a", weight=100.0, max_calls=1), node("b"), far=(BUSY,)) as on:
        await on.submit(*(new_job(f"job-{n}") for n in range(20)))
        await until(lambda: sum(counts(on).values()) == 20)
        assert now() - EPOCH < 0.5
        assert counts(on)["a"] <= 3


@virtual
async def test_when_there_is_more_than_enough_both_nodes_work_at_their_full_pace() -> None:
    async with floor(node("a", weight=9.0, max_cps=20.0), node("b", max_cps=20.0), far=(QUICK,)) as on:
        await on.submit(*(new_job(f"job-{n}") for n in range(200)))
        await until(lambda: sum(counts(on).values()) == 200)
        assert now() - EPOCH == pytest.approx(5.0, abs=0.3)


@virtual
async def test_a_node_alone_takes_all_whatever_its_weight() -> None:
    async with floor(node("a", weight=0.01), node("b", weight=100.0), up=False, far=(QUICK,)) as on:
        on.up("a")
        await on.ended(*await trickle(on, 40))
        assert counts(on) == {"a": 40, "b": 0}
        assert longest_wait(on) < 0.06


@virtual
async def test_a_job_that_only_the_light_node_may_show_waits_for_no_heavier_one() -> None:
    a, b = node("a", weight=50.0), node("b", caller_ids=("+15550102",))
    async with floor(a, b, far=(QUICK,)) as on:
        await asyncio.sleep(3)
        asked = now()
        await on.submit(new_job("job-1", caller_id="+15550102"))
        await on.ended("job-1")
        assert counts(on) == {"a": 0, "b": 1}
        assert on.nodes["b"].dialled_at[0] - asked < 0.05


@virtual
async def test_a_node_that_was_away_takes_its_share_again_and_not_all() -> None:
    async with floor(node("a"), node("b"), far=(QUICK,)) as on:
        on.pulls["b"].ready = False
        on.nodes["b"].link(False)
        await on.ended(*await trickle(on, 100))
        assert counts(on) == {"a": 100, "b": 0}
        on.up("b")
        back = now()
        await on.ended(*await trickle(on, 100, start=100))
        after = counts(on, back)
        assert after["a"] + after["b"] == 100
        assert after["b"] == pytest.approx(55, abs=6)  # its half, and what credit it had


@virtual
async def test_a_node_whose_pbx_fails_gets_nothing_is_asked_tried_and_trusted_again() -> None:
    async with floor(node("a"), node("b"), far=(QUICK,)) as on:
        a, health = on.nodes["a"], on.fleet.node("a")
        asked: list[float] = []

        async def missing(sounds: Sequence[str]) -> Sequence[str]:
            asked.append(now())
            if len(asked) < 3:
                raise PbxUnreachable("pbx a: no answer")
            return ()

        on.pulls["a"].checked = {"en/digits/4", "en/digits/9"}
        on.pulls["a"]._missing = missing
        a.far = [*[BROKEN] * 5, QUICK]
        with capture_logs() as log:
            await trickle(on, 20)
            opened = EPOCH + next(at - EPOCH for at in a.dialled_at[4:])
            assert health.breaker.state is State.OPEN
            assert len(a.dials()) == 5
            # 1 s, then 2 s, then 4 s: two looks fail, the third one is answered.
            await trickle(on, 200, start=20)
            assert [at - opened for at in asked] == pytest.approx([1.0, 3.0, 7.0], abs=0.1)
            assert all(not opened + 0.02 < at < asked[-1] for at in a.dialled_at)
            await until(lambda: health.breaker.state is State.CLOSED)
            await asyncio.sleep(20)  # its pace is full again
            back = now()
            await trickle(on, 100, start=220)
            await on.ended(*(f"job-{n}" for n in range(320)))
            assert counts(on, back)["a"] == pytest.approx(50, abs=6)
        events = [line["event"] for line in log if line.get("pbx") == "a"]
        assert [event for event in events if event.startswith("pbx_breaker")] == [
            *["pbx_breaker_open"] * 3,
            "pbx_breaker_half_open",
            "pbx_breaker_closed",
        ]
        assert events[-1] == "pbx_full_pace"
        assert "5 originates in a row failed, the last: refused with 500" in log[0]["reason"]
        failed = [id for id in (f"job-{n}" for n in range(320)) if on.outcome(id) != "busy"]
        assert len(failed) == 5


@virtual
async def test_while_it_is_tried_a_node_has_one_call_on_its_way_at_a_time() -> None:
    slow: Far = ((1.0, ev.Accepted()), (0.1, ev.Ended(17, 486)))
    async with floor(node("a"), far=(*[BROKEN] * 5, slow)) as on:
        await on.submit(*(new_job(f"job-{n}", expires_in=600) for n in range(20)))
        await until(lambda: len(on.pbx.dials()) == 8)
        trial = on.pbx.dialled_at[5:8]
        assert [later - earlier for earlier, later in pairwise(trial)] == pytest.approx([1.0, 1.0], abs=0.1)
        await on.ended(*(f"job-{n}" for n in range(20)))
        assert [on.outcome(f"job-{n}") for n in range(20)].count("busy") == 15


@virtual
async def test_jobs_that_a_failing_node_had_claimed_go_to_the_other_at_once() -> None:
    async with floor(node("a", weight=100.0, max_cps=1000.0), node("b", max_cps=1000.0), far=(QUICK,)) as on:
        on.nodes["a"].far = [((0.001, ev.Refused(500, "Allocation failed")),)]
        asked = now()
        await on.submit(*(new_job(f"job-{n}") for n in range(40)))
        await until(lambda: sum(counts(on).values()) == 40)
        assert now() - asked < 0.3
        assert counts(on)["a"] < 10


@virtual
async def test_a_node_that_was_slowed_down_claims_no_more_than_it_can_start() -> None:
    async with floor(node("a", weight=100.0, max_cps=1000.0), node("b", max_cps=1000.0), far=(QUICK,)) as on:
        await asyncio.sleep(20)
        for n in range(5):
            assert on.fleet.node("a").pace.cut(now() - 10 + 2 * n)
        asked = now()
        await on.submit(*(new_job(f"job-{n}", now()) for n in range(40)))
        await until(lambda: sum(counts(on).values()) == 40)
        assert now() - asked < 0.2


@virtual
async def test_a_node_that_stalls_is_asked_for_a_second_only_and_the_other_takes_the_rest() -> None:
    async with floor(node("a", max_cps=20.0), node("b", max_cps=20.0), far=(QUICK,)) as on:
        on.nodes["a"].far = [SILENT]
        await trickle(on, 100)
        assert len(on.nodes["a"].dials()) <= 21
        ended = [on.state(f"job-{n}") for n in range(100)].count(JobState.ENDED)
        assert ended + len(on.nodes["a"].dials()) >= 95
        assert max(on.nodes["a"].dialled_at) < EPOCH + 1.2


@virtual
async def test_originates_that_time_out_open_the_breaker() -> None:
    async with floor(node("a", max_cps=20.0), node("b"), far=(QUICK,)) as on:
        on.nodes["a"].far = [TIMES_OUT]
        await trickle(on, 150)
        assert on.fleet.node("a").breaker.state is not State.CLOSED
        assert "no answer in time" in on.fleet.node("a").breaker.reason
        assert len(on.nodes["a"].dials()) <= 21


@virtual
async def test_the_pace_halves_when_the_pbx_says_503_and_climbs_again_and_no_job_is_dialled_faster() -> None:
    async with floor(node(max_cps=20.0, max_calls=1000), far=(QUICK,)) as on:
        on.pbx.far = [*[QUICK] * 20, OVERLOADED, QUICK]
        with capture_logs() as log:
            await on.submit(*(new_job(f"job-{n}", expires_in=600) for n in range(400)))
            await until(lambda: len(on.pbx.dials()) == 400)
        times = on.pbx.dialled_at
        cut = times[20] + 0.01

        def rate(start: float, seconds: float = 1.0) -> float:
            return sum(cut + start <= at < cut + start + seconds for at in times) / seconds

        assert rate(-1.0) == pytest.approx(20, abs=1)
        assert rate(0.1) == pytest.approx(10, abs=1)
        assert rate(6.5) == pytest.approx(15, abs=1)
        assert rate(13.0, 4.0) == pytest.approx(20, abs=0.5)
        said = [(line["event"], line.get("cps"), line.get("reason")) for line in log if "cps" in line]
        assert said == [("pbx_slowed", 10.0, "it refuses calls with 503"), ("pbx_full_pace", 20.0, None)]


@virtual
async def test_a_node_that_answers_slowly_is_asked_less() -> None:
    slow: Far = ((1.5, ev.Accepted()), (0.1, ev.Ended(17, 486)))
    async with floor(node(max_cps=20.0, max_calls=1000), far=(slow,)) as on:
        await on.submit(*(new_job(f"job-{n}", expires_in=600) for n in range(200)))
        await asyncio.sleep(15)
        assert on.fleet.node("ast1").pace.rate(now()) < 5.0
        assert on.meters.registry.get_sample_value("orchestrator_node_cps", {"pbx": "ast1"}) < 6.0  # type: ignore[operator]


@virtual
async def test_a_node_whose_calls_are_answered_no_more_gets_less_says_why_and_gets_its_share_back() -> None:
    async with floor(node("a"), node("b"), far=(ANSWERED,)) as on:
        ids = await trickle(on, 400)
        on.nodes["a"].far = [BUSY]
        with capture_logs() as log:
            ids += await trickle(on, 140, start=400)
            began = now()
            ids += await trickle(on, 200, start=540)
            assert counts(on, began)["a"] < 40
            began = now()
            await on.submit(*(new_job(f"more-{n}", began) for n in range(200)))
            await until(lambda: sum(counts(on, began).values()) == 200)
            assert counts(on, began)["a"] < 60  # though there was enough for both
            on.nodes["a"].far = [ANSWERED]
            ids += await trickle(on, 500, start=740)
            began = now()
            ids += await trickle(on, 100, start=1240)
            assert counts(on, began)["a"] == pytest.approx(50, abs=10)
        await on.ended(*ids)
        said = [line for line in log if line.get("pbx") == "a"]
        assert [line["event"] for line in said] == ["pbx_degraded", "pbx_recovered"]
        assert said[0]["reason"].startswith("it answers ")
        assert said[0]["reason"].endswith("; the other nodes do not show it")
        assert on.fleet.node("a").breaker.state is State.CLOSED


@virtual
async def test_a_node_alone_whose_calls_are_answered_no_more_goes_on_at_its_pace() -> None:
    async with floor(node(max_cps=20.0, max_calls=1000), far=(ANSWERED,)) as on:
        await trickle(on, 300)
        on.pbx.far = [BUSY]
        with capture_logs() as log:
            await trickle(on, 100, start=300)
        assert [line["event"] for line in log] == ["pbx_degraded"]
        began = now()
        await on.submit(*(new_job(f"late-{n}") for n in range(40)))
        await on.ended(*(f"late-{n}" for n in range(40)))
        assert now() - began == pytest.approx(2.2, abs=0.3)


@virtual
async def test_the_gauges_tell_health_breaker_and_pace_of_each_node() -> None:
    async with floor(node("a", max_cps=20.0), node("b"), far=(QUICK,)) as on:
        on.nodes["a"].far = [BROKEN]
        await trickle(on, 20)
        await asyncio.sleep(1.5)

        def gauge(name: str, pbx: str) -> float | None:
            return on.meters.registry.get_sample_value(f"orchestrator_node_{name}", {"pbx": pbx})

        assert [gauge(name, "b") for name in ("health", "breaker", "cps")] == [1.0, 0.0, 100.0]
        assert gauge("health", "a") in (0.0, 0.1)
        assert gauge("breaker", "a") in (1.0, 2.0)
        answered = on.meters.registry.get_sample_value("orchestrator_originate_seconds_count", {"pbx": "a"})
        assert answered == len(on.nodes["a"].dials())
