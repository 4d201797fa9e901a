"""A webhook receiver that misbehaves by the seed, and writes down all that it was sent and what it answered.

Each line of its log is a JSON object: `at`, `id` (webhook-id), `taken` (answered with 2xx), `said`, `event`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal, cast

Answer = Literal["204", "500", "503", "hang", "reset"]
"""`503` asks to come back in a second; `hang` says nothing until the sender gives up; `reset` is a RST."""

FAULTS: Final[dict[Answer, float]] = {"500": 0.01, "503": 0.015, "hang": 0.004, "reset": 0.006}
"""The part of events that meet each fault, at their first arrival only: a second one would make the sender
wait for half a minute."""
TEXTS: Final[dict[Answer, bytes]] = {
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "503": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
}


class Receiver:
    """Made by `receiving`. With `faulty` False it always answers 204."""

    def __init__(self, seed: int, log: Path, *, faulty: bool) -> None:
        self.arrived = 0
        self._seed = seed
        self._faulty = faulty
        self._seen: set[str] = set()
        self._log = log.open("wb")
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[Wire] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/events"

    async def up(self) -> None:
        """Listen, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Wire(self, self._open), "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def down(self) -> None:
        """As if it had died: connections are reset, new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for wire in tuple(self._open):
            wire.reset()

    def close(self) -> None:
        """Stop for good."""
        self.down()
        self._log.close()

    def flush(self) -> None:
        """Bring the log up to date."""
        self._log.flush()

    def take(self, webhook_id: str, body: bytes) -> Answer:
        """Decide, and write down, what to answer."""
        said: Answer = "204" if webhook_id in self._seen else self._first(webhook_id)
        self._seen.add(webhook_id)
        self.arrived += 1
        head = {"at": time.time(), "id": webhook_id, "taken": said == "204", "said": said}
        self._log.write(json.dumps(head).encode()[:-1] + b', "event": ' + body + b"}\n")
        return said

    def _first(self, webhook_id: str) -> Answer:
        if self._faulty:
            chance = random.Random(f"{self._seed}/{webhook_id}").random()
            for answer, part in FAULTS.items():
                chance -= part
                if chance < 0:
                    return answer
        return "204"


class Wire(asyncio.Protocol):
    """One connection: just enough HTTP/1.1 for requests with a Content-Length."""

    def __init__(self, receiver: Receiver, wires: set[Wire]) -> None:
        self._receiver = receiver
        self._wires = wires
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._wires.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._wires.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._transport is not None and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            headers = dict(
                line.split(b": ", 1) for line in self._buffer[:end].lower().split(b"\r\n") if b": " in line
            )
            length = int(headers[b"content-length"])
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            said = self._receiver.take(headers[b"webhook-id"].decode(), body)
            if said == "reset":
                self.reset()
            elif said != "hang":
                self._transport.write(TEXTS[said])

    def reset(self) -> None:
        """End it with a RST."""
        if self._transport is None:
            return
        found = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


@contextlib.asynccontextmanager
async def receiving(seed: int, log: Path, *, faulty: bool) -> AsyncIterator[Receiver]:
    """A receiver, for as long as the block runs."""
    receiver = Receiver(seed, log, faulty=faulty)
    try:
        await receiver.up()
        yield receiver
    finally:
        receiver.close()
