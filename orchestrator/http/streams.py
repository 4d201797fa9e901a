"""A job's notifications as they come: `text/event-stream` (WHATWG HTML, server-sent events).

Each event's `id` is its sequence, so a client that comes again with `Last-Event-ID` misses nothing. The
stream ends after `job.ended`; a client that comes again then gets 204, which tells it to stay away. Who
reads too slowly is cut off, and comes again from where it was.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

import msgspec
from aiohttp import web

from orchestrator.http.history import notifications
from orchestrator.http.problems import Refusal, later
from orchestrator.http.watching import Watching
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import JobState, Outgoing

RETRY_MS: Final = 1000
"""Milliseconds after which a client comes again when the connection broke."""
SEND_BUFFER: Final = 32 * 1024
"""Bytes that the kernel may hold for a reader: with megabytes a slow one would never show."""


class Pace(msgspec.Struct, frozen=True):
    """The stream's times, in seconds."""

    heartbeat: float = 15.0
    """Between two comments on a stream without news, so that nothing on the way takes it for dead."""
    look: float = 1.0
    """Between two looks at the ledger: another process may have written to it."""
    slow: float = 10.0
    """That a reader gets to take what was sent."""


class Streams:
    """All live streams."""

    def __init__(self, ledger: Ledger, watching: Watching, most: int, worker: str, pace: Pace) -> None:
        self._ledger = ledger
        self._watching = watching
        self._most = most
        self._worker = worker
        self._pace = pace
        self._open = 0
        self._closing = False

    def __len__(self) -> int:
        return self._open

    def close(self) -> None:
        """End every stream; clients come again, to whoever then listens."""
        self._closing = True
        self._watching.ring_all()

    async def serve(
        self, request: web.Request, job_id: str, still: Callable[[], bool] = lambda: True
    ) -> web.StreamResponse:
        """Tell the job's events until its end, or the client's, or until it may not hear them any more.

        Raises `Refusal`.
        """
        with self._place():
            seen = last_seen(request)
            news, ended = await self._news(job_id, seen)
            if ended and not news and seen:
                return web.Response(status=204)
            answer = web.StreamResponse(
                headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
            )
            _shorten(request)
            await answer.prepare(request)
            with contextlib.suppress(ConnectionError, TimeoutError, Refusal):
                await self._write(request, answer, b"retry: %d\n\n" % RETRY_MS)
                async for part in self._parts(job_id, seen, still):
                    await self._write(request, answer, part)
                await self._finish(answer)
                return answer
            _cut(request)  # too slow, gone, or its job forgotten
            return answer

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= self._most:
            raise later("unavailable", "too many streams are open; ask for JSON instead.", 5.0)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _parts(self, job_id: str, seen: int, still: Callable[[], bool]) -> AsyncIterator[bytes]:
        """What goes over the wire, until the job has ended."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + self._pace.heartbeat
        with self._watching.of(job_id) as bell:
            while not self._closing and still():
                bell.clear()  # before the look: what comes after it rings again
                news, ended = await self._news(job_id, seen)
                for event in news:
                    yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
                        event.sequence,
                        event.type.encode(),
                        event.body,
                    )
                    seen = event.sequence
                if ended:
                    return
                if news:
                    beat_at = loop.time() + self._pace.heartbeat
                elif loop.time() >= beat_at:
                    yield b": still here\n\n"
                    beat_at = loop.time() + self._pace.heartbeat
                wait = min(self._pace.look, max(0.0, beat_at - loop.time()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await bell.wait()

    async def _news(self, job_id: str, seen: int) -> tuple[Sequence[Outgoing], bool]:
        followed = await self._ledger.follow(job_id)
        if followed is None:
            raise Refusal("not-found", "there is no such job.")
        told = notifications(followed, self._worker)
        return [event for event in told if event.sequence > seen], followed.job.state is JobState.ENDED

    async def _write(self, request: web.Request, answer: web.StreamResponse, part: bytes) -> None:
        async with asyncio.timeout(self._pace.slow):
            await answer.write(part)
            transport = request.transport
            # aiohttp waits for a reader only when 64 KiB have gathered; no job has as much to tell.
            while transport is not None and transport.get_write_buffer_size():
                await asyncio.sleep(0.05)
                transport = request.transport

    async def _finish(self, answer: web.StreamResponse) -> None:
        async with asyncio.timeout(self._pace.slow):
            await answer.write_eof()


def last_seen(request: web.Request) -> int:
    """The sequence of the last event that the client had.

    Raises `Refusal`.
    """
    text = request.headers.get("Last-Event-ID", "0")
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refusal("malformed", "Last-Event-ID must be the `id` of an event that came.")
    return int(text)


def _shorten(request: web.Request) -> None:
    own = request.transport.get_extra_info("socket") if request.transport is not None else None
    if own is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def _cut(request: web.Request) -> None:
    """Drop the connection with what has not been read: there is no answer to finish."""
    if request.transport is not None:
        request.transport.abort()
