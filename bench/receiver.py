"""A webhook receiver that costs next to nothing: it answers 204 and notes when each body came.

Run as a process of its own: `python -m bench.receiver PORT FILE`. Every line of FILE is
`<seconds since the epoch> <body>`; it is written when the process is told to stop (SIGTERM).
"""

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver(asyncio.Protocol):
    """Just enough HTTP/1.1 for requests with a Content-Length."""

    def __init__(self, got: list[tuple[float, bytes]]) -> None:
        self._got = got
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._got.append((time.time(), self._buffer[end + 4 : end + 4 + length]))
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(ANSWER)


async def serve(port: int, got: list[tuple[float, bytes]]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(lambda: Receiver(got), "127.0.0.1", port)
    async with server:
        await stop.wait()


def main() -> None:
    got: list[tuple[float, bytes]] = []
    uvloop.run(serve(int(sys.argv[1]), got))
    Path(sys.argv[2]).write_bytes(b"\n".join(b"%.6f %s" % (at, body) for at, body in got))


if __name__ == "__main__":
    main()
