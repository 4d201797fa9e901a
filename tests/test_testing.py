"""The virtual PBX for other people's tests."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import aiohttp
import pytest

from orchestrator.testing import Callee, Faults, VirtualPbxThread, settings_with, virtual_pbx_with

pytest_plugins = ["pytester"]


def ask(url: str, method: str = "GET", **body: object) -> Any:
    """A request of ARI."""
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{url}?api_key=orchestrator:virtual",
        json.dumps(body).encode() if body else None,
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text = answer.read()
        return json.loads(text) if text else None


def test_the_fixture_serves_a_plain_test(virtual_pbx: VirtualPbxThread) -> None:
    made = ask(
        f"{virtual_pbx.ari_url}/channels/c1",
        "POST",
        endpoint="PJSIP/12025550102@lab",
        extension="1",
        timeout=600,
    )
    assert made["id"] == "c1"
    assert virtual_pbx.calls() == ["c1"]
    virtual_pbx.hang_up("c1")
    assert virtual_pbx.calls() == []
    with pytest.raises(KeyError):
        virtual_pbx.heard("c1")
    with pytest.raises(KeyError):
        virtual_pbx.press("c1", "1")
    virtual_pbx.set_faults(error_rate=1.0)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        ask(f"{virtual_pbx.ari_url}/channels")
    virtual_pbx.restart()
    assert virtual_pbx.drop() == 0
    with urllib.request.urlopen(virtual_pbx.control_url, timeout=10) as answer:  # noqa: S310
        assert json.load(answer)["faults"]["error_rate"] == 1.0


def test_its_thread_ends_with_it() -> None:
    before = threading.active_count()
    with VirtualPbxThread(settings_with()) as pbx:
        assert ask(f"{pbx.ari_url}/asterisk/ping")["ping"] == "pong"
    assert threading.active_count() == before


def test_an_address_that_is_taken_is_told() -> None:
    with VirtualPbxThread(settings_with()) as first:
        port = first.do(lambda pbx: pbx.ari_address)
        with pytest.raises(OSError, match="in use"), VirtualPbxThread(settings_with(ari=port)):
            pytest.fail("two cannot listen on one port")


async def test_an_asyncio_program_has_it_on_its_own_loop() -> None:
    own = {"1": Callee(cause=17)}
    async with (
        virtual_pbx_with(faults=Faults(max_calls=1), callees=own) as pbx,
        aiohttp.ClientSession() as http,
        http.get(f"{pbx.ari_url}/channels?api_key=orchestrator:virtual") as answer,
    ):
        assert await answer.json() == []
        assert pbx.dice.faults.max_calls == 1


def test_pytest_has_the_fixture_without_an_import(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(virtual_pbx):
            assert virtual_pbx.ari_url.startswith("http://127.0.0.1:")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
