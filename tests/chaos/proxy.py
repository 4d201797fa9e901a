"""What lies between the workers and Asterisk: a TCP proxy on the loopback that can drop, delay and lose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

CHUNK = 65536
DELAY = 0.3
"""Seconds by which `delay` holds up each piece."""

Fault = Literal["drop", "delay", "hold", "lose-requests", "lose-answers", "refuse"]
"""`drop`: every connection is reset. `delay`: each piece comes late. `hold`: nothing passes, and all of it
later. `lose-requests`, `lose-answers`: one direction of what is open now swallows everything and looks alive
(half open); mended, it is reset. `refuse`: every connection is reset and no new one is taken."""
Direction = Literal["request", "answer"]


class Tunnel:
    """One connection and its counterpart."""

    def __init__(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.writers = writers
        self.loses: set[Direction] = set()

    def reset(self) -> None:
        """End both sides at once, with a RST."""
        for writer in self.writers:
            found = writer.get_extra_info("socket")
            if found is not None:
                with contextlib.suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Relays to `target`, a port on 127.0.0.1. Made by `relaying`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._tunnels: set[Tunnel] = set()
        self._delay = 0.0
        self._refuses = False
        self._passes = asyncio.Event()
        self._passes.set()

    def cut(self, fault: Fault) -> None:
        """Begin a fault."""
        match fault:
            case "drop" | "refuse":
                self._refuses = fault == "refuse"
                self._reset_all()
            case "delay":
                self._delay = DELAY
            case "hold":
                self._passes.clear()
            case "lose-requests" | "lose-answers":
                for tunnel in self._tunnels:
                    tunnel.loses.add("request" if fault == "lose-requests" else "answer")

    def mend(self) -> None:
        """End every fault."""
        self._delay = 0.0
        self._refuses = False
        self._passes.set()
        for tunnel in tuple(self._tunnels):
            if tunnel.loses:
                tunnel.reset()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        if self._refuses:
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        tunnel = Tunnel((writer, there[1]))
        self._tunnels.add(tunnel)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there[1], tunnel, "request"))
                group.create_task(self._pump(there[0], writer, tunnel, "answer"))
        except* OSError:
            pass
        finally:
            self._tunnels.discard(tunnel)
            for each in tunnel.writers:
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tunnel: Tunnel, way: Direction
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._passes.wait()
            if writer.is_closing():
                return
            if way not in tunnel.loses:
                writer.write(data)
                await writer.drain()
        await self._passes.wait()
        if way not in tunnel.loses and not writer.is_closing():
            # An end is passed on; in a half-open tunnel the other side learns nothing.
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()

    def _reset_all(self) -> None:
        for tunnel in tuple(self._tunnels):
            tunnel.reset()


@contextlib.asynccontextmanager
async def relaying(target: int) -> AsyncIterator[Proxy]:
    """A proxy to a port of this machine, for as long as the block runs."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.mend()
        proxy._reset_all()
        await asyncio.sleep(0)
