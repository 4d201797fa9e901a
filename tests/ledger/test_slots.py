"""The starts that workers share on one node: whose place is held, by whom, and for how long."""

from orchestrator.ledger.postgresql.slots import SPARE, Limits
from tests.fakes import EPOCH
from tests.ledger.test_many_workers import seated

NOW = EPOCH + 1


async def test_a_start_that_was_missed_is_booked_anew_in_its_own_place(url: str) -> None:
    limits = {"ast1": Limits(max_cps=1.0, max_calls=9)}
    async with seated(url, "w1", limits) as (one, _):
        missed = await one.book("ast1", "leg", NOW)
        again = await one.book("ast1", "leg", missed.at + 0.5)
        assert again.booked
        assert again.at >= missed.at + SPARE
