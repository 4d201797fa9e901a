"""Dead letters over HTTP: one's own, listed and sent again."""

from pathlib import Path
from typing import Any

from orchestrator.http.settings import Http
from tests.fakes import now
from tests.http.world import BUSY, World, world

KEYED = Http(keys="keys.json")


async def give_up_all(it: World) -> int:
    """Every notification that waits becomes a dead letter."""
    due = await it.ledger.due(now() + 1, 100, ())
    for delivery in due:
        it.ledger.dead(delivery.id, 10, "the receiver answered 500")
    return len(due)


async def test_an_application_lists_and_replays_its_own_letters(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        shop, bank = it.add_key("shop"), it.add_key("bank")
        for key, id_ in ((shop, "a"), (bank, "b")):
            await it.submit(key, id=id_)
            await it.call(BUSY)
        assert await give_up_all(it) == 6
        _, listed, _ = await it.ask("GET", "/v1/deadletters", shop)
        assert [(letter["job_id"], letter["sequence"]) for letter in listed["deadletters"]] == [
            ("a", 1),
            ("a", 2),
            ("a", 3),
        ]
        assert listed["deadletters"][0]["error"] == "the receiver answered 500"
        asked: dict[str, Any] = {"json": {"jobs": ["b"]}}
        assert (await it.ask("POST", "/v1/deadletters/replay", shop, **asked))[1] == {"replayed": 0}
        asked = {"json": {"all": True}}
        woken = it.woken
        assert (await it.ask("POST", "/v1/deadletters/replay", shop, **asked))[1] == {"replayed": 3}
        assert it.woken == woken + 1
        assert (await it.ask("GET", "/v1/deadletters", shop))[1] == {"deadletters": []}
        assert len((await it.ask("GET", "/v1/deadletters?limit=2", bank))[1]["deadletters"]) == 2
        asked = {"json": {"jobs": ["b"]}}
        assert (await it.ask("POST", "/v1/deadletters/replay", bank, **asked))[1] == {"replayed": 3}


async def test_without_keys_they_are_everybodys(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        await it.call(BUSY)
        await give_up_all(it)
        assert len((await it.ask("GET", "/v1/deadletters"))[1]["deadletters"]) == 3
        assert (await it.ask("POST", "/v1/deadletters/replay", json={"all": True}))[1] == {"replayed": 3}


async def test_a_limit_out_of_range_is_malformed(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for limit in ("0", "1001", "-1", "x", "", "1e3", "٣"):
            assert (await it.ask("GET", "/v1/deadletters", params={"limit": limit}))[0] == 400


async def test_a_replay_says_which(tmp_path: Path) -> None:
    wrong: list[Any] = [{}, {"jobs": ["a"], "all": True}, {"jobs": []}, {"job": "a"}, []]
    async with world(tmp_path) as it:
        for asked in wrong:
            assert (await it.ask("POST", "/v1/deadletters/replay", json=asked))[0] == 422
        told = {"Content-Type": "application/json"}
        assert (await it.ask("POST", "/v1/deadletters/replay", data=b"{", headers=told))[0] == 400
