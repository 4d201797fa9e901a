"""One WebSocket to Asterisk: its text frames, requests that leave at once, pings that keep it honest."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NoReturn

import aiohttp

from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.handshake import WebSocket
from orchestrator.pbx.ari.rest import Outgoing, RequestTable
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.pbx.pings import keep_alive

_TEXT = aiohttp.WSMsgType.TEXT


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


class Stream:
    """Asterisk serves the requests of one WebSocket one after another, those of two at the same time."""

    def __init__(
        self, settings: AriSettings, socket: WebSocket, table: RequestTable, left: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._socket = socket
        self._table = table
        self._left = left
        # Bounded by the table: nothing is queued that is not entered there.
        self._out: asyncio.Queue[Outgoing | _Begun | PbxUnreachable] = asyncio.Queue()
        self._direct = False
        """Whether requests are written to the WebSocket, and nothing waits to be written before."""
        self._heard = 0
        self._to_pong: bytes | None = None

    async def read(self, take: Callable[[Any], None]) -> NoReturn:
        """Hand over each text frame as it comes. Nothing is awaited but the next one. Raises what `take`
        raises, and `PbxUnreachable` at the stream's end."""
        while True:
            frame = await self._socket.receive()
            self._heard += 1
            if frame.type is _TEXT:
                take(frame.data)
            else:
                self._take_control(frame.type, frame.data)

    def put(self, outgoing: Outgoing) -> None:
        """Send a request that is entered in the table. At once where that can be: to wake a task first would
        keep an answered callee waiting for whatever else the loop has to do."""
        if self._direct:
            self._write_now(outgoing)
        else:
            self._out.put_nowait(outgoing)

    async def lane(self) -> None:
        """Write what could not be written at once: what came before, and what a full socket held up."""
        while True:
            self._direct = self._out.empty()
            begun = await self._out.get()
            if isinstance(begun, PbxUnreachable):
                raise begun
            if isinstance(begun, _Begun):
                await begun
            elif self._table.leave(begun.id):
                await self.write(_frame(begun))
                self._left(begun.id)

    async def write(self, frame: bytes, kind: aiohttp.WSMsgType = _TEXT) -> None:
        """Write a frame. Raises `PbxUnreachable`."""
        try:
            await self._socket.send_frame(frame, kind)
        except (aiohttp.ClientError, OSError):
            raise PbxUnreachable(f"pbx {self._settings.name}: the connection broke off") from None

    async def pong(self) -> None:
        """Answer the peer's last ping, if it has none yet."""
        if self._to_pong is not None:
            data, self._to_pong = self._to_pong, None
            await self.write(data, aiohttp.WSMsgType.PONG)

    async def keep_alive(self) -> None:
        """Notice a peer that is silent. Raises `PbxUnreachable`."""
        silent = f"pbx {self._settings.name}: no answer to a ping; the network or Asterisk stalls"
        await keep_alive(
            self._settings.ping_interval,
            lambda: self._heard,
            lambda: self.write(b"", aiohttp.WSMsgType.PING),
            silent,
        )

    async def close(self) -> None:
        """Close it, and wait a moment for the peer to do so."""
        await self._socket.close()

    def _take_control(self, kind: aiohttp.WSMsgType, data: Any) -> None:
        """A frame that is no text: a ping to be answered by the sweep, a pong, or the end."""
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

    def _write_now(self, outgoing: Outgoing) -> None:
        if not self._table.leave(outgoing.id):
            return
        writing = self.write(_frame(outgoing))
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


def _frame(outgoing: Outgoing) -> bytes:
    call = outgoing.call
    return wire.encode_request(str(outgoing.id), call.method, call.path, call.body)
