"""A plain ARI client that writes everything down, for asking a real Asterisk and a virtual one the same
things."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

Json = dict[str, Any]

_CHANGES = frozenset({"timestamp", "asterisk_id", "application", "creationtime", "name", "protocol_id"})
_NOISE = re.compile(r"RTPAUDIO|BRIDGEPEER|BRIDGEPVTCALLID")
_MADE_UP = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{10}\.[0-9]+")


def bare(value: Any, app: str) -> Any:
    """A body or event without what differs from one switch, or one run, to the next."""
    if isinstance(value, dict):
        kept = {key: bare(each, app) for key, each in value.items() if key not in _CHANGES}
        if "technology" in kept:  # simple_bridge or native_rtp: how a switch carries the sound of two
            kept["technology"] = "any"
            kept["channels"] = sorted(kept["channels"])  # Asterisk has them in no order
        if "duration_ms" in kept:
            kept["duration_ms"] = "some"
        if "recording" in kept and "duration" in kept["recording"]:
            kept["recording"]["duration"] = "some"
        return kept
    if isinstance(value, list):
        return [bare(each, app) for each in value]
    return _MADE_UP.sub("ID", value.replace(app, "APP")) if isinstance(value, str) else value


class Client:
    """One application of one switch: what was asked and answered, and what events came, each with its
    time."""

    def __init__(self, url: str, password: str, app: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._password = password
        self._http = http
        self._began = time.monotonic()
        self._news = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self.app = app
        self.answers: list[tuple[str, int, str, Any]] = []
        self.events: list[tuple[float, Json]] = []

    async def connect(self) -> None:
        """Connect as the application."""
        query = {"app": self.app, "api_key": f"orchestrator:{self._password}"}
        self._socket = await self._http.ws_connect(f"{self._url}/events", params=query)
        self._reader = asyncio.create_task(self._read(self._socket))

    async def disconnect(self) -> None:
        """Leave; the application may live on."""
        if self._socket is not None and self._reader is not None:
            await self._socket.close()
            await self._reader

    async def ask(self, method: str, path: str, body: Json | None = None, **query: str) -> Any:
        """A request over HTTP; what it was answered, written down."""
        query["api_key"] = f"orchestrator:{self._password}"
        async with self._http.request(method, f"{self._url}/{path}", json=body, params=query) as answer:
            text = await answer.read()
            said = json.loads(text) if answer.content_type == "application/json" and text else None
            if path != "channels":  # the real one lists the far ends as well
                line = f"{method} {path} {sorted(query.keys() - {'api_key'})}"
                shown = bare(said, self.app)
                if answer.status == 201:  # queued, or already begun: whichever thread was faster
                    shown["state"] = "any"
                self.answers.append((line, answer.status, answer.reason or "", shown))
            return said

    async def forgotten(self, path: str, seconds: float = 5.0) -> None:
        """Wait until what is over is no longer known, and write down the answer that says so: Asterisk tells
        of the end a moment before it forgets."""
        query = {"api_key": f"orchestrator:{self._password}"}
        async with asyncio.timeout(seconds):
            while True:
                async with self._http.get(f"{self._url}/{path}", params=query) as answer:
                    if answer.status == 404:
                        break
                await asyncio.sleep(0.01)
        await self.ask("GET", path)

    async def over_socket(self, frame: str | Json) -> None:
        """A frame over the WebSocket; its answer comes as an event."""
        assert self._socket is not None
        count = self.count("RESTResponse")
        await self._socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        await self.until(lambda: self.count("RESTResponse") > count)

    def count(self, kind: str, **fields: Any) -> int:
        """How many such events came."""
        return sum(
            event["type"] == kind and all(event.get(name) == value for name, value in fields.items())
            for _, event in self.events
        )

    async def until(self, holds: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait for what the events are to show."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def event(self, kind: str, count: int = 1, **fields: Any) -> None:
        """Wait until so many such events came."""
        await self.until(lambda: self.count(kind, **fields) >= count)

    async def dial(self, number: str, channel: str, **body: object) -> None:
        """Originate into our application."""
        wanted = {"endpoint": f"PJSIP/1202555{number}@lab", "app": self.app, "callerId": "15550100", **body}
        await self.ask("POST", f"channels/{channel}", wanted)

    async def up(self, number: str, channel: str) -> None:
        """Originate, and wait until it is ours."""
        count = self.count("StasisStart")
        await self.dial(number, channel)
        await self.event("StasisStart", count + 1)

    def told(self) -> list[tuple[float, Any]]:
        """The events, bare, without the noise, in a fixed order where Asterisk has none: it tells of a
        ringing twice, and `Dial` may still say that the channel is down."""
        events = [
            (at - self._began, bare(event, self.app))
            for at, event in self.events
            if not _NOISE.match(str(event.get("variable", "")))
        ]
        return settled_order(events)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.events.append((time.monotonic(), json.loads(message.data)))
                self._news.set()


def settled_order(events: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
    """Asterisk tells that a dial begins and what comes of it from three threads: `Dial` twice, and
    ChannelStateChange. They come in any order, and a `Dial` may say either state. What a callee does at once,
    a refusal or an answer, may be told before the `Dial` that begins."""
    _begin_first(events)
    order = {("Dial", ""): 0, ("ChannelStateChange", "Ringing"): 1, ("Dial", "RINGING"): 2}

    def place(event: Json) -> int:
        detail = event.get("dialstatus", event.get("channel", {}).get("state"))
        return order.get((event["type"], detail), -1)

    settled: list[tuple[float, Any]] = []
    for kind, group in itertools.groupby(events, key=lambda each: place(each[1]) >= 0):
        told = list(group)
        if kind and len(told) == len(order):
            told.sort(key=lambda each: place(each[1]))
            told[0][1]["peer"]["state"], told[2][1]["peer"]["state"] = "Down", "Ringing"
        settled += told
    return settled


def _begin_first(events: list[tuple[float, Any]]) -> None:
    """Put each `Dial` that begins before what came of it, if it was told after."""
    for n, told in enumerate(list(events)):
        if told[1].get("dialstatus") != "":
            continue
        peer, first = told[1]["peer"], n
        while first and _comes_of(events[first - 1][1], peer["id"]):
            first -= 1
        if first < n:
            events.insert(first, events.pop(n))
            peer["state"] = "Down"


def _comes_of(event: Json, channel: str) -> bool:
    """Whether it tells what came of the channel's dial."""
    match event["type"]:
        case "ChannelStateChange" | "ChannelHangupRequest":
            return bool(event["channel"]["id"] == channel)
        case "Dial":
            return bool(event["peer"]["id"] == channel)
        case _:
            return False


@contextlib.asynccontextmanager
async def client_of(url: str, password: str, app: str) -> AsyncIterator[Client]:
    """A connected client."""
    async with aiohttp.ClientSession() as http:
        client = Client(url, password, app, http)
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()
