"""The ARI face on a real socket: HTTP, the events' WebSocket, basic authentication and `api_key`."""

import asyncio
import base64
import binascii
import hmac
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

from orchestrator.pbx.virtual.ari import describe
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.request import Answer, BadBody, Request, fault, read_body
from orchestrator.pbx.virtual.ari.routes import dispatch
from orchestrator.pbx.virtual.ari.socket import Perform, Socket, carried_out
from orchestrator.pbx.virtual.dice import Dice, Dropped

_ROOT = "/ari/"
_MAX_BODY = 1024 * 1024
_DENIED = Answer(
    401,
    "Unauthorized",
    b'{"message":"Authentication required"}',
    headers=(("WWW-Authenticate", 'Basic realm="Asterisk REST Interface"'),),
)


class AriServer:
    """Answers requests for one face. `password` and `username` are what a client must know."""

    def __init__(self, face: AriFace, dice: Dice, username: str, password: str) -> None:
        self._face = face
        self._dice = dice
        self._credentials = f"{username}:{password}".encode()
        self._good = ""
        self._perform: Perform = lambda request: dispatch(face, request)
        self.sockets: set[Socket] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One HTTP request."""
        path = request.rel_url.raw_path
        if self._dice.faults.refuse:
            return await _broken_off(request)
        if not path.startswith(_ROOT):
            return _html(404, "Not Found")
        query = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
        if not self._knows(request.headers.get("Authorization", ""), dict(query).get("api_key", "")):
            return _response(_DENIED)
        path = path.removeprefix(_ROOT)
        if path == "events" and request.method == "GET":
            return await self._events(request, dict(query))
        if path.startswith("api-docs/") and request.method == "GET":
            return _response(describe.page(path.removeprefix("api-docs/"), str(request.url.origin())))
        try:
            body = read_body(await request.read(), request.content_type)
        except BadBody:
            return _response(fault(400, "Error parsing request body"))
        asked = Request(request.method, path, query, body)
        if self._dice.faults.latency:
            await asyncio.sleep(self._dice.faults.latency)
        try:
            answer = await carried_out(self._dice, self._perform, asked)
        except Dropped:
            return await _broken_off(request)
        if answer is None:
            return await _never()
        return _response(answer)

    def cut_all(self) -> None:
        """Break every WebSocket off."""
        for socket in list(self.sockets):
            socket.cut()

    def _knows(self, authorization: str, api_key: str) -> bool:
        if authorization and authorization == self._good:
            return True
        if not authorization:
            return hmac.compare_digest(unquote_plus(api_key).encode(), self._credentials)
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return False
        if scheme.lower() != "basic" or not hmac.compare_digest(given, self._credentials):
            return False
        self._good = authorization
        return True

    async def _events(self, request: web.BaseRequest, query: dict[str, str]) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _html(426, "Upgrade Required")
        names = [name for name in query.get("app", "").split(",") if name]
        if not names:
            return _html(400, "Bad Request")
        response = web.WebSocketResponse(
            autoping=False, autoclose=True, max_msg_size=_MAX_BODY, compress=False, timeout=0.1
        )
        await response.prepare(request)
        face = self._face

        def passes(name: str, kind: str) -> bool:
            app = face.apps.get(name)
            return app is None or app.passes(kind)

        now = face.switch.timeline.now
        socket = Socket(response, request.transport, self._dice, self._perform, now, names, passes)
        self.sockets.add(socket)
        everything = query.get("subscribeAll", "").lower() in ("true", "yes", "1")
        for name in names:
            face.apps.connect(name, socket, everything, now())
        try:
            await socket.run()
        finally:
            self.sockets.discard(socket)
            face.apps.disconnect(socket)
        return response


async def _never() -> web.Response:
    """A request that is lost is held until its client goes away, which cancels this."""
    await asyncio.Event().wait()
    return web.Response(status=504)


def _response(answer: Answer) -> web.Response:
    headers = dict(answer.headers)
    headers["Server"] = "Asterisk/virtual"
    headers["Cache-Control"] = "no-cache, no-store"
    if answer.body:
        headers["Content-Type"] = answer.kind
    return web.Response(status=answer.status, reason=answer.reason, body=answer.body or None, headers=headers)


def _html(status: int, title: str) -> web.Response:
    text = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return web.Response(status=status, reason=title, text=text, content_type="text/html")


async def _broken_off(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return await _never()
