"""The dispatcher on virtual time: pace, room, urgency, several nodes, expiry, stop."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.call import events as ev
from orchestrator.dispatcher import Doorbell
from orchestrator.guard.seal import Seal
from orchestrator.ledger.records import Claimed, JobState
from orchestrator.ledger.sqlite import SqliteLedger
from tests.fakes import ANSWERS, EPOCH, RINGS, db_of, new_job, now, run, until
from tests.floor import Floor, floor, node
from tests.test_live import virtual


def ids(count: int) -> list[str]:
    return [f"job-{n}" for n in range(count)]


def most_in_a_second(times: Sequence[float]) -> int:
    return max(sum(start <= at < start + 1.0 for at in times) for start in times)


@virtual
async def test_calls_start_evenly_spaced_and_never_faster_than_the_nodes_pace() -> None:
    async with floor(node(max_cps=20.0, max_calls=1000)) as on:
        await on.submit(*(new_job(id) for id in ids(100)))
        await until(lambda: len(on.pbx.dials()) == 100)
        gaps = [later - earlier for earlier, later in pairwise(on.pbx.dialled_at)]
        assert min(gaps) >= 0.045 - 1e-6
        assert max(gaps) <= 0.055 + 1e-6
        assert most_in_a_second(on.pbx.dialled_at) <= 21


@virtual
async def test_a_fast_node_loses_no_starts_to_the_commits_of_its_claims() -> None:
    async with floor(node(max_cps=400.0, max_calls=1000)) as on:
        claim = on.ledger.claim

        async def slow(*arguments: Any, **named: Any) -> Claimed:
            await asyncio.sleep(0.02)
            return await claim(*arguments, **named)

        on.ledger.claim = slow  # type: ignore[method-assign]
        await on.submit(*(new_job(id) for id in ids(800)))
        await until(lambda: len(on.pbx.dials()) == 800)
        assert on.pbx.dialled_at[-1] - on.pbx.dialled_at[0] == pytest.approx(2.0, rel=0.02)
        assert most_in_a_second(on.pbx.dialled_at) <= 402


@virtual
async def test_two_jobs_after_a_quiet_time_do_not_go_together() -> None:
    async with floor(node(max_cps=2.0)) as on:
        await asyncio.sleep(30)
        await on.submit(new_job("a"), new_job("b"))
        await until(lambda: len(on.pbx.dials()) == 2)
        first, second = on.pbx.dialled_at
        assert second - first == pytest.approx(0.5, abs=0.06)


@virtual
async def test_a_node_never_has_more_calls_than_it_may_and_uses_what_is_freed_at_once() -> None:
    async with floor(node(max_calls=7, max_cps=1000.0)) as on:
        await on.submit(*(new_job(id) for id in ids(35)))
        await on.ended(*ids(35))
        assert on.pbx.most == 7
        # A call lasts 3.6 s; five rounds with nothing but a moment between them.
        assert now() - EPOCH < 5 * 3.6 + 1


@pytest.mark.parametrize("others", [[], ["x", "y"]], ids=["alone", "after other calls"])
@virtual
async def test_callbacks_take_no_more_lines_than_the_node_has(others: list[str]) -> None:
    lines = 6 + len(others)
    async with floor(node(max_calls=lines, max_cps=1000.0), far=(RINGS,)) as on:
        await on.submit(*(new_job(id) for id in others))
        await until(lambda: len(on.pbx.dials()) == len(others))
        second = ev.Second(number="+12025550100", ring_timeout=30.0)
        await on.submit(*(new_job(id, caller="+12025550112", second=second) for id in ids(9)))
        await asyncio.sleep(1)
        assert on.live.on_node("ast1") == lines


@virtual
async def test_lines_that_are_free_are_filled_by_few_claims() -> None:
    async with floor(node(max_calls=40, max_cps=1000.0), far=(RINGS,)) as on:
        claim, claimed = on.ledger.claim, list[int]()

        async def counted(*arguments: Any, **named: Any) -> Claimed:
            found = await claim(*arguments, **named)
            claimed.append(len(found.claims))
            return found

        on.ledger.claim = counted  # type: ignore[method-assign]
        await on.submit(*(new_job(id) for id in ids(60)))
        await until(lambda: len(on.pbx.dials()) == 40)
        assert claimed == [20, 20]  # the first might have been of callbacks


@virtual
async def test_the_most_urgent_is_dialled_first_then_the_longest_due() -> None:
    async with floor(node(max_cps=10.0), up=False) as on:
        await on.submit(
            new_job("late", not_before=EPOCH + 2),
            new_job("low", not_before=EPOCH + 1),
            new_job("high", priority=9, not_before=EPOCH + 3),
            new_job("mid", priority=5),
        )
        await asyncio.sleep(5)
        on.up()
        await on.ended("late", "low", "high", "mid")
        rows = db_of(on.ledger).execute("SELECT job_id FROM calls ORDER BY rowid")
        assert [row[0] for row in rows] == ["high", "mid", "low", "late"]


@virtual
async def test_a_job_is_dialled_at_its_not_before_and_no_sooner() -> None:
    async with floor() as on:
        await on.submit(new_job(not_before=EPOCH + 33.3))
        await on.ended()
        assert on.pbx.dialled_at[0] == pytest.approx(EPOCH + 33.3, abs=0.05)
        assert on.pbx.dialled_at[0] >= EPOCH + 33.3


@virtual
async def test_a_job_that_cannot_be_dialled_in_time_expires_and_is_told_once() -> None:
    async with floor(up=False) as on:
        await on.submit(new_job(expires_in=10))
        await on.ended()
        assert now() - EPOCH == pytest.approx(10, abs=0.1)
        assert (on.outcome(), on.types()) == ("expired", ["job.ended"])
        assert on.told()[0]["data"]["attempt"] == 0
        assert "call_id" not in on.told()[0]["data"]
        on.up()
        await asyncio.sleep(5)
        assert on.pbx.dials() == []


@virtual
async def test_many_jobs_that_expire_together_end_in_few_commits() -> None:
    async with floor(up=False) as on:
        await on.submit(*(new_job(id, expires_in=10) for id in ids(900)))
        await asyncio.sleep(9.9)
        commits = on.ledger._commits
        before = commits.commits  # type: ignore[attr-defined]
        await on.ended(*ids(900), within=2)
        assert commits.commits - before < 20  # type: ignore[attr-defined]


@virtual
async def test_a_queued_job_that_is_cancelled_ends_without_a_call() -> None:
    async with floor(up=False) as on:
        await on.submit(new_job())
        await on.ledger.request_cancel("job-1")
        on.wake()
        await on.ended(within=1)
        assert (on.outcome(), on.types()) == ("cancelled", ["job.ended"])


@virtual
async def test_several_nodes_share_the_queue_and_a_slow_one_pulls_less() -> None:
    async with floor(node("a", max_cps=30.0, max_calls=99), node("b", max_cps=10.0)) as on:
        await on.submit(*(new_job(id) for id in ids(80)))
        await on.ended(*ids(80))
        dialled = {name: len(pbx.dials()) for name, pbx in on.nodes.items()}
        assert sum(dialled.values()) == 80
        assert dialled["a"] == pytest.approx(60, abs=4)
        channels = [dial.channel for pbx in on.nodes.values() for dial in pbx.dials()]
        assert len(set(channels)) == 80


@virtual
async def test_a_node_that_is_not_ready_pulls_nothing_and_the_other_takes_its_share() -> None:
    async with floor(node("a"), node("b"), up=False) as on:
        on.up("b")
        await on.submit(*(new_job(id) for id in ids(10)))
        await on.ended(*ids(10))
        assert on.nodes["a"].requests == []


@virtual
async def test_a_job_goes_only_to_a_node_that_may_show_its_caller_id() -> None:
    a, b = node("a", caller_ids=("+15550100",)), node("b", caller_ids=("+15550101", "+15550102"))
    async with floor(a, b) as on:
        jobs = [new_job(f"job-{n}", caller_id="+15550102") for n in range(5)]
        await on.submit(*jobs, new_job("any"))
        await on.ended("any", *(job.id for job in jobs))
        shown = {name: {dial.caller_id for dial in pbx.dials()} for name, pbx in on.nodes.items()}
        assert shown["b"] >= {"+15550102"}
        assert shown["a"] <= {"+15550100"}


@virtual
async def test_a_callback_of_which_a_node_may_not_show_both_numbers_is_not_dialled() -> None:
    async with floor(node(caller_ids=("+15550100",))) as on:
        second = {"number": "+12025550100", "ring_timeout": 30.0, "caller_id": "+15550100"}
        fields: dict[str, Any] = {
            "kind": "callback",
            "caller": "+12025550111",
            "caller_from": "+15550101",
            "second": second,
        }
        await on.submit(new_job(caller_id="+15550100", **fields))
        await on.ended()
        assert on.outcome() == "failed"
        assert on.pbx.dials() == []


@virtual
async def test_a_job_whose_caller_id_nobody_may_show_holds_up_no_other() -> None:
    async with floor(node(caller_ids=("+15550100",))) as on:
        await on.submit(*(new_job(f"stuck-{n}", caller_id="+15559999") for n in range(50)), new_job())
        await on.ended(within=10)


@virtual
async def test_while_the_worker_says_no_nothing_is_claimed() -> None:
    async with floor() as on:
        on.allowed = False
        await on.submit(new_job())
        await asyncio.sleep(5)
        assert on.state() is JobState.QUEUED
        on.allowed = True
        await on.ended()


@virtual
async def test_a_job_that_another_key_sealed_ends_at_once_with_the_mend() -> None:
    async with floor() as on:
        foreign = Seal(b"x" * 32).seal("job-1", b"{}")
        await on.ledger.submit([new_job(sealed=foreign)])
        on.wake()
        await on.ended()
        assert on.outcome() == "failed"
        assert "key" in on.told()[-1]["data"]["reason"]
        assert on.pbx.dials() == []
        assert on.told()[-1]["data"]["attempts"] == 0


class Slow:
    """A ledger whose claims take their time, as on a full disk."""

    def __init__(self, ledger: SqliteLedger, seconds: float) -> None:
        self._claim = ledger.claim
        self.seconds = seconds

    async def __call__(self, *args: object, **kwargs: object) -> object:
        claimed = await self._claim(*args, **kwargs)  # type: ignore[arg-type]
        await asyncio.sleep(self.seconds if claimed.claims else 0)
        return claimed


def slow(on: Floor, seconds: float) -> Slow:
    made = Slow(on.ledger, seconds)
    on.ledger.claim = made  # type: ignore[method-assign, assignment]
    return made


@virtual
async def test_a_claim_that_came_after_the_expiry_is_never_dialled() -> None:
    async with floor() as on:
        slow(on, 15.0)
        await on.submit(new_job(expires_in=10))
        await on.ended()
        assert (on.outcome(), on.pbx.dials()) == ("expired", [])
        assert on.types() == ["job.ended"]


@virtual
async def test_a_claim_that_was_long_in_coming_is_made_again_with_fresh_timers() -> None:
    async with floor() as on:
        claims = slow(on, 50.0)
        await on.submit(new_job())
        await asyncio.sleep(1)
        claims.seconds = 0.0
        await on.ended()
        assert on.outcome() == "completed"
        assert len(on.pbx.dials()) == 1
        assert on.told()[-1]["data"]["attempts"] == 1


@virtual
async def test_stopping_dials_what_was_claimed_and_claims_no_more() -> None:
    async with floor(node(max_cps=200.0)) as on:
        slow(on, 0.5)
        await on.submit(*(new_job(id) for id in ids(50)))
        await asyncio.sleep(0.2)
        on.pulls["ast1"].stop()
        await on.tasks[1]
        states = [on.state(id) for id in ids(50)]
        dialled = len(on.pbx.dials())
        assert 0 < dialled < 50
        assert states.count(JobState.ACTIVE) == dialled
        assert states.count(JobState.QUEUED) == 50 - dialled


@virtual
async def test_a_node_that_goes_down_in_mid_claim_gives_the_job_to_another() -> None:
    async with floor(node("a"), node("b"), up=False) as on:
        on.up("a")
        slow(on, 0.5)
        await on.submit(new_job())
        await asyncio.sleep(0.2)
        on.nodes["a"].link(False)
        on.pulls["a"].ready = False
        on.up("b")
        await on.ended()
        assert on.outcome() == "completed"
        assert [len(pbx.dials()) for pbx in on.nodes.values()] == [1, 1]
        assert on.told()[-1]["data"]["attempts"] == 1


@virtual
async def test_a_full_node_is_not_asked_again_until_a_call_has_ended() -> None:
    async with floor(node(max_calls=1), far=(RINGS, ANSWERS)) as on:
        await on.submit(new_job("a"), new_job("b"))
        await asyncio.sleep(20)
        assert len(on.pbx.dials()) == 1
        await on.ended("a", "b")


def test_a_doorbell_rung_between_two_waits_is_heard() -> None:
    async def main() -> None:
        bell = Doorbell()
        seen = bell.count
        bell.ring()
        began = now()
        await bell.wait(seen, 60)
        assert now() == began
        await bell.wait(bell.count, 60)
        assert now() == began + 60

    run(main())
