"""The notifier against real HTTP receivers on loopback."""

import asyncio
import json
import time
from collections.abc import Collection, Sequence

import pytest
from aiohttp import web
from msgspec.structs import replace
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from orchestrator.notify import notifier as notifiers
from orchestrator.notify.delivery import Delivery
from orchestrator.notify.names import AddrInfo
from orchestrator.notify.notifier import Notifier
from orchestrator.notify.origins import Watch
from tests.notify.world import SECRET, Got, Names, World, accept, hang, status


class SlowNames(Names):
    def __init__(self) -> None:
        super().__init__()
        self.asked_for, self.go_on = asyncio.Event(), asyncio.Event()

    async def resolve(self, host: str, port: int) -> list[AddrInfo]:
        self.asked_for.set()
        await self.go_on.wait()
        return await super().resolve(host, port)


def sequences(got: list[Got]) -> list[int]:
    return [json.loads(one.body)["sequence"] for one in got]


async def test_a_jobs_events_arrive_in_order_and_verify_with_the_public_library() -> None:
    world = World()
    world.clock.now = time.time()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        world.commit(notifier, world.job(receiver.url(), events=6))
        await world.arrived(6)
        assert sequences(receiver.got) == [1, 2, 3, 4, 5, 6]
        for got in receiver.got:
            Webhook(SECRET).verify(got.body, got.headers)
            assert got.headers["content-type"] == "application/cloudevents+json"
        assert [one.event_id for one in world.outbox.arrived] == [got.id for got in receiver.got]
    assert world.tallies.counts == {"delivered": 6}
    assert len(world.tallies.latencies) == 6


async def test_a_committed_event_is_delivered_without_reading_the_ledger() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        assert await notifier.drain(5)
        reads = world.outbox.reads
        for sequence in range(1, 6):
            event = world.delivery(receiver.url(), sequence=sequence)
            world.commit(notifier, [event])
            await world.arrived(sequence)
        assert world.outbox.reads == reads


async def test_the_next_event_waits_until_the_former_is_answered() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        held = asyncio.Event()
        receiver.answer = hang(held)
        world.commit(notifier, world.job(receiver.url(), "a", 3) + world.job(receiver.url(), "b", 3))
        await world.bell.until(lambda: receiver.now == 2)
        assert sequences(receiver.got) == [1, 1]
        held.set()
        await world.arrived(6)


async def test_a_hanging_receiver_delays_no_other() -> None:
    world = World()
    held = asyncio.Event()
    async with (
        world.receiver().listening() as hanging,
        world.receiver().listening() as prompt,
        world.notifier() as notifier,
    ):
        hanging.answer = hang(held)
        for n in range(300):
            world.commit(notifier, world.job(hanging.url(), f"slow-{n}"))
        for n in range(50):
            world.commit(notifier, world.job(prompt.url(), f"fast-{n}"))
        arrived = await world.arrived(150)
        assert {one.url for one in arrived} == {prompt.url()}
        assert hanging.most <= world.settings.per_receiver


async def test_many_hanging_receivers_leave_slots_to_those_that_answer() -> None:
    world = World(in_flight=16, per_receiver=4, timeout=0.3, connect_timeout=0.3)
    held = asyncio.Event()
    async with (
        world.receiver().listening() as hanging,
        world.receiver().listening() as prompt,
        world.notifier() as notifier,
    ):
        hanging.answer = hang(held)
        for n in range(40):
            world.commit(notifier, world.job(hanging.url(host=f"h{n}.test"), f"slow-{n}"))
        # They have all timed out once, so they are troubled and share half of the slots from now on.
        await world.bell.until(lambda: world.tallies.counts.get("retried", 0) >= 40)
        world.pass_time(notifier, 6)
        await world.bell.until(lambda: hanging.now >= 8)
        before = world.tallies.counts["retried"]
        world.commit(notifier, world.job(prompt.url(), "fast"))
        await world.arrived(3)
        assert world.tallies.counts["retried"] <= before + 8


async def test_a_receiver_is_never_sent_more_than_its_bound_at_once() -> None:
    world = World(per_receiver=5)
    async with world.receiver().listening() as receiver, world.notifier() as notifier:

        async def answer(request: web.Request, got: Got) -> web.StreamResponse:
            for _ in range(20):
                await asyncio.sleep(0)  # let the others in
            return web.Response()

        receiver.answer = answer
        for n in range(100):
            world.commit(notifier, world.job(receiver.url(), f"job-{n}"))
        await world.arrived(300)
        assert receiver.most == 5


async def test_a_restart_in_the_middle_sends_the_same_event_again_and_keeps_the_order() -> None:
    world = World()
    held = asyncio.Event()
    async with world.receiver().listening() as receiver:
        receiver.answer = hang(held)
        events = world.job(receiver.url(), events=4)
        async with world.notifier() as notifier:
            world.commit(notifier, events)
            await world.bell.until(lambda: receiver.now == 1)
        assert len(world.outbox.pending) == 4
        receiver.answer = accept
        async with world.notifier():
            await world.arrived(4)
        assert [got.id for got in receiver.got] == [events[n].event_id for n in (0, 0, 1, 2, 3)]


async def test_events_offered_after_a_restart_wait_for_those_the_ledger_still_holds() -> None:
    world = World()
    async with world.receiver().listening() as receiver:
        events = world.job(receiver.url(), events=4)
        world.outbox.add(events[:2])
        async with world.notifier() as notifier:
            world.commit(notifier, events[2:])
            await world.arrived(4)
        assert sequences(receiver.got) == [1, 2, 3, 4]


async def test_what_is_in_memory_is_not_sent_while_the_outbox_may_be_another_processs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As after a stop and a take-over: the answer to the first event waits in the socket, the other has sent
    # the rest of the job meanwhile.
    monkeypatch.setattr(notifiers, "UNCERTAIN", 0.01)
    world = World()
    held = asyncio.Event()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = hang(held)
        world.commit(notifier, world.job(receiver.url(), events=3))
        await world.bell.until(lambda: receiver.now == 1)
        world.ours = False
        held.set()
        await world.arrived(1)
        await world.sweep_after(notifier, 60)
        assert (notifier.in_flight, world.tallies.counts) == (0, {"delivered": 1})
        world.ours = True
        await world.arrived(3)
        assert sequences(receiver.got) == [1, 2, 3]


async def test_an_event_whose_connection_came_about_too_late_is_left_in_the_outbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifiers, "UNCERTAIN", 0.01)
    world = World(resolver=(names := SlowNames()))
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        world.commit(notifier, world.job(receiver.url(host="slow.example"), events=2))
        await names.asked_for.wait()
        world.ours = False
        names.go_on.set()
        await world.bell.until(lambda: notifier.in_flight == 0)
        assert (receiver.got, world.tallies.counts) == ([], {})
        world.ours = True
        await world.arrived(2)
        assert sequences(receiver.got) == [1, 2]


async def test_a_lane_that_waits_long_leaves_memory_and_still_keeps_its_order() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = status(503, Retry_After="3600")
        events = world.job(receiver.url(), events=3)
        world.commit(notifier, events[:2])
        await world.bell.until(lambda: world.tallies.counts == {"retried": 1})
        assert notifier.queued == notifier.receivers == 0
        world.commit(notifier, events[2:])
        assert await notifier.drain(5)
        receiver.answer = accept
        world.pass_time(notifier, 3600)
        await world.arrived(3)
        assert sequences(receiver.got) == [1, 1, 2, 3]


async def test_thousands_of_dead_receivers_cost_bounded_memory() -> None:
    world = World(max_queued=200)
    async with world.receiver().listening() as gone:
        port = gone.port
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        for n in range(2000):
            world.commit(notifier, world.job(f"http://h{n}.test:{port}/", f"dead-{n}", events=2))
            assert notifier.queued <= 200
        await world.bell.until(lambda: len(world.outbox.errors) == 2000, within=60)
        assert notifier.queued <= 200
        assert notifier.receivers <= 200
        world.commit(notifier, world.job(receiver.url(), "alive"))
        await world.arrived(3)


async def test_a_full_memory_makes_room_for_a_receiver_that_waits_for_nothing() -> None:
    world = World(max_queued=100)
    held = asyncio.Event()
    async with (
        world.receiver().listening() as hanging,
        world.receiver().listening() as prompt,
        world.notifier() as notifier,
    ):
        hanging.answer = hang(held)
        for host in ("a.test", "b.test", "c.test"):
            for n in range(100):
                world.commit(notifier, world.job(hanging.url(host=host), f"{host}-{n}", events=1))
        for n in range(40):
            world.commit(notifier, world.job(prompt.url(), f"fast-{n}", events=1))
        # Some are taken at once; the others find no room beside those, and are put off for a moment.
        rounds = 0
        while len(world.outbox.arrived) < 40:
            await world.bell.until(lambda: notifier.in_flight == hanging.now)
            await world.sweep_after(notifier, 3)
            rounds += 1
            assert rounds <= 5
        assert {one.url for one in world.outbox.arrived} == {prompt.url()}
        assert notifier.queued <= 100
        held.set()
        while world.outbox.pending:
            await world.bell.until(lambda: notifier.queued == 0)
            await world.sweep_after(notifier, 3)
            rounds += 1
            assert rounds <= 20
        assert len(world.outbox.arrived) == 340
        assert set(world.outbox.errors.values()) == {""}


async def test_drain_says_whether_all_that_can_be_delivered_was() -> None:
    world = World()
    held = asyncio.Event()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = hang(held)
        world.commit(notifier, world.job(receiver.url()))
        assert not await notifier.drain(0.05)
        held.set()
        assert await notifier.drain(5)
        assert len(world.outbox.arrived) == 3


async def test_close_ends_the_run_and_leaves_what_is_in_flight_pending() -> None:
    world = World()
    held = asyncio.Event()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = hang(held)
        world.commit(notifier, world.job(receiver.url()))
        await world.bell.until(lambda: receiver.now == 1)
        notifier.close()
        await world.bell.until(lambda: receiver.now == 0)
        assert len(world.outbox.pending) == 3


async def test_an_unusable_url_in_the_outbox_is_retried_like_any_fault_and_harms_nobody() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        for n, url in enumerate(("", "http://", "nonsense", "http://[::1", "ftp://host/", "http://a..b/")):
            world.commit(notifier, world.job(url, f"bad-{n}", events=1))
        world.commit(notifier, world.job(receiver.url(), "good"))
        await world.arrived(3)
        await world.bell.until(lambda: len(world.outbox.errors) == 6)


async def test_an_event_that_is_offered_while_the_ledger_is_being_read_is_sent_once() -> None:
    world = World()
    gate, reading = asyncio.Event(), asyncio.Event()
    read = world.outbox.due

    async def slowly(now: float, limit: int, skip: Collection[str]) -> list[Delivery]:
        found = await read(now, limit, skip)
        reading.set()
        await gate.wait()
        return found

    world.outbox.due = slowly  # type: ignore[method-assign]
    async with world.receiver().listening() as receiver:
        events = world.job(receiver.url())
        world.outbox.add(events)
        async with world.notifier() as notifier:
            await reading.wait()
            notifier.offer(events)
            await world.arrived(3)
            gate.set()
            assert await notifier.drain(5)
    assert sequences(receiver.got) == [1, 2, 3]


async def test_an_idle_notifier_reads_the_ledger_only_now_and_then() -> None:
    world = World(poll_interval=0.1)
    async with world.notifier() as notifier:
        world.outbox.add([replace(world.delivery("http://127.0.0.1:1/"), next_at=world.clock.now + 60)])
        await world.bell.until(lambda: world.outbox.sweeps == 3)
        started = asyncio.get_running_loop().time()
        await world.bell.until(lambda: world.outbox.sweeps == 6)
        assert asyncio.get_running_loop().time() - started > 0.25
        assert notifier.queued == 0


async def test_a_receiver_that_goes_down_and_comes_back_is_logged_once_each_and_only_by_host() -> None:
    world = World()
    async with world.receiver().listening() as gone:
        port = gone.port
    url = f"http://127.0.0.1:{port}/token-in-path?key=token-in-query"
    with capture_logs() as logs:
        async with world.notifier() as notifier:
            for n in range(6):  # one after the other, so that nothing is left to wait for the receiver
                world.commit(notifier, world.job(url, f"job-{n}", events=1))
                await world.bell.until(lambda n=n: len(world.outbox.errors) == n + 1)  # type: ignore[misc]
            back = world.receiver()
            back.port = port
            async with back.listening():
                for _ in range(20):
                    await world.sweep_after(notifier, 3600)
                await world.arrived(6)
    told = [entry for entry in logs if entry["event"].startswith("notify.receiver_")]
    assert [(entry["event"], entry["receiver"]) for entry in told] == [
        ("notify.receiver_down", f"127.0.0.1:{port}"),
        ("notify.receiver_up", f"127.0.0.1:{port}"),
    ]
    assert "token-in" not in str(logs)


async def test_an_idle_receivers_failures_are_remembered_and_any_answer_ends_them() -> None:
    watch = Watch()
    heard = [watch.heard("a", answered=answered) for answered in (False, False, True, False, False, False)]
    assert heard == [None, None, None, None, None, "down"]
    assert watch.heard("b", answered=True) is None
    assert watch.heard("a", answered=False) is None
    assert watch.heard("a", answered=True) == "up"


async def test_an_outbox_that_fails_ends_the_run_also_when_a_kept_connection_brought_the_answer() -> None:
    world = World()
    delivered = world.outbox.delivered

    def fail_at_the_second(ids: Sequence[int]) -> None:
        if world.outbox.arrived:
            raise RuntimeError("the outbox is broken")
        delivered(ids)

    world.outbox.delivered = fail_at_the_second  # type: ignore[method-assign, assignment]

    async def deliver() -> None:
        async with world.receiver().listening() as receiver, world.notifier() as notifier:
            world.commit(notifier, world.job(receiver.url()))
            await world.ended()

    with pytest.raises(ExceptionGroup) as caught:
        await deliver()
    assert caught.group_contains(RuntimeError, match="broken")


async def test_an_event_meets_a_kept_connection_that_was_closed_and_arrives_by_a_new_one_at_once() -> None:
    world = World()

    async def last_of_its_connection(request: web.Request, got: Got) -> web.StreamResponse:
        assert request.transport is not None
        if len(receiver.got) == 2:  # read, and then not answered
            request.transport.abort()
        return web.Response(status=204)

    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = last_of_its_connection
        world.commit(notifier, world.job(receiver.url()))
        await world.arrived(3)
        assert [got.id for got in receiver.got][1] == [got.id for got in receiver.got][2]
        assert world.tallies.counts == {"delivered": 3}


async def test_a_signature_bears_the_time_of_day_although_the_clock_was_set_since_the_start() -> None:
    world = World()
    async with world.receiver().listening() as receiver:
        notifier = Notifier(
            world.outbox, world.settings, world.clock, lambda: 0.0, wall=lambda: world.clock.now - 3600.0
        )
        task = asyncio.create_task(notifier.run())
        world.commit(notifier, world.job(receiver.url(), events=1))
        await world.arrived(1)
        notifier.close()
        await task
    assert int(receiver.got[0].headers["webhook-timestamp"]) == int(world.clock.now) - 3600


async def test_a_receiver_that_is_down_for_a_day_then_gets_everything_in_order_and_at_once() -> None:
    world = World()

    async def broken(request: web.Request, got: Got) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = broken
        for hour in range(24):
            world.commit(notifier, world.job(receiver.url(), f"job-{hour}"))
            for _ in range(6):
                await world.sweep_after(notifier, 600.0)
        assert world.outbox.arrived == []
        assert world.outbox.dead_letters == {}
        receiver.answer = accept
        back = len(receiver.got)
        world.commit(notifier, world.job(receiver.url(), "fresh", events=1))
        await world.arrived(24 * 3 + 1)
    got = receiver.got[back:]
    for hour in range(24):
        assert sequences([one for one in got if json.loads(one.body)["lane"] == f"job-{hour}"]) == [1, 2, 3]


async def test_a_receiver_that_answers_500_all_the_time_is_down_too() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = status(500)
        with capture_logs() as logs:
            for n in range(3):
                world.commit(notifier, world.job(receiver.url(), f"job-{n}", events=1))
            await world.bell.until(lambda: any(line["event"] == "notify.receiver_down" for line in logs))
    assert [line["reason"] for line in logs if line["event"] == "notify.receiver_down"] == ["it answers 500"]
