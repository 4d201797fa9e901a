"""Clients that send too slowly or too much, over a bare socket; and a ledger that never answers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.http import body, door, front, health
from tests.http.test_health import free_port
from tests.http.world import World, job, world


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def served(it: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """As the worker serves it, and a connection to that."""
    port = free_port()
    async with health.listening(front.app_of(it.front), f"127.0.0.1:{port}"), connected(port) as streams:
        yield streams


HEAD = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 50\r\n\r\n"
)


async def test_a_body_that_does_not_come_in_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT", 0.02)
    async with world(tmp_path) as it, connected(it.server.port or 0) as (reader, writer):
        writer.write(HEAD + b'{"to"')
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_does_not_come_in_time_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "IDLE_TIMEOUT", 0.05)
    async with world(tmp_path) as it, served(it) as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: loc")
        assert await reader.read() == b""


async def test_a_head_that_is_too_long_is_refused_and_nothing_of_it_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as it, served(it) as (reader, writer):
        secret = b"ork_" + b"x" * 20_000
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + secret + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
    assert "xxxx" not in caplog.text


async def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing_behind(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        async with connected(it.server.port or 0) as (_, writer):
            writer.write(HEAD + b'{"to"')
            await writer.drain()
        assert (await it.submit(id="a"))[0] == 202
        assert (await it.ledger.counts())["jobs_queued"] == 1


async def test_a_job_that_comes_in_the_moment_when_all_judges_have_just_finished_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "THREADS", 1)
    async with world(tmp_path) as it, asyncio.timeout(10):
        way = door.Door(it.ledger, it.front.rules, it.front.clock, lambda: None)
        first = asyncio.create_task(way.take(json.dumps(job(id="a")).encode(), None))
        await asyncio.sleep(0)
        judged = way._unjudged[0].became

        async def at_that_moment() -> str:
            await judged
            return (await way.take(json.dumps(job(id="b")).encode(), None))[1]

        assert [await at_that_moment(), (await first)[1]] == ["new", "new"]
        await way.close()


async def test_a_ledger_that_never_answers_ends_in_a_503_and_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "REQUEST_TIMEOUT", 0.05)
    monkeypatch.setattr(door, "CLOSING", 0.01)

    async def never(jobs: object) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(20), world(tmp_path) as it:
        it.ledger.submit = never  # type: ignore[assignment,method-assign]
        status, problem, headers = await it.submit(id="a")
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "same id" in problem["detail"]
