"""A job's events: the same that its receiver gets, as a list and live."""

import asyncio
import contextlib
import json
import socket
import sqlite3
from pathlib import Path

import aiohttp

from orchestrator.guard.keyfile import change_keys
from orchestrator.http.settings import Http
from orchestrator.http.streams import Pace
from orchestrator.sweeper import end_job
from tests.fakes import now
from tests.http.world import BUSY, RECEIVER, RINGING, World, lines_until, world

LIVE = {"Accept": "text/event-stream"}
QUICK = Pace(heartbeat=0.01, look=60.0, slow=0.2)


def sent(it: World, job_id: str) -> list[object]:
    """What the outbox holds for the receiver."""
    with contextlib.closing(sqlite3.connect(it.folder / "ledger.db")) as db:
        rows = db.execute("SELECT body FROM outbox WHERE lane = ? ORDER BY sequence", (job_id,))
        return [json.loads(row[0]) for row in rows]


async def test_the_events_are_those_that_the_receiver_gets_retries_included(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a", retry={"attempts": 2, "delay": 0, "on": ["busy"]}, expires_in=600)
        await it.call(BUSY)
        await it.call()
        _, events, _ = await it.ask("GET", "/v1/jobs/a/events")
        assert [event["type"] for event in events] == [
            "call.dialing", "call.hangup",
            "call.dialing", "call.ringing", "call.answered", "call.hangup", "job.ended",
        ]  # fmt: skip
        assert events == sent(it, "a")


async def test_types_that_the_job_left_out_are_left_out_here_too_so_that_the_numbers_agree(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a", notify={"events": ["call.answered"]})
        await it.call()
        _, events, _ = await it.ask("GET", "/v1/jobs/a/events")
        assert [(event["type"], event["data"]["sequence"]) for event in events] == [
            ("call.answered", 1),
            ("job.ended", 2),
        ]
        assert events == sent(it, "a")


async def test_a_job_that_ended_between_two_calls_has_the_verdict_of_no_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a", retry={"attempts": 3, "delay": 60, "on": ["busy"]}, expires_in=600)
        await it.call(BUSY)
        await it.ask("DELETE", "/v1/jobs/a")
        await end_job(it.ledger, "a", "cancelled", "on request", now(), RECEIVER, "w1")
        _, events, _ = await it.ask("GET", "/v1/jobs/a/events")
        assert "call_id" not in events[-1]["data"]
        assert events == sent(it, "a")


async def test_there_are_events_without_any_receiver(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.live._notify_url = None
        await it.submit(id="a")
        await it.call()
        assert sent(it, "a") == []
        _, events, _ = await it.ask("GET", "/v1/jobs/a/events")
        assert len(events) == 5


async def test_a_stream_tells_each_event_as_it_happens_and_ends_with_the_job(tmp_path: Path) -> None:
    async with world(tmp_path, pace=Pace(look=60.0)) as it:
        await it.submit(id="a")
        async with it.client.get(it.server.make_url("/v1/jobs/a/events"), headers=LIVE) as stream:
            assert stream.content_type == "text/event-stream"
            assert await lines_until(stream.content, b"retry") == [b"retry: 1000\n"]
            await it.start(RINGING)
            got = await lines_until(stream.content, b"event: call.ringing")
            assert b"id: 2\n" in got
            assert len(it.watching) == 1
            it.live.cancel("a")
            got = await lines_until(stream.content, b"event: job.ended")
            data = json.loads((await stream.content.readline()).removeprefix(b"data: "))
            assert data["data"]["outcome"] == "cancelled"
            assert await stream.content.read() == b"\n"
        assert len(it.watching) == 0


async def test_a_stream_goes_on_after_the_last_event_seen_and_then_stays_away(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        await it.call()
        url = it.server.make_url("/v1/jobs/a/events")
        async with it.client.get(url, headers={**LIVE, "Last-Event-ID": "4"}) as stream:
            ids = [line for line in (await stream.read()).splitlines() if line.startswith(b"id:")]
            assert ids == [b"id: 5"]
        async with it.client.get(url, headers={**LIVE, "Last-Event-ID": "5"}) as stream:
            assert stream.status == 204
        status, _, _ = await it.ask("GET", "/v1/jobs/a/events", headers={**LIVE, "Last-Event-ID": "x"})
        assert status == 400


async def test_without_a_stream_too_only_what_came_after_the_last_event_seen_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        await it.call()
        _, events, _ = await it.ask("GET", "/v1/jobs/a/events", headers={"Last-Event-ID": "3"})
        assert [event["data"]["sequence"] for event in events] == [4, 5]
        status, _, _ = await it.ask("GET", "/v1/jobs/a/events", headers={"Last-Event-ID": "-1"})
        assert status == 400


async def test_a_stream_without_news_shows_that_it_lives(tmp_path: Path) -> None:
    async with world(tmp_path, pace=QUICK) as it:
        await it.submit(id="a")
        async with it.client.get(it.server.make_url("/v1/jobs/a/events"), headers=LIVE) as stream:
            for _ in range(3):
                await lines_until(stream.content, b": still here")


async def test_what_another_process_wrote_is_found_by_looking(tmp_path: Path) -> None:
    async with world(tmp_path, pace=Pace(look=0.01)) as it:
        await it.submit(id="a")
        async with it.client.get(it.server.make_url("/v1/jobs/a/events"), headers=LIVE) as stream:
            await lines_until(stream.content, b"retry")
            await end_job(it.ledger, "a", "cancelled", "on request", now(), RECEIVER, "w2")  # rings no bell
            await lines_until(stream.content, b"event: job.ended")


async def test_no_more_streams_than_are_allowed(tmp_path: Path) -> None:
    async with world(tmp_path, Http(max_streams=1)) as it:
        await it.submit(id="a")
        url = it.server.make_url("/v1/jobs/a/events")
        async with it.client.get(url, headers=LIVE) as stream:
            await lines_until(stream.content, b"retry")
            status, _, headers = await it.ask("GET", "/v1/jobs/a/events", headers=LIVE)
            assert (status, headers["Retry-After"]) == (503, "5")
            assert (await it.ask("GET", "/v1/jobs/a/events"))[:2] == (200, [])


async def test_a_reader_who_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with world(tmp_path, pace=Pace(heartbeat=0.0, look=60.0, slow=0.1)) as it:
        await it.submit(id="a")
        loop = asyncio.get_running_loop()
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            lazy.setblocking(False)
            await loop.sock_connect(lazy, ("127.0.0.1", it.server.port))
            head = b"GET /v1/jobs/a/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
            await loop.sock_sendall(lazy, head)
            for watched in (True, False):
                async with asyncio.timeout(15):
                    while bool(len(it.watching)) is not watched:  # noqa: ASYNC110 - it rings no bell
                        await asyncio.sleep(0.01)


async def test_streams_end_when_the_worker_stops(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        async with it.client.get(it.server.make_url("/v1/jobs/a/events"), headers=LIVE) as stream:
            await lines_until(stream.content, b"retry")
            closing = asyncio.create_task(it.server.close())
            async with asyncio.timeout(5):
                with contextlib.suppress(aiohttp.ClientPayloadError):
                    await stream.content.read()
            await closing


async def test_a_revoked_key_hears_no_more_and_another_of_the_application_does(tmp_path: Path) -> None:
    pace = Pace(look=0.01)
    async with world(tmp_path, Http(keys="keys.json"), pace) as it:
        old, new = it.add_key("shop"), it.add_key("shop")
        await it.submit(old, id="a")
        await it.start(RINGING)
        url = it.server.make_url("/v1/jobs/a/events")
        auths = [LIVE | {"Authorization": f"Bearer {key}"} for key in (old, new)]
        async with (
            it.client.get(url, headers=auths[0]) as gone,
            it.client.get(url, headers=auths[1]) as stays,
        ):
            for stream in (gone, stays):
                await lines_until(stream.content, b"event: call.ringing")
            change_keys(it.keys_path, lambda known: known[1:])
            async with asyncio.timeout(10):
                await gone.content.read()
            it.live.cancel("a")
            await lines_until(stays.content, b"event: job.ended")
