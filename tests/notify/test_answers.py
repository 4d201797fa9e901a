"""What the notifier makes of the answers that real receivers give, and of none."""

import asyncio
import contextlib
import json

from aiohttp import web

from orchestrator.notify.schedule import BACKOFF, LAST
from tests.notify.world import Got, World, accept, hang, status


def sequences(got: list[Got]) -> list[int]:
    return [json.loads(one.body)["sequence"] for one in got]


async def test_410_stops_the_jobs_deliveries_and_no_other_jobs() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:

        async def answer(request: web.Request, got: Got) -> web.StreamResponse:
            return web.Response(status=410 if got.path == "/gone" else 200)

        receiver.answer = answer
        world.commit(notifier, world.job(receiver.url("/gone"), "gone"))
        world.commit(notifier, world.job(receiver.url("/here"), "here"))
        await world.arrived(3)
        world.commit(notifier, [world.delivery(receiver.url("/gone"), "gone", 4)])
        assert await notifier.drain(5)
        assert world.outbox.stopped == {"gone": "the receiver answered 410 Gone"}
        assert [got.path for got in receiver.got].count("/gone") == 1
        assert not world.outbox.pending


async def test_429_with_retry_after_waits_as_told_and_uses_up_no_attempt() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = status(429, Retry_After="120")
        world.commit(notifier, world.job(receiver.url(), events=1))
        await world.bell.until(lambda: world.tallies.counts == {"retried": 1})
        (waiting,) = world.outbox.pending.values()
        assert (waiting.attempts, waiting.next_at) == (0, world.clock.now + 120)
        receiver.answer = accept
        world.pass_time(notifier, 119)
        assert await notifier.drain(5)
        assert len(receiver.got) == 1
        world.pass_time(notifier, 1)
        await world.arrived(1)
        assert receiver.got[0].id == receiver.got[1].id


async def test_a_redirect_is_not_followed() -> None:
    world = World()
    async with (
        world.receiver().listening() as receiver,
        world.receiver().listening() as elsewhere,
        world.notifier() as notifier,
    ):
        for n, code in enumerate((301, 302, 303, 307, 308)):
            receiver.answer = status(code, Location=elsewhere.url())
            event = world.delivery(receiver.url(), f"job-{n}")
            world.commit(notifier, [event])
            await world.bell.until(lambda event=event: event.id in world.outbox.errors)  # type: ignore[misc]
            assert "redirects are not followed" in world.outbox.errors[event.id]
        assert elsewhere.got == []


async def test_an_event_dies_after_its_tenth_attempt_then_the_next_is_tried_and_it_can_be_replayed() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:

        async def answer(request: web.Request, got: Got) -> web.StreamResponse:
            return web.Response(status=500 if json.loads(got.body)["sequence"] == 1 else 200)

        receiver.answer = answer
        poison, verdict = world.job(receiver.url(), events=2)
        world.commit(notifier, [poison, verdict])
        for attempt, wait in enumerate(BACKOFF, 1):
            await world.bell.until(lambda n=attempt: world.tallies.counts.get("retried", 0) == n)  # type: ignore[misc]
            due = world.clock.now + wait
            if attempt == len(BACKOFF):
                due = max(due, poison.created_at + LAST)
            assert world.outbox.pending[poison.id].next_at == due
            world.pass_time(notifier, due - world.clock.now)
        await world.arrived(1)
        assert world.outbox.arrived == [verdict]
        assert world.outbox.dead_letters[poison.id].attempts == 10
        assert sequences(receiver.got) == [1] * 10 + [2]

        receiver.answer = accept
        world.outbox.replay(poison.id, world.clock.now)
        notifier.wake()
        await world.arrived(2)
        assert {got.id for got in receiver.got if got != receiver.got[10]} == {poison.event_id}


async def test_a_delivery_that_gets_no_answer_is_tried_again() -> None:
    world = World(timeout=0.2, connect_timeout=0.2)
    held = asyncio.Event()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = hang(held)
        (event,) = world.job(receiver.url(), events=1)
        world.commit(notifier, [event])
        await world.bell.until(lambda: event.id in world.outbox.errors)
        assert "no answer within" in world.outbox.errors[event.id]
        receiver.answer = accept
        world.pass_time(notifier, BACKOFF[0])
        await world.arrived(1)


async def test_a_receiver_that_is_not_there_is_named_in_the_error() -> None:
    world = World()
    async with world.receiver().listening() as receiver:
        url = receiver.url()
    async with world.notifier() as notifier:
        (event,) = world.job(url, events=1)
        world.commit(notifier, [event])
        await world.bell.until(lambda: event.id in world.outbox.errors)
        assert world.outbox.errors[event.id].startswith(f"cannot connect to 127.0.0.1:{receiver.port}")


async def test_what_waits_for_a_receiver_that_is_down_goes_to_its_own_retries_untried() -> None:
    world = World(timeout=0.2, connect_timeout=0.2)
    held = asyncio.Event()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = hang(held)
        for n in range(200):
            world.commit(notifier, world.job(receiver.url(), f"job-{n}", events=1))
        await world.bell.until(lambda: len(world.outbox.errors) == 200)
        assert len(receiver.got) <= 16
        assert {one.attempts for one in world.outbox.pending.values()} == {1}
        receiver.answer = accept
        world.pass_time(notifier, 6)
        await world.arrived(200)


async def test_a_kept_connection_closed_by_the_receiver_costs_no_attempt() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:

        async def close(request: web.Request, got: Got) -> web.StreamResponse:
            receiver.answer = accept
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        receiver.answer = close
        world.commit(notifier, world.job(receiver.url(), events=1))
        await world.arrived(1)
        assert len(receiver.got) == 2
        assert world.tallies.counts == {"delivered": 1}


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        sent = 0

        async def flood(request: web.Request, got: Got) -> web.StreamResponse:
            nonlocal sent
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while sent < 500_000_000:
                    await response.write(b"x" * 65536)
                    sent += 65536
            return response

        receiver.answer = flood
        world.commit(notifier, world.job(receiver.url(), events=2))
        await world.arrived(2)
        await world.bell.until(lambda: receiver.now == 0)
        assert sent < 50_000_000
