"""One connection's life: a reader that never waits, lanes that carry requests out, and a sweep for deadlines.

Where requests go over a WebSocket, originates have one of their own. Asterisk serves those of one WebSocket
one after another, and an originate takes it milliseconds: the first word to an answered callee would wait for
every originate before it.

All its tasks live in one task group; the first to fail ends the connection with a `PbxError` that says why.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.handshake import WebSocket, narrow_events, open_socket
from orchestrator.pbx.ari.pooled import NotSent, exchange
from orchestrator.pbx.ari.rest import Outcome, Outgoing, RequestTable
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.ari.stream import Stream
from orchestrator.pbx.ari.translate import Told, translate
from orchestrator.pbx.cancelled import for_ever, raise_if_cancelled
from orchestrator.pbx.errors import PbxError, PbxUnreachable, weightiest

log = structlog.get_logger(__name__)

_PROBE = "probe"
_SLOW_LANES = 4
"""Requests at once of those that wait for something on a channel: within what the pool has to spare."""


class Replaced(PbxUnreachable):
    """Another client connected with our application's name."""


class Connection:
    """Reads one event stream and carries requests to the same server."""

    def __init__(
        self,
        settings: AriSettings,
        http: aiohttp.ClientSession,
        events: WebSocket,
        table: RequestTable,
        tell: Callable[[Told], None],
        left: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._http = http
        self._events = Stream(settings, events, table, left)
        self._dials: Stream | None = None
        """For originates and what must not overtake them; None while requests go over HTTP."""
        self._table = table
        self._tell = tell
        self._left = left
        self._now = asyncio.get_running_loop().time
        # Bounded by the table: nothing is queued that is not entered there.
        self._pooled: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._slow: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._probed = asyncio.Event()

    def put(self, outgoing: Outgoing) -> None:
        """Send a request that is entered in the table. Never waits."""
        if outgoing.call.waits:
            self._slow.put_nowait(outgoing)
        elif self._dials is None:
            self._pooled.put_nowait(outgoing)
        elif outgoing.dials:
            self._dials.put(outgoing)
        else:
            self._events.put(outgoing)

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
                tasks.create_task(self._events.read(self._take_event), name="ari reader")
                if not await narrow_events(self._http, self._settings):
                    log.warning("ari_no_event_filter", pbx=self._settings.name)
                transport = await self._choose_transport()
                if transport == "websocket":
                    dials = await open_socket(self._http, self._settings, f"{self._settings.app}-dials")
                    self._dials = Stream(self._settings, dials, self._table, self._left)
                    tasks.create_task(self._dials.read(self._take_answer), name="ari dials")
                    for stream in (self._events, self._dials):
                        tasks.create_task(stream.lane(), name="ari lane")
                    tasks.create_task(self._dials.keep_alive(), name="ari pings")
                else:
                    for _ in range(self._settings.http_connections):
                        tasks.create_task(self._http_lane(self._pooled.get), name="ari lane")
                for _ in range(_SLOW_LANES):
                    tasks.create_task(self._http_lane(self._slow.get), name="ari slow lane")
                tasks.create_task(self._sweep(), name="ari deadlines")
                tasks.create_task(self._events.keep_alive(), name="ari pings")
                established(transport)
                await for_ever()
        except* PbxError as group:
            failure = weightiest(group)
        if failure is not None:
            raise_if_cancelled()
            raise failure

    async def close(self) -> None:
        """Close what is open; at once, without waiting for the peer, if cancelled meanwhile."""
        try:
            await self._events.close()
        finally:
            if self._dials is not None:
                await self._dials.close()

    def _take_event(self, frame: bytes | str) -> None:
        event = wire.decode(frame)
        if event is None:
            return
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

    def _take_answer(self, frame: bytes | str) -> None:
        """The originates' own application is subscribed to nothing. Who takes it takes the events' too."""
        event = wire.decode(frame)
        if isinstance(event, wire.RESTResponse):
            self._take_response(event)

    def _take_response(self, response: wire.RESTResponse) -> None:
        if response.request_id.isdecimal():
            answer = Answer(response.status_code, response.reason_phrase, response.message_body)
            self.expect(self._table.answer(int(response.request_id), answer, self._now()))
        elif response.request_id == _PROBE:
            self._probed.set()

    async def _choose_transport(self) -> str:
        """Ask over the WebSocket; a server too old for that does not answer, and is asked over HTTP."""
        if self._settings.transport != "auto":
            return self._settings.transport
        await self._events.write(wire.encode_request(_PROBE, "GET", "asterisk/ping", b""))
        try:
            async with asyncio.timeout(self._settings.probe_timeout):
                await self._probed.wait()
        except TimeoutError:
            return "http"
        return "websocket"

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
            await self._events.pong()
            if self._dials is not None:
                await self._dials.pong()
