"""The starts that workers share on one node: whose place is held, by whom, and for how long."""

import asyncio

from orchestrator.ledger.postgresql import slots
from orchestrator.ledger.postgresql.connection import connect
from orchestrator.ledger.postgresql.slots import LOST, SPARE, Limits
from tests.fakes import EPOCH, new_job
from tests.ledger.test_many_workers import SECOND, seated

NOW = EPOCH + 1


async def test_a_start_that_was_missed_is_booked_anew_in_its_own_place(url: str) -> None:
    limits = {"ast1": Limits(max_cps=1.0, max_calls=9)}
    async with seated(url, "w1", limits) as (one, _):
        missed = await one.book("ast1", "leg", NOW)
        again = await one.book("ast1", "leg", missed.at + 0.5)
        assert again.booked
        assert again.at >= missed.at + SPARE


async def test_of_a_slow_node_too_a_start_booked_ahead_keeps_its_place(url: str) -> None:
    limits = {"ast1": Limits(max_cps=0.1, max_calls=9)}
    async with seated(url, "w1", limits) as (one, _):
        await one.submit([new_job("a")])
        (first,) = (await one.claim("ast1", [], NOW, 1)).claims
        leg = await one.book("ast1", "leg", NOW)
        assert leg.at >= first.start_at + 10
        one.undial("a", first.call_id, NOW)
        await one.counts()
        assert (await one.claim("ast1", [], NOW + 1, 1)).claims == ()
        one.made("leg", leg.at)
        await one.counts()
        (claim,) = (await one.claim("ast1", [], leg.at + 20, 1)).claims
        assert claim.start_at >= leg.at + 10


async def test_claims_do_not_wait_for_a_worker_that_stands_still_while_it_confirms_old_starts(
    url: str,
) -> None:
    limits = {"ast1": Limits(max_cps=20.0, max_calls=9)}
    async with seated(url, "w1", limits) as (one, _), seated(url, "w2", limits) as (two, _):
        await one.submit([new_job(id) for id in "abc"])
        old = [(await one.claim("ast1", [], NOW + n, 1)).claims[0] for n in range(2)]
        db = await connect(url)
        try:
            async with db.transaction():
                await slots.made(db, [(old[0].call_id, NOW + LOST + 2)])
                async with asyncio.timeout(2):
                    assert len((await two.claim("ast1", [], NOW + LOST + 2, 1)).claims) == 1
        finally:
            await db.close()


async def test_callbacks_that_are_claimed_together_take_no_more_lines_than_the_node_has(url: str) -> None:
    limits = {"ast1": Limits(max_cps=1000.0, max_calls=5)}
    async with seated(url, "w1", limits) as (one, _):
        await one.submit([new_job(f"job-{n}", caller="+12025550112", second=SECOND) for n in range(9)])
        claims = [len((await one.claim("ast1", [], NOW + n, 9)).claims) for n in range(4)]
        assert claims == [2, 1, 0, 0]  # with one line left, one more is begun all the same
