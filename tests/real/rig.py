"""An adapter on one of the backends, and a sink that can be waited on."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

from orchestrator.call.events import CallEvent
from orchestrator.pbx.port import Dial, Link, Signal
from tests.real.backends import Backend

PREFIX = "adapter-test"
"""The folder of the tests' own sounds."""


class Rig:
    """An adapter with a sink that can be waited on."""

    def __init__(self, backend: Backend, app: str, dial: str) -> None:
        self.told: list[Signal | Link] = []
        self._news = asyncio.Event()
        self.pbx = backend.adapter(app, self._take, PREFIX, dial)

    def _take(self, each: Signal | Link) -> None:
        self.told.append(each)
        self._news.set()

    def of(self, channel: str) -> list[CallEvent]:
        return [each.event for each in self.told if isinstance(each, Signal) and each.channel == channel]

    def kinds(self, channel: str) -> list[type[CallEvent]]:
        return [type(event) for event in self.of(channel)]

    async def until(self, channel: str, event: CallEvent | type[CallEvent], times: int = 1) -> CallEvent:
        def found() -> list[CallEvent]:
            return [
                each
                for each in self.of(channel)
                if each == event or (isinstance(event, type) and isinstance(each, event))
            ]

        async with asyncio.timeout(15):
            while len(found()) < times:
                self._news.clear()
                await self._news.wait()
        return found()[times - 1]

    async def up(self) -> None:
        async with asyncio.timeout(30):
            while not any(isinstance(each, Link) and each.up for each in self.told):
                self._news.clear()
                await self._news.wait()

    def dial(self, number: str, ring_timeout: float = 10, caller_id: str = "+15550100") -> str:
        channel = f"test-{uuid.uuid4()}"
        self.pbx.send(Dial(channel, f"+1202555{number}", caller_id, ring_timeout))
        return channel


@contextlib.asynccontextmanager
async def rigged(backend: Backend, app: str = "", dial: str = "") -> AsyncIterator[Rig]:
    rig = Rig(backend, app or f"adapter-{uuid.uuid4()}", dial)
    task = asyncio.create_task(rig.pbx.run())
    try:
        await rig.up()
        yield rig
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
