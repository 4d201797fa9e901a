"""One connection's life: a reader that never waits, lanes that carry requests out, and a sweep for deadlines.

All its tasks live in one task group; the first to fail ends the connection with a `PbxError` that says why.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import aiohttp
import structlog

from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.handshake import EventStream, narrow_events
from orchestrator.pbx.ari.pooled import NotSent, exchange
from orchestrator.pbx.ari.rest import Outcome, Outgoing, RequestTable
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.ari.translate import Told, translate
from orchestrator.pbx.cancelled import for_ever, raise_if_cancelled
from orchestrator.pbx.errors import PbxError, PbxUnreachable, weightiest

log = structlog.get_logger(__name__)

_PROBE = "probe"
_SLOW_LANES = 4
"""Requests at once of those that wait for something on a channel: within what the pool has to spare."""
_TEXT = aiohttp.WSMsgType.TEXT


class Replaced(PbxUnreachable):
    """Another client connected with our application's name."""


class _Begun:
    """A write that was begun outside of any task, and that the peer does not take yet. Await it to go on."""

    def __init__(self, writing: Coroutine[Any, None, None], waits_for: Any) -> None:
        self._writing = writing
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, None, None]:
        while True:
            yield self._waits_for
            try:
                self._waits_for = self._writing.send(None)
            except StopIteration:
                return


class Connection:
    """Reads one event stream and carries requests to the same server."""

    def __init__(
        self,
        settings: AriSettings,
        http: aiohttp.ClientSession,
        events: EventStream,
        table: RequestTable,
        tell: Callable[[Told], None],
        left: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._http = http
        self._events = events
        self._table = table
        self._tell = tell
        self._left = left
        self._now = asyncio.get_running_loop().time
        # Bounded by the table: nothing is queued that is not entered there.
        self._out: asyncio.Queue[Outgoing | _Begun | PbxUnreachable] = asyncio.Queue()
        self._direct = False
        """Whether requests are written to the WebSocket, and nothing waits to be written before."""
        self._slow: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._probed = asyncio.Event()
        self._heard = 0
        self._to_pong: bytes | None = None

    def put(self, outgoing: Outgoing) -> None:
        """Send a request that is entered in the table. At once where that can be: to wake a task first would
        keep an answered callee waiting for whatever else the loop has to do."""
        if outgoing.call.waits:
            self._slow.put_nowait(outgoing)
        elif self._direct:
            self._write_now(outgoing)
        else:
            self._out.put_nowait(outgoing)

    def expect(self, outcome: Outcome) -> None:
        """Pass on what a request came to."""
        for told in outcome.told:
            self._tell(told)
        for outgoing in outcome.next:
            self.put(outgoing)

    async def run(self, established: Callable[[str], None]) -> None:
        """Until the connection ends; always by raising. `established` is told the transport once usable."""
        failure: PbxError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(), name="ari reader")
                if not await narrow_events(self._http, self._settings):
                    log.warning("ari_no_event_filter", pbx=self._settings.name)
                transport = await self._choose_transport()
                if transport == "websocket":
                    tasks.create_task(self._websocket_lane(), name="ari lane")
                else:
                    for _ in range(self._settings.http_connections):
                        tasks.create_task(self._http_lane(self._next_out), name="ari lane")
                for _ in range(_SLOW_LANES):
                    tasks.create_task(self._http_lane(self._slow.get), name="ari slow lane")
                tasks.create_task(self._sweep(), name="ari deadlines")
                tasks.create_task(self._keep_alive(), name="ari pings")
                established(transport)
                await for_ever()
        except* PbxError as group:
            failure = weightiest(group)
        if failure is not None:
            raise_if_cancelled()
            raise failure

    async def _read(self) -> None:
        """Nothing but decode and hand over: no await but for the next frame."""
        while True:
            frame = await self._events.receive()
            self._heard += 1
            if frame.type is not _TEXT:
                self._take_control(frame.type, frame.data)
                continue
            event = wire.decode(frame.data)
            if event is None:
                continue
            if isinstance(event, wire.RESTResponse):
                self._take_response(event)
            elif isinstance(event, wire.ApplicationReplaced):
                raise Replaced(
                    f"pbx {self._settings.name}: another client connected as application "
                    f"{self._settings.app!r} and now gets its events; give each worker its own app"
                )
            else:
                told = translate(event)
                if told is not None:
                    self._tell(told)

    def _take_response(self, response: wire.RESTResponse) -> None:
        if response.request_id.isdecimal():
            answer = Answer(response.status_code, response.reason_phrase, response.message_body)
            self.expect(self._table.answer(int(response.request_id), answer, self._now()))
        elif response.request_id == _PROBE:
            self._probed.set()

    def _take_control(self, kind: aiohttp.WSMsgType, data: Any) -> None:
        """A frame that is no event: a ping to be answered by the sweep, a pong, or the end."""
        node = f"pbx {self._settings.name}"
        match kind:
            case aiohttp.WSMsgType.PONG:
                pass  # being heard is all that it is for
            case aiohttp.WSMsgType.PING:
                self._to_pong = data
            case aiohttp.WSMsgType.CLOSE | aiohttp.WSMsgType.CLOSING:
                raise PbxUnreachable(f"{node}: Asterisk closed the connection (code {data})")
            case _:
                raise PbxUnreachable(f"{node}: the connection broke off")

    async def _choose_transport(self) -> str:
        """Ask over the WebSocket; a server too old for that does not answer, and is asked over HTTP."""
        if self._settings.transport != "auto":
            return self._settings.transport
        await self._write(wire.encode_request(_PROBE, "GET", "asterisk/ping", b""))
        try:
            async with asyncio.timeout(self._settings.probe_timeout):
                await self._probed.wait()
        except TimeoutError:
            return "http"
        return "websocket"

    async def _websocket_lane(self) -> None:
        """Writes what could not be written at once: what came before, and what a full socket held up."""
        while True:
            self._direct = self._out.empty()
            begun = await self._out.get()
            if isinstance(begun, PbxUnreachable):
                raise begun
            if isinstance(begun, _Begun):
                await begun
            elif self._table.leave(begun.id):
                await self._write(_frame(begun))
                self._left(begun.id)

    def _write_now(self, outgoing: Outgoing) -> None:
        if not self._table.leave(outgoing.id):
            return
        writing = self._write(_frame(outgoing))
        try:
            waits_for = writing.send(None)
        except StopIteration:
            self._left(outgoing.id)
        except PbxUnreachable as fault:
            self._hold(fault)
        else:
            self._left(outgoing.id)
            self._hold(_Begun(writing, waits_for))

    def _hold(self, begun: _Begun | PbxUnreachable) -> None:
        self._direct = False
        self._out.put_nowait(begun)

    async def _next_out(self) -> Outgoing:
        """The next request, where all go over HTTP: then nothing else is queued."""
        outgoing = await self._out.get()
        assert isinstance(outgoing, Outgoing)  # noqa: S101
        return outgoing

    async def _write(self, frame: bytes, kind: aiohttp.WSMsgType = _TEXT) -> None:
        try:
            await self._events.send_frame(frame, kind)
        except (aiohttp.ClientError, OSError):
            raise PbxUnreachable(f"pbx {self._settings.name}: the connection broke off") from None

    async def _http_lane(self, get: Callable[[], Awaitable[Outgoing]]) -> None:
        """One of several, so that requests overlap as far as the pool allows and no further."""
        while True:
            outgoing = await get()
            if not self._table.leave(outgoing.id):
                continue
            self._left(outgoing.id)
            try:
                answer = await exchange(self._http, self._settings, outgoing.call)
            except NotSent:
                self.expect(self._table.lose(outgoing.id, "not_sent", "no connection"))
            except PbxUnreachable:
                self.expect(self._table.lose(outgoing.id, "unconfirmed", "no answer"))
            else:
                self.expect(self._table.answer(outgoing.id, answer, self._now()))

    async def _sweep(self) -> None:
        """One timer for all deadlines: cheaper than one a request, and no finer than anybody needs."""
        pause = min(0.25, self._settings.request_timeout / 10, self._settings.originate_timeout / 10)
        while True:
            await asyncio.sleep(pause)
            self.expect(self._table.expire(self._now()))
            if self._to_pong is not None:
                data, self._to_pong = self._to_pong, None
                await self._write(data, aiohttp.WSMsgType.PONG)

    async def _keep_alive(self) -> None:
        """Ping a peer that has been silent for half an interval; it has one interval to be heard."""
        interval = self._settings.ping_interval
        while True:
            heard = self._heard
            await asyncio.sleep(interval / 2)
            if heard != self._heard:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._write(b"", aiohttp.WSMsgType.PING)
                    await asyncio.sleep(interval)
            if heard == self._heard:
                raise PbxUnreachable(
                    f"pbx {self._settings.name}: no answer to a ping; the network or Asterisk stalls"
                )


def _frame(outgoing: Outgoing) -> bytes:
    call = outgoing.call
    return wire.encode_request(str(outgoing.id), call.method, call.path, call.body)
