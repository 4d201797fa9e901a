"""The proxy passes everything on, until it is told to lose, hold, delay or refuse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import DELAY, Proxy, relaying

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON = 0.15
"""Long enough to say that nothing comes."""


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """A proxy before a server that answers every line with the same line, and notes it."""
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                heard.append(line)
                writer.write(line)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, relaying(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, heard


@contextlib.asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(streams: Streams, line: bytes = b"hello\n") -> bytes:
    reader, writer = streams
    writer.write(line)
    async with asyncio.timeout(5):
        return await reader.readline()


async def is_reset(streams: Streams) -> bool:
    async with asyncio.timeout(5):
        try:
            return await streams[0].readline() == b""
        except OSError:
            return True


async def nothing_comes(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SOON):
            await reader.readline()
    except TimeoutError:
        return True
    return False


async def test_what_is_said_arrives_on_both_sides() -> None:
    async with echoing() as (proxy, heard), connected(proxy) as streams:
        assert await ask(streams) == b"hello\n"
        assert heard == [b"hello\n"]


async def test_a_drop_resets_what_is_open_and_takes_new_connections() -> None:
    async with echoing() as (proxy, _), connected(proxy) as streams:
        await ask(streams)
        proxy.cut("drop")
        assert await is_reset(streams)
        async with connected(proxy) as again:
            assert await ask(again) == b"hello\n"


async def test_a_refusal_takes_no_new_connection_until_it_is_mended() -> None:
    async with echoing() as (proxy, _):
        proxy.cut("refuse")
        async with connected(proxy) as streams:
            assert await is_reset(streams)
        proxy.mend()
        async with connected(proxy) as streams:
            assert await ask(streams) == b"hello\n"


async def test_a_delay_holds_up_each_piece() -> None:
    async with echoing() as (proxy, _), connected(proxy) as streams:
        await ask(streams)
        proxy.cut("delay")
        began = asyncio.get_running_loop().time()
        assert await ask(streams) == b"hello\n"
        assert asyncio.get_running_loop().time() - began >= DELAY


async def test_what_was_held_comes_later_whole_and_in_order() -> None:
    async with echoing() as (proxy, heard), connected(proxy) as streams:
        await ask(streams)
        proxy.cut("hold")
        streams[1].write(b"one\n")
        streams[1].write(b"two\n")
        assert await nothing_comes(streams[0])
        proxy.mend()
        async with asyncio.timeout(5):
            assert await streams[0].readline() == b"one\n"
            assert await streams[0].readline() == b"two\n"
        assert heard[1:] == [b"one\n", b"two\n"]


@pytest.mark.parametrize(("fault", "reached"), [("lose-requests", False), ("lose-answers", True)])
async def test_a_half_open_connection_swallows_one_way_and_is_reset_when_mended(
    fault: str, reached: bool
) -> None:
    async with echoing() as (proxy, heard), connected(proxy) as streams:
        await ask(streams)
        proxy.cut("lose-requests" if fault == "lose-requests" else "lose-answers")
        streams[1].write(b"lost?\n")
        assert await nothing_comes(streams[0])
        assert (b"lost?\n" in heard) is reached
        async with connected(proxy) as fresh:
            assert await ask(fresh) == b"hello\n"
        proxy.mend()
        assert await is_reset(streams)
        assert (b"lost?\n" in heard) is reached
