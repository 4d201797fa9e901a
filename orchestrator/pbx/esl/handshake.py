"""From nothing to an event socket that listens to us: connect, and say the password."""

import asyncio
import contextlib
import os
import socket
from collections import deque
from typing import Final

from orchestrator.pbx.errors import PbxConfigError, PbxUnreachable
from orchestrator.pbx.esl.frames import Frame, FrameReader
from orchestrator.pbx.esl.settings import EslSettings

_CHUNK: Final = 64 << 10
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""The kernel's own watch over an idle connection, in seconds and probes. Our pings are quicker; this is for
the time in which a task of ours hangs."""


class Stream:
    """The two directions of one connection, cut into frames."""

    def __init__(self, node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._node = node
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._ready: deque[Frame] = deque()

    async def receive(self) -> list[Frame]:
        """The frames that the next bytes complete, maybe none. Raises `PbxUnreachable` at the end of the
        connection, `PbxProtocolError` for what is no ESL."""
        if self._ready:
            frames = list(self._ready)
            self._ready.clear()
            return frames
        try:
            data = await self._reader.read(_CHUNK)
        except OSError as fault:
            raise PbxUnreachable(f"{self._node}: the connection broke off ({brief(fault)})") from None
        if not data:
            raise PbxUnreachable(f"{self._node}: FreeSWITCH closed the connection")
        return self._frames.feed(data)

    async def one(self) -> Frame:
        """The next frame."""
        while not self._ready:
            self._ready.extend(await self.receive())
        return self._ready.popleft()

    def check_open(self) -> None:
        """Raises `PbxUnreachable` when nothing that is written now could leave any more."""
        if self._writer.is_closing():
            raise PbxUnreachable(f"{self._node}: the connection broke off")

    def write(self, data: bytes) -> None:
        """Hand over what is to leave. Raises `PbxUnreachable`; then some of it may have left."""
        try:
            self._writer.write(data)
        except (OSError, RuntimeError):  # RuntimeError: uvloop's word for a handle that is closed
            raise PbxUnreachable(f"{self._node}: the connection broke off") from None

    async def drain(self) -> None:
        """Wait until what was written has left our hands, more or less. Raises `PbxUnreachable`."""
        try:
            await self._writer.drain()
        except OSError as fault:
            raise PbxUnreachable(f"{self._node}: the connection broke off ({brief(fault)})") from None

    async def close(self) -> None:
        """Let go, without waiting for a peer that does not answer."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def open_stream(settings: EslSettings) -> Stream:
    """An authenticated connection. Raises `PbxConfigError`, `PbxUnreachable`, `PbxProtocolError`."""
    node = f"pbx {settings.name}"
    stream: Stream | None = None
    try:
        async with asyncio.timeout(settings.request_timeout):
            reader, writer = await asyncio.open_connection(settings.host, settings.port)
            stream = Stream(node, reader, writer)
            _keep_alive(writer)
            await _authenticate(stream, node, settings.password)
    except (OSError, TimeoutError) as fault:
        if stream is not None:
            await stream.close()
        raise PbxUnreachable(f"{node}: no event socket answers at {settings.url} ({brief(fault)})") from None
    except BaseException:
        if stream is not None:
            await stream.close()
        raise
    return stream


async def _authenticate(stream: Stream, node: str, password: str) -> None:
    greeting = await stream.one()
    refuse_rude(greeting, node)
    if greeting.kind != "auth/request":
        raise PbxConfigError(f"{node}: what answers there is no event socket of FreeSWITCH; correct pbx.url")
    stream.write(f"auth {password}\n\n".encode())
    await stream.drain()
    answer = await stream.one()
    refuse_rude(answer, node)
    if not answer.reply.startswith("+OK"):
        raise PbxConfigError(f"{node}: wrong ESL password; compare with event_socket.conf.xml")


def refuse_rude(frame: Frame, node: str) -> None:
    """Raises `PbxConfigError` when the frame says that our address may not connect."""
    if frame.kind == "text/rude-rejection":
        raise PbxConfigError(
            f"{node}: FreeSWITCH does not let this address in; see apply-inbound-acl in event_socket.conf.xml"
        )


def brief(fault: BaseException) -> str:
    """The operating system's word where there is one."""
    if isinstance(fault, OSError) and fault.errno and not isinstance(fault, socket.gaierror):
        return os.strerror(fault.errno)
    return "no answer in time" if isinstance(fault, TimeoutError) else type(fault).__name__


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("socket")
    if peer is None:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
