"""Health and metrics, over a real listener on loopback."""

import socket
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from orchestrator.call.facts import Over
from orchestrator.call.outcome import Outcome
from orchestrator.http.health import ListenError, health_routes, listening
from orchestrator.meters import Meters


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def app_of(registry: CollectorRegistry, why: Callable[[], str | None]) -> web.Application:
    app = web.Application()
    app.add_routes(health_routes(registry, why))
    return app


async def get(path: str, why: Callable[[], str | None], registry: CollectorRegistry) -> tuple[int, str, str]:
    port = free_port()
    async with (
        listening(app_of(registry, why), f"127.0.0.1:{port}"),
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, answer.content_type, await answer.text()


async def test_alive_is_said_whatever_stands_in_the_way_of_calls() -> None:
    status, _, text = await get("/livez", lambda: "no PBX", CollectorRegistry())
    assert (status, text) == (200, '{"status":"ok"}')


async def test_ready_is_said_only_while_calls_can_be_made_and_why_not() -> None:
    assert (await get("/readyz", lambda: None, CollectorRegistry()))[0] == 200
    status, _, text = await get("/readyz", lambda: "ast1: not connected yet", CollectorRegistry())
    assert status == 503
    assert "ast1: not connected yet" in text


async def test_metrics_are_prometheus_text_and_name_no_number() -> None:
    meters = Meters()
    meters.dials.labels("ast1").inc()
    over = Over(1.0, Outcome.BUSY, "busy", 17, 486, 2.0, 0.0, 0, "callee", True)
    meters.ended("ast1", over)
    meters.count("delivered")
    meters.latency(0.01)
    status, kind, text = await get("/metrics", lambda: None, meters.registry)
    assert (status, kind) == (200, "text/plain")
    assert 'orchestrator_calls_total{outcome="busy",pbx="ast1"} 1.0' in text
    assert 'orchestrator_dials_total{pbx="ast1"} 1.0' in text
    assert 'orchestrator_deliveries_total{outcome="delivered"} 1.0' in text


async def test_an_unknown_path_is_not_found() -> None:
    assert (await get("/v1/jobs", lambda: None, CollectorRegistry()))[0] == 404


async def test_a_taken_port_is_told_with_the_mend() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port} cannot be used.*another port"):
            async with listening(app_of(CollectorRegistry(), lambda: None), f"127.0.0.1:{port}"):
                pass


@pytest.mark.parametrize("listen", ["8090", ":8090", "127.0.0.1:x", ""])
async def test_an_address_that_is_none_is_told(listen: str) -> None:
    with pytest.raises(ListenError, match=r"write it as 127\.0\.0\.1:8090"):
        async with listening(app_of(CollectorRegistry(), lambda: None), listen):
            pass


async def test_one_who_is_not_trusted_hears_no_reason() -> None:
    port = free_port()
    app = web.Application()
    app.add_routes(health_routes(CollectorRegistry(), lambda: "ast1 is down", lambda request: False))
    async with (
        listening(app, f"127.0.0.1:{port}"),
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        assert (answer.status, await answer.json()) == (503, {"status": "unavailable"})
