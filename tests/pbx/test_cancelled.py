"""An adapter that is told to end while its connection fails ends; it does not connect again."""

import asyncio
from random import Random
from time import time
from typing import Any

import pytest

from orchestrator.pbx.ari.adapter import AriPbx
from orchestrator.pbx.ari.stream import Stream
from orchestrator.pbx.cancelled import for_ever, raise_if_cancelled
from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.esl.connection import Connection
from orchestrator.pbx.port import Pbx
from tests.pbx.ari import fake_ari
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl import fake_esl


async def _group(fails: asyncio.Event) -> None:
    async def fail() -> None:
        await fails.wait()
        raise PbxUnreachable("gone")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await for_ever()
    except* PbxUnreachable:
        pass
    raise_if_cancelled()


async def test_a_group_that_fails_without_being_cancelled_goes_on() -> None:
    fails = asyncio.Event()
    running = asyncio.create_task(_group(fails))
    await asyncio.sleep(0)
    fails.set()
    await running


async def test_a_cancellation_that_a_task_group_swallowed_is_raised() -> None:
    fails = asyncio.Event()
    running = asyncio.create_task(_group(fails))
    await asyncio.sleep(0)
    fails.set()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def _cancel_as_it_fails(
    peer: type[Any], name: str, pbx: Pbx, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`name` is the method of `peer` that reads what it is sent."""
    fails, read = asyncio.Event(), getattr(peer, name)

    async def reading(self: Any, *given: Any) -> None:
        reader = asyncio.ensure_future(read(self, *given))
        await fails.wait()
        reader.cancel()
        raise PbxUnreachable("gone")

    monkeypatch.setattr(peer, name, reading)
    running = asyncio.create_task(pbx.run())
    await worker.link(up=True)
    fails.set()
    running.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([running])
    assert running.cancelled()


async def test_ari_ends_when_its_connection_fails_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    async with fake_ari.serving(fake_ari.FakeAri()) as fake:
        pbx = AriPbx(fake_ari.settings_for(fake.url), worker.take, clock=time, random=Random(0))
        await _cancel_as_it_fails(Stream, "read", pbx, worker, monkeypatch)


async def test_esl_ends_when_its_connection_fails_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    async with fake_esl.serving(fake_esl.FakeEsl()) as fake:
        pbx = EslPbx(fake_esl.settings_for(fake.url), worker.take, clock=time, random=Random(0))
        await _cancel_as_it_fails(Connection, "_read", pbx, worker, monkeypatch)
