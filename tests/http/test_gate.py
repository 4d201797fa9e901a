"""Who may come in, over a real listener: keys, what they allow, and how much."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from orchestrator.guard.keyfile import KeyFile, change_keys
from orchestrator.http.gate import Gate
from orchestrator.http.problems import Refusal
from orchestrator.http.settings import Http
from orchestrator.intake.accept import accept
from tests.fakes import now
from tests.http.world import BUSY, CALLER, lines_until, world

KEYED = Http(keys="keys.json")


async def test_with_keys_every_request_about_jobs_needs_one(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        key = it.add_key("shop")
        for wrong in (None, "", "ork_", key[:-1] + ("A" if key[-1] != "A" else "B"), "é", "ork_a_b"):
            status, problem, headers = await it.ask("GET", "/v1/jobs/a", wrong)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert problem["type"] == "/docs#problem-unauthorized"
        assert (await it.ask("GET", "/v1/jobs/a", headers={"Authorization": f"Basic {key}"}))[0] == 401
        assert (await it.ask("GET", "/v1/jobs/a", headers={"Authorization": f"bearer  {key}"}))[0] == 404
        assert (await it.submit(key))[0] == 202


async def test_keys_come_and_go_without_a_restart_and_several_are_valid_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        old, new = it.add_key("shop"), it.add_key("shop")
        await it.submit(old, id="a")
        assert (await it.ask("GET", "/v1/jobs/a", new))[0] == 200
        change_keys(it.keys_path, lambda known: known[1:])
        assert (await it.ask("GET", "/v1/jobs/a", old))[0] == 401
        assert (await it.ask("GET", "/v1/jobs/a", new))[0] == 200


async def test_a_key_that_has_expired_is_none(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        gone = it.add_key("shop", expires_at=datetime(2026, 1, 1, tzinfo=UTC))
        assert (await it.ask("GET", "/v1/jobs/a", gone))[0] == 401


async def test_no_key_is_ever_logged(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with world(tmp_path, KEYED) as it:
            key = it.add_key("shop")
            await it.submit(key)
            await it.submit(key + "x")
    assert key.rpartition("_")[2] not in str(logs)


async def test_an_application_sees_its_own_jobs_only(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        shop, bank = it.add_key("shop"), it.add_key("bank")
        await it.submit(shop, id="a")
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/recording")):
            assert (await it.ask(method, f"/v1/jobs/a{rest}", bank))[0] == 404
        assert (await it.ask("GET", "/v1/jobs/a", shop))[1]["cancel_requested"] is False


async def test_the_same_id_and_content_from_another_application_is_a_conflict(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        shop, bank = it.add_key("shop"), it.add_key("bank")
        assert (await it.submit(shop, id="a"))[0] == 202
        assert (await it.submit(bank, id="a"))[0] == 409
        assert (await it.submit(shop, id="a"))[0] == 200


async def test_jobs_that_came_in_another_way_are_nobodys(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        await it.ledger.submit(
            [accept(b'{"id":"a","to":"+12025550100","code":"493817"}', it.rules, now(), bytes(10))]
        )
        assert (await it.ask("GET", "/v1/jobs/a", it.add_key("shop")))[0] == 404


@pytest.mark.parametrize(
    ("may", "asked", "path"),
    [
        ({"kinds": ["notice"]}, {}, "$.kind"),
        ({"caller_ids": [CALLER]}, {}, "$.from"),
        ({"caller_ids": [CALLER]}, {"from": "+12025550198"}, "$.from"),
        ({"to_prefixes": ["+44", "+1303"]}, {}, "$.to"),
        ({"templates": ["greeting"]}, {}, "$.template"),
    ],
)
async def test_what_the_key_does_not_allow_is_forbidden_by_path(
    tmp_path: Path, may: dict[str, Any], asked: dict[str, Any], path: str
) -> None:
    async with world(tmp_path, KEYED) as it:
        status, problem, _ = await it.submit(it.add_key("shop", **may), id="a", **asked)
        assert status == 403
        assert [fault["path"] for fault in problem["errors"]] == [path]
        assert await it.ledger.summary("a") is None


async def test_what_the_key_allows_goes_through(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        key = it.add_key(
            "shop", kinds=["code"], caller_ids=[CALLER], to_prefixes=["+1"], templates=["code"], rate=100
        )
        assert (await it.submit(key, **{"from": CALLER}))[0] == 202


async def test_beyond_its_rate_a_key_is_told_when_to_come_again_and_others_are_not_held_up(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, KEYED) as it:
        slow, other = it.add_key("shop", rate=0.1), it.add_key("bank")
        assert (await it.submit(slow))[0] == 202
        status, problem, headers = await it.submit(slow)
        assert (status, problem["type"]) == (429, "/docs#problem-too-many")
        assert int(headers["Retry-After"]) in (9, 10)
        assert (await it.submit(other))[0] == 202


async def test_the_configurations_rate_is_for_keys_without_one(tmp_path: Path) -> None:
    async with world(tmp_path, Http(keys="keys.json", rate=0.1)) as it:
        usual, own = it.add_key("shop"), it.add_key("bank", rate=50)
        assert [(await it.submit(usual))[0] for _ in range(2)] == [202, 429]
        assert [(await it.submit(own))[0] for _ in range(2)] == [202, 202]


async def test_so_many_requests_of_a_key_at_once_and_so_many_in_all(tmp_path: Path) -> None:
    async with world(tmp_path, Http(keys="keys.json", max_requests=2)) as it:
        one, other, third = it.add_key("shop", concurrent=1), it.add_key("shop"), it.add_key("shop")
        await it.submit(one, id="a")
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {one}"}
        async with it.client.get(it.server.make_url("/v1/jobs/a/events"), headers=headers) as stream:
            await lines_until(stream.content, b"retry")
            assert (await it.ask("GET", "/v1/jobs/a", one))[0] == 429
            assert (await it.ask("GET", "/v1/jobs/a", other))[0] == 200
            headers["Authorization"] = f"Bearer {other}"
            async with it.client.get(it.server.make_url("/v1/jobs/a/events"), headers=headers) as second:
                await lines_until(second.content, b"retry")
                status, _, told = await it.ask("GET", "/v1/jobs/a", third)
                assert (status, told["Retry-After"]) == (503, "1")
            await it.call(BUSY)
            await stream.content.read()
        assert (await it.ask("GET", "/v1/jobs/a", one))[0] == 200


async def test_without_keys_a_page_that_reaches_us_by_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for evil in ("evil.example", "evil.example:8090", "10.0.0.1:80", "localhost.evil:1", ""):
            assert (await it.ask("GET", "/v1/jobs/a", headers={"Host": evil}))[0] == 403
        for good in ("localhost", "localhost:8090", "[::1]:8090", "[::1]", "127.0.0.1:1"):
            assert (await it.ask("GET", "/v1/jobs/a", headers={"Host": good}))[0] == 404


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("10.2.0.1", False), ("192.0.2.1", False)],
)
def test_metrics_are_for_loopback_named_networks_and_key_holders(
    tmp_path: Path, peer: str, trusted: bool
) -> None:
    path = tmp_path / "keys.json"
    gate = Gate(Http(keys="k", metrics_networks=("10.1.0.0/16",)), KeyFile(path), now, lambda: 0.0)
    request = make_mocked_request("GET", "/metrics").clone(remote=peer)
    assert gate.trusts(request) is trusted


def test_one_who_is_sent_away_takes_no_place(tmp_path: Path) -> None:
    gate = Gate(Http(max_requests=1), None, now, lambda: 0.0)
    with gate.passing(None):
        for _ in range(3):
            with pytest.raises(Refusal), gate.passing(None):
                pass
    with gate.passing(None):
        pass


async def test_a_name_that_stands_twice_is_no_way_past_what_a_key_allows(tmp_path: Path) -> None:
    async with world(tmp_path, KEYED) as it:
        key = it.add_key("shop", to_prefixes=["+44"])
        body = b'{"id": "a", "to": "+12025550100", "code": "493817", "plays": "x", "plays": 2}'
        json_body = {"Content-Type": "application/json"}
        assert (await it.ask("POST", "/v1/jobs", key, json_body, data=body))[0] in (403, 422)
        assert await it.ledger.summary("a") is None
