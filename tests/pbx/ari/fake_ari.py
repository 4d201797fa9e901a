"""A peer on loopback that speaks ARI as far as told, and breaks where told. Real sockets, no Asterisk."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from time import time
from typing import Any, TypeVar

from aiohttp import WSCloseCode, WSMsgType, web

from orchestrator.call.events import CallEvent
from orchestrator.pbx.ari.adapter import AriPbx
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.port import Link, Signal

PASSWORD = "hush-hush-s3cret"
PATIENCE = 5.0

_E = TypeVar("_E")


def settings_for(url: str, **changed: Any) -> AriSettings:
    """Settings that make every wait short."""
    return AriSettings(
        **{
            "name": "ast1",
            "url": url,
            "username": "orchestrator",
            "password": PASSWORD,
            "app": "orchestrator",
            "dial": "PJSIP/{number}@lab",
            "transport": "websocket",
            "backoff_base": 0.002,
            "backoff_cap": 0.01,
            "replaced_backoff": 0.01,
            "not_found_patience": 0.05,
            **changed,
        }
    )


@dataclass
class Seen:
    """A request that reached the fake."""

    method: str
    path: str
    body: str
    via: str


@dataclass
class Reply:
    status: int = 204
    reason: str = "No Content"
    body: str = ""
    times: int = 1


Script = Callable[[Seen], Reply | None]
"""What to answer. None: never answer."""


def obliging(seen: Seen) -> Reply | None:
    """Answers as an Asterisk to which nothing is unusual."""
    match seen.method, seen.path.split("/"):
        case "GET", ["asterisk", "ping"]:
            return Reply(200, "OK", '{"ping":"pong"}')
        case "GET", ["channels"]:
            return Reply(200, "OK", "[]")
        case "GET", ["bridges"]:
            return Reply(200, "OK", "[]")
        case "GET", ["applications", _]:
            return Reply(200, "OK", '{"channel_ids":[]}')
        case "GET", ["channels", _]:
            return Reply(404, "Not Found", '{"message":"Channel not found"}')
        case "POST", ["channels", _]:
            return Reply(200, "OK", '{"id":"x","state":"Down"}')
        case "POST", ["channels", _, "play", _]:
            return Reply(201, "Created", "{}")
        case _:
            return Reply()


@dataclass
class FakeAri:
    script: Script = obliging
    refuse_with: int | None = None
    rest_over_websocket: bool = True
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    handshakes: list[web.Request] = field(default_factory=list)
    deaf: bool = False
    deaf_dials: bool = False
    pings: int = 0
    pongs: list[bytes] = field(default_factory=list)
    dials: list[tuple[web.Request, web.WebSocketResponse]] = field(default_factory=list)
    _sockets: list[tuple[web.Request, web.WebSocketResponse]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ari"

    async def event(self, kind: str, **fields: Any) -> None:
        """Send an event to the newest connection."""
        await self._sockets[-1][1].send_str(
            json.dumps({"type": kind, "application": "orchestrator", **fields})
        )

    async def text(self, frame: str) -> None:
        await self._sockets[-1][1].send_str(frame)

    def drop(self, partial: bytes = b"") -> None:
        """Break the newest connection off, after part of a frame when given."""
        transport = self._sockets[-1][0].transport
        assert transport is not None
        transport.write(partial)
        transport.close()

    async def close(self) -> None:
        await self._sockets[-1][1].close(code=WSCloseCode.GOING_AWAY)

    def stop_reading(self) -> None:
        transport = self._sockets[-1][0].transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()

    async def ping(self, data: bytes) -> bytes:
        """Ping the newest connection; what its pong says."""
        await self._sockets[-1][1].ping(data)
        await self._until(lambda: bool(self.pongs))
        return bytes(self.pongs[-1])

    async def until_seen(self, fits: Callable[[Seen], bool]) -> Seen:
        await self._until(lambda: any(map(fits, self.seen)))
        return next(filter(fits, self.seen))

    async def until_handshakes(self, count: int) -> None:
        await self._until(lambda: len(self.handshakes) >= count)

    async def until_pings(self, count: int) -> None:
        await self._until(lambda: self.pings >= count)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def events(self, request: web.Request) -> web.StreamResponse:
        if request.query["app"].endswith("-dials"):
            return await self._dials(request)
        self.handshakes.append(request)
        self._changed.set()
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with)
        socket = web.WebSocketResponse(max_msg_size=0, autoping=False)
        await socket.prepare(request)
        self._sockets.append((request, socket))
        while not self.deaf:
            message = await socket.receive()
            if message.type is WSMsgType.PING:
                self.pings += 1
                self._changed.set()
                await socket.pong(message.data)
                continue
            if message.type is WSMsgType.PONG:
                self.pongs.append(message.data)
                self._changed.set()
                continue
            if message.type is not WSMsgType.TEXT:
                return socket
            frame = json.loads(message.data)
            if self.rest_over_websocket:
                await self._take(socket, frame)
        await asyncio.Event().wait()
        return socket

    async def _dials(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket of originates: no events, answers alone."""
        socket = web.WebSocketResponse(max_msg_size=0, autoping=False)
        await socket.prepare(request)
        self.dials.append((request, socket))
        self._changed.set()
        while True:
            message = await socket.receive()
            if self.deaf or self.deaf_dials:
                break
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._take(socket, json.loads(message.data), "dials")
            else:
                return socket
        await asyncio.Event().wait()
        return socket

    async def _take(
        self, socket: web.WebSocketResponse, frame: dict[str, Any], via: str = "websocket"
    ) -> None:
        seen = Seen(frame["method"], frame["uri"], frame.get("message_body", ""), via)
        reply = self._note(seen)
        for _ in range(reply.times if reply else 0):
            assert reply is not None
            answer = {
                "type": "RESTResponse",
                "request_id": frame["request_id"],
                "status_code": reply.status,
                "reason_phrase": reply.reason,
                "message_body": reply.body,
            }
            with contextlib.suppress(ConnectionResetError):
                await socket.send_str(json.dumps(answer))

    async def rest(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.removeprefix("/ari/")
        seen = Seen(request.method, path, await request.text(), "http")
        reply = self._note(seen)
        if reply is None:
            await asyncio.Event().wait()
        assert reply is not None
        return web.Response(status=reply.status, reason=reply.reason, text=reply.body or None)

    def _note(self, seen: Seen) -> Reply | None:
        self.seen.append(seen)
        reply = self.script(seen)
        self._changed.set()
        return reply


@contextlib.asynccontextmanager
async def serving(fake: FakeAri) -> AsyncIterator[FakeAri]:
    """The fake, listening; on the port it had before, if any."""
    app = web.Application()
    app.router.add_get("/ari/events", fake.events)
    app.router.add_route("*", "/ari/{path:.*}", fake.rest)
    runner = web.AppRunner(app, shutdown_timeout=0.05, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", fake.port, reuse_address=True)
    await site.start()
    fake.port = runner.addresses[0][1]
    try:
        yield fake
    finally:
        await runner.cleanup()


class Worker:
    """Takes what the adapter tells, and waits for it."""

    def __init__(self) -> None:
        self.told: list[Signal | Link] = []
        self._news = asyncio.Event()

    def take(self, each: Signal | Link) -> None:
        self.told.append(each)
        self._news.set()

    @property
    def events(self) -> list[CallEvent]:
        return [each.event for each in self.told if isinstance(each, Signal)]

    @property
    def links(self) -> list[Link]:
        return [each for each in self.told if isinstance(each, Link)]

    async def until(self, fits: Callable[[], bool], patience: float = PATIENCE) -> None:
        async with asyncio.timeout(patience):
            while not fits():
                self._news.clear()
                await self._news.wait()

    async def event(self, kind: type[_E]) -> _E:
        """The first event of this kind, now or when it comes."""
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))
        return next(event for event in self.events if isinstance(event, kind))

    async def link(self, up: bool, count: int = 1) -> Link:
        """The `count`-th time that the link is told up (or down)."""
        await self.until(lambda: sum(link.up is up for link in self.links) >= count)
        return [link for link in self.links if link.up is up][count - 1]


@contextlib.asynccontextmanager
async def running(settings: AriSettings, worker: Worker) -> AsyncIterator[AriPbx]:
    """The adapter, running; stopped at the end whatever happened."""
    pbx = AriPbx(settings, worker.take, clock=time, random=Random(1))
    task = asyncio.create_task(pbx.run())
    try:
        yield pbx
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def authorization() -> str:
    return "Basic " + base64.b64encode(f"orchestrator:{PASSWORD}".encode()).decode()
