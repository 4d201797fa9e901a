"""One WebSocket of ARI: events out, and REST requests that come over it, served one after another."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web

from orchestrator.pbx.virtual.ari.kinds import kind_of
from orchestrator.pbx.virtual.ari.request import Answer, BadBody, Request, fault, read_body
from orchestrator.pbx.virtual.ari.shapes import ENTITY, encode, stamp
from orchestrator.pbx.virtual.dice import Dice, Dropped, Outlet

MAX_WAITING = 20_000
"""Frames that may wait for a slow reader; beyond it the connection is cut, as Asterisk cuts it after 100
ms."""

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"})

Perform = Callable[[Request], "Answer | asyncio.Future[Answer]"]


class _Frame(msgspec.Struct, gc=False):
    type: str | None = None
    transaction_id: str = ""
    request_id: str = ""
    method: str = ""
    uri: str = ""
    query_strings: list[dict[str, str]] = []
    content_type: str = ""
    message_body: str = ""


_decode = msgspec.json.Decoder(_Frame).decode
_is_json = msgspec.json.Decoder().decode


class Socket:
    """One connection. `perform` carries a request out, `passes` says whether the answers' type is let
    through."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        dice: Dice,
        perform: Perform,
        now: Callable[[], float],
        apps: list[str],
        passes: Callable[[str, str], bool],
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._dice = dice
        self._perform = perform
        self._now = now
        self._apps = apps
        self._passes = passes
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._outlet = Outlet(dice, self._put)
        self._late: asyncio.Queue[tuple[float, str]] = asyncio.Queue(MAX_WAITING)

    def send(self, kind: str, frame: bytes) -> None:
        """Take an event; never waits."""
        self._outlet.push(frame)

    def cut(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    async def run(self) -> None:
        """Until the connection ends."""
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write())
            server = tasks.create_task(self._serve_late())
            with contextlib.suppress(Dropped):
                await self._read()
            self.cut()
            writer.cancel()
            server.cancel()

    def _put(self, frame: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.cut()
            return
        self._waiting.append(frame)
        self._wake.set()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._socket.send_frame(self._waiting.popleft(), WSMsgType.TEXT)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._socket.receive()
            if self._dice.faults.half_open:
                await self._dice.until_moving()
            if message.type is WSMsgType.TEXT:
                if self._dice.calm and self._late.empty():
                    await self._serve(message.data)
                else:
                    await self._late.put((loop.time() + self._dice.faults.latency, message.data))
            elif message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):
                    await self._socket.pong(message.data)
            elif message.type not in (WSMsgType.PONG, WSMsgType.BINARY):
                return

    async def _serve_late(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, text = await self._late.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            try:
                await self._serve(text)
            except Dropped:
                self.cut()
                return

    async def _serve(self, text: str) -> None:
        frame, request = _read_frame(text)
        if isinstance(request, Answer):
            self._answer(frame, request)
            return
        answer = await carried_out(self._dice, self._perform, request)
        if answer is not None:
            self._answer(frame, answer)

    def _answer(self, frame: _Frame, answer: Answer) -> None:
        told: dict[str, object] = {
            "type": "RESTResponse",
            "transaction_id": frame.transaction_id,
            "request_id": frame.request_id,
            "status_code": answer.status,
            "reason_phrase": answer.reason,
            "uri": frame.uri.partition("?")[0],
        }
        if answer.body:
            told["content_type"] = answer.kind
            told["message_body"] = answer.body.decode("utf-8", "replace")
        told["timestamp"] = stamp(self._now())
        told["asterisk_id"] = ENTITY
        for app in self._apps:
            if self._passes(app, "RESTResponse"):
                self._put(encode({**told, "application": app}))
                return


async def carried_out(dice: Dice, perform: Perform, request: Request) -> Answer | None:
    """The answer to a request with whatever goes wrong on the way; None for never. Raises `Dropped`."""
    kind = kind_of(request)
    if not dice.calm:
        fate = await dice.before(kind)
        if fate is None:
            return None
        if not fate:
            status = dice.faults.error_status
            return fault(status, "Fault by configuration", "Fault")
    answer = perform(request)
    if not isinstance(answer, Answer):
        answer = await answer
    if not dice.calm and not await dice.after(kind):
        return None
    return answer


def _read_frame(text: str) -> tuple[_Frame, Request | Answer]:
    """A frame, and the request in it or what to say instead of carrying one out."""
    try:
        frame = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Frame(), _unreadable(text)
    if frame.type is None:
        return frame, _bad("No 'type' property.")
    if frame.type != "RESTRequest":
        return frame, _bad("Unknown request type.")
    path, _, query = frame.uri.partition("?")
    if not path:
        return frame, _bad("Empty or missing 'uri' property.")
    if frame.method not in _METHODS:
        return frame, _bad("Unknown or missing 'method' property.")
    if path.startswith("/"):
        return frame, Answer(405, "Method Not Allowed", encode({"message": "Invalid method"}))
    if frame.message_body and not frame.content_type:
        return frame, _bad("No 'content_type' for 'message_body'.")
    try:
        body = read_body(frame.message_body.encode("utf-8", "replace"), frame.content_type)
    except BadBody:
        return frame, _bad(f"Unable to parse 'message_body' as '{frame.content_type}'.")
    parameters = parse_qsl(query, keep_blank_values=True)
    parameters += [(each.get("name", ""), each.get("value", "")) for each in frame.query_strings]
    return frame, Request(frame.method, path, parameters, body)


def _unreadable(text: str) -> Answer:
    try:
        _is_json(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer(400, "Failed to parse request message JSON")
    return _bad("No 'type' property.")


def _bad(message: str) -> Answer:
    return fault(400, message, "Bad request")
