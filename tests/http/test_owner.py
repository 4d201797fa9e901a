"""Whose job it is, and what its key says of its calls."""

from pathlib import Path

from orchestrator.http.settings import Http
from tests.fakes import now
from tests.http.world import CALLER, world

KEYED = Http(keys="keys.json")


async def test_a_job_has_with_it_how_many_calls_its_key_lets_live(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        shop, bank = it.add_key("shop", calls=2), it.add_key("bank")
        for id, key in (("a", shop), ("b", shop), ("c", shop), ("d", bank)):
            status, _, _ = await it.submit(key, id=id)
            assert status == 202
        claimed = await it.ledger.claim("ast1", (CALLER,), now(), 9)
        found = [(claim.job.id, claim.application, claim.application_calls) for claim in claimed.claims]
        assert found == [("a", "shop", 2), ("b", "shop", 2), ("d", "bank", None)]
        assert claimed.held == ("application_calls",)
        _, shown, _ = await it.ask("GET", "/v1/jobs/c", shop)
        assert shown["state"] == "queued"
        assert not {"application", "application_calls", "intake"} & set(shown["job"])
