"""What does not go by HTTP goes the same way: in order, tried again, given up at last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from orchestrator.notify.delivery import Delivery
from orchestrator.notify.errors import SecretError
from orchestrator.notify.notifier import Notifier
from orchestrator.notify.schedule import Answered, Failed, Response
from tests.notify.world import World

URL = "intake:orders"


class Shelf:
    """A carrier that keeps what it gets. `fail` says how many times it refuses first."""

    def __init__(self, fail: int = 0) -> None:
        self.fail = fail
        self.got: list[Delivery] = []
        self.hang: asyncio.Event | None = None

    async def send(self, delivery: Delivery) -> Response:
        if self.hang is not None:
            await self.hang.wait()
        if self.fail:
            self.fail -= 1
            return Failed("no room")
        self.got.append(delivery)
        return Answered(204)


class Dropped(Shelf):
    """A library that cancels whoever waits for a connection that is lost."""

    async def send(self, delivery: Delivery) -> Response:
        if self.fail:
            self.fail -= 1
            raise asyncio.CancelledError
        return await super().send(delivery)


@asynccontextmanager
async def notifying(world: World, carrier: Shelf) -> AsyncIterator[Notifier]:
    notifier = Notifier(
        world.outbox, world.settings, world.clock, lambda: 0.0, meter=world.tallies, carriers={URL: carrier}
    )
    task = asyncio.create_task(notifier.run())
    try:
        yield notifier
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_jobs_events_go_to_their_carrier_in_order() -> None:
    world, shelf = World(), Shelf()
    async with notifying(world, shelf) as notifier:
        world.commit(notifier, world.job(URL))
        await world.bell.until(lambda: len(world.outbox.arrived) == 3)
    assert [delivery.sequence for delivery in shelf.got] == [1, 2, 3]


@pytest.mark.parametrize("carrier", [Shelf(fail=1), Dropped(fail=1)], ids=["refused", "cancelled"])
async def test_what_a_carrier_did_not_take_is_tried_again_and_nothing_overtakes_it(carrier: Shelf) -> None:
    world = World()
    async with notifying(world, carrier) as notifier:
        world.commit(notifier, world.job(URL))
        await world.bell.until(lambda: bool(world.outbox.errors))
        assert not carrier.got
        world.clock.now += 6
        notifier.wake()
        await world.bell.until(lambda: len(world.outbox.arrived) == 3)
    assert [delivery.sequence for delivery in carrier.got] == [1, 2, 3]


async def test_a_carrier_that_does_not_answer_is_given_up_for_now() -> None:
    world, shelf = World(timeout=0.05, connect_timeout=0.05), Shelf()
    shelf.hang = asyncio.Event()
    async with notifying(world, shelf) as notifier:
        world.commit(notifier, world.job(URL))
        await world.bell.until(lambda: bool(world.outbox.errors))
    assert "not taken within" in next(iter(world.outbox.errors.values()))


async def test_without_a_secret_a_webhook_is_not_sent_and_a_carriers_event_is() -> None:
    world, shelf = World(secrets=()), Shelf()
    async with world.receiver().listening() as receiver, notifying(world, shelf) as notifier:
        world.commit(notifier, world.job(receiver.url(), "web", 1) + world.job(URL, "queue", 1))
        await world.bell.until(lambda: bool(world.outbox.errors) and bool(world.outbox.arrived))
        assert not receiver.got
    assert "notify.secret" in next(iter(world.outbox.errors.values()))


async def test_events_of_an_intake_that_is_no_more_are_not_lost() -> None:
    world = World()
    async with notifying(world, Shelf()) as notifier:
        world.commit(notifier, world.job("intake:former"))
        await world.bell.until(lambda: bool(world.outbox.errors))
    assert len(world.outbox.pending) == 3


def test_with_neither_secret_nor_carrier_there_is_no_notifier() -> None:
    world = World(secrets=())
    with pytest.raises(SecretError):
        Notifier(world.outbox, world.settings, world.clock, lambda: 0.0)
