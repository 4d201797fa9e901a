"""Requests are written at once, and in their order when the socket is full."""

import asyncio
from typing import Any

import pytest

from orchestrator.call.commands import Hangup
from orchestrator.pbx.ari.stream import _Begun
from tests.pbx.ari.fake_ari import FakeAri, Worker, running, serving, settings_for


async def test_a_request_leaves_before_anything_else_on_the_loop_has_its_turn() -> None:
    worker = Worker()
    async with (
        serving(FakeAri()) as fake,
        running(settings_for(fake.url, transport="websocket"), worker) as pbx,
    ):
        await worker.link(up=True)
        table = pbx._table  # what has left is known by nobody else
        pbx.send(Hangup("c1"))
        assert [pending.sent for pending in table._pending.values()] == [True]
        await fake.until_seen(lambda seen: seen.method == "DELETE")


async def test_a_write_begun_outside_of_a_task_is_ended_in_one() -> None:
    loop, steps = asyncio.get_running_loop(), list[str]()
    gates = [loop.create_future(), loop.create_future()]

    async def writing() -> None:
        for gate in gates:
            await gate
            steps.append("went on")

    begun: Any = writing()
    task = asyncio.create_task(_await(_Begun(begun, begun.send(None))))
    for gate in gates:
        gate.set_result(None)
    await task
    assert steps == ["went on", "went on"]


async def test_a_write_that_fails_later_fails_whoever_goes_on_with_it() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def writing() -> None:
        await gate

    begun: Any = writing()
    task = asyncio.create_task(_await(_Begun(begun, begun.send(None))))
    gate.set_exception(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError):
        await task


async def _await(begun: _Begun) -> None:
    await begun
