"""A notifier, an outbox in memory, a clock that is set by hand, and real receivers on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import NamedTuple

from aiohttp import web

from orchestrator.notify.delivery import Delivery, Tally
from orchestrator.notify.memory import MemoryOutbox
from orchestrator.notify.names import AddrInfo, Resolver
from orchestrator.notify.notifier import Notifier
from orchestrator.notify.payload import event_id
from orchestrator.notify.settings import NotifySettings

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Bell:
    """Rings when anything happened; tests wait for a condition, not for a time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not condition():
                self._event.clear()
                await self._event.wait()


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class RingingOutbox(MemoryOutbox):
    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self._bell = bell
        self.sweeps = 0

    async def next_due(self, skip: Collection[str]) -> float | None:
        self.sweeps += 1
        self._bell.ring()
        return await super().next_due(skip)

    def delivered(self, ids: object) -> None:
        super().delivered(ids)  # type: ignore[arg-type]
        self._bell.ring()

    def retry(self, id: int, attempts: int, next_at: float, error: str) -> None:
        super().retry(id, attempts, next_at, error)
        self._bell.ring()

    def dead(self, id: int, attempts: int, error: str) -> None:
        super().dead(id, attempts, error)
        self._bell.ring()

    def stop_lane(self, lane: str, error: str) -> None:
        super().stop_lane(lane, error)
        self._bell.ring()


class Tallies:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.latencies: list[float] = []

    def count(self, outcome: Tally) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def latency(self, seconds: float) -> None:
        self.latencies.append(seconds)


class Got(NamedTuple):
    host: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[web.Request, Got], Awaitable[web.StreamResponse]]


async def accept(request: web.Request, got: Got) -> web.StreamResponse:
    return web.Response(status=204)


def status(code: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(request: web.Request, got: Got) -> web.StreamResponse:
        return web.Response(status=code, headers=named)

    return answer


def hang(until: asyncio.Event) -> Answer:
    async def answer(request: web.Request, got: Got) -> web.StreamResponse:
        await until.wait()
        return web.Response(status=204)

    return answer


class Receiver:
    """A real HTTP server. `answer` may be changed at any time; `now` counts the requests being answered."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.answer: Answer = accept
        self.got: list[Got] = []
        self.now = 0
        self.most = 0
        self.port = 0

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(headers["host"], request.path, headers, await request.read())
        self.got.append(got)
        self.now += 1
        self.most = max(self.most, self.now)
        self._bell.ring()
        try:
            return await self.answer(request, got)
        finally:
            self.now -= 1
            self._bell.ring()

    @asynccontextmanager
    async def listening(self, *hosts: str) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.0)
        await runner.setup()
        try:
            for host in hosts or ("127.0.0.1",):
                await web.TCPSite(runner, host, self.port).start()
                self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    def url(self, path: str = "/events", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


class Names:
    """DNS by hand: each name's answers in turn (the last for ever); every other name is 127.0.0.1."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[AddrInfo]:
        self.asked.append(host)
        turns = self._answers.get(host.split(".")[0], [["127.0.0.1"]])
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in address], socket.SOCK_STREAM, 0, "", (address, port)) for address in found]


class World:
    """What a test holds. `changes` are settings."""

    def __init__(self, *, resolver: Resolver | None = None, **changes: object) -> None:
        self.bell = Bell()
        self.clock = Clock()
        self.outbox = RingingOutbox(self.bell)
        self.tallies = Tallies()
        self.ours = True
        self._resolver = resolver or Names()
        settings = {"worker": "w1", "secrets": (SECRET,), "allow": LOOPBACK, "sweep_gap": 0.0} | changes
        self.settings = NotifySettings(**settings)  # type: ignore[arg-type]
        self._ids = 0
        self._task: asyncio.Task[None]

    def receiver(self) -> Receiver:
        return Receiver(self.bell)

    def delivery(self, url: str, lane: str = "job-1", sequence: int = 1, type: str = "") -> Delivery:
        self._ids += 1
        body = f'{{"lane":"{lane}","sequence":{sequence}}}'.encode()
        return Delivery(
            id=self._ids,
            event_id=event_id(lane, sequence),
            lane=lane,
            sequence=sequence,
            url=url,
            type=type or "call.dialing",
            body=body,
            attempts=0,
            created_at=self.clock.now,
            next_at=self.clock.now,
        )

    def job(self, url: str, lane: str = "job-1", events: int = 3) -> list[Delivery]:
        """All events of one job, the last of them its end."""
        return [
            self.delivery(url, lane, n, "job.ended" if n == events else "call.dialing")
            for n in range(1, events + 1)
        ]

    @asynccontextmanager
    async def notifier(self) -> AsyncIterator[Notifier]:
        """A running notifier; leaving cancels it, as a crash would."""
        notifier = Notifier(
            self.outbox,
            self.settings,
            self.clock,
            lambda: 0.0,
            meter=self.tallies,
            resolver=self._resolver,
            may_send=lambda: self.ours,
        )
        task = asyncio.create_task(notifier.run())
        self._task = task
        task.add_done_callback(lambda _: self.bell.ring())
        try:
            yield notifier
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def ended(self) -> None:
        """Wait until the notifier has ended by itself."""
        await self.bell.until(self._task.done)

    def commit(self, notifier: Notifier, deliveries: list[Delivery]) -> None:
        """What the ledger does: keep them, then offer them."""
        self.outbox.add(deliveries)
        notifier.offer(deliveries)

    def pass_time(self, notifier: Notifier, seconds: float) -> None:
        self.clock.now += seconds
        notifier.wake()

    async def sweep_after(self, notifier: Notifier, seconds: float) -> None:
        sweeps = self.outbox.sweeps
        self.pass_time(notifier, seconds)
        await self.bell.until(lambda: self.outbox.sweeps > sweeps)

    async def arrived(self, count: int) -> list[Delivery]:
        await self.bell.until(lambda: len(self.outbox.arrived) >= count)
        return self.outbox.arrived
