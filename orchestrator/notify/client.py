"""Sends one webhook over HTTP, and takes as little as possible from the other side.

No redirects, no cookies, no proxy from the environment, no decompression, at most 4 KiB of answer. The
operator's own URL has a connection pool and resolver threads of its own, without the address check.
"""

import asyncio
import functools
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from orchestrator import __version__
from orchestrator.notify.address import checked_sockets
from orchestrator.notify.errors import AddressRefused
from orchestrator.notify.payload import CONTENT_TYPE
from orchestrator.notify.schedule import Answered, Failed, Response
from orchestrator.notify.settings import NotifySettings

MAX_ANSWER = 4096
_DNS_TTL = 10
_KEEP_ALIVE = 30.0
_RESOLVER_THREADS = 32
# Sooner than this, a lost connection was one that the receiver closed while it lay idle.
_STALE = 1.0


class ThreadResolver(AbstractResolver):
    """getaddrinfo on threads of our own: a receiver's slow name server holds up nobody else's look-ups."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="notify-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        look_up = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._pool, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(sockaddr[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, sockaddr in found
        ]

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Target(Struct, frozen=True):
    """A webhook URL, parsed."""

    url: URL
    origin: str


@lru_cache(maxsize=1024)
def target(url: str) -> Target:
    """Parse a webhook URL. Raises ValueError when it is none."""
    parsed = URL(url)
    return Target(parsed, str(parsed.origin()))


class Client:
    """Sends webhooks. An async context manager; `resolver` replaces DNS for the checked addresses."""

    def __init__(self, settings: NotifySettings, *, resolver: AbstractResolver | None = None) -> None:
        self._settings = settings
        self._resolver = resolver

    async def __aenter__(self) -> Self:
        self._resolvers: list[AbstractResolver] = [ThreadResolver(2)]
        if self._resolver is None:
            self._resolvers.append(ThreadResolver(_RESOLVER_THREADS))
        self._trusted = self._session(
            aiohttp.TCPConnector(
                limit=0,
                resolver=self._resolvers[0],
                ttl_dns_cache=_DNS_TTL,
                keepalive_timeout=_KEEP_ALIVE,
            )
        )
        self._checked = self._session(
            aiohttp.TCPConnector(
                limit=0,
                resolver=self._resolver or self._resolvers[1],
                ttl_dns_cache=_DNS_TTL,
                keepalive_timeout=_KEEP_ALIVE,
                socket_factory=checked_sockets(self._settings.allow),
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._trusted, self._checked):
            await session.close()
        for resolver in self._resolvers:
            await resolver.close()

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"call-orchestrator/{__version__}", "Content-Type": CONTENT_TYPE},
            skip_auto_headers=("Accept", "Accept-Encoding"),
            timeout=aiohttp.ClientTimeout(
                total=self._settings.timeout, connect=self._settings.connect_timeout
            ),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=MAX_ANSWER,
        )

    def origin(self, url: str) -> str:
        """The receiver that `url` belongs to. The operator's own is never one with a job's."""
        if url == self._settings.url:
            return f"trusted {url}"
        try:
            return target(url).origin
        except ValueError:
            return "unusable"  # `post` will say so

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send `body` once. Whatever goes wrong is an answer too."""
        session = self._trusted if url == self._settings.url else self._checked
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            parsed = target(url).url
            try:
                return await _exchange(session, parsed, body, headers)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept connection may have been closed just as we wrote. Receivers know a repeated
                # webhook-id, so ask again at once, and once, rather than in 5 s.
                if isinstance(error, aiohttp.ClientConnectorError) or loop.time() - started > _STALE:
                    raise
                return await _exchange(session, parsed, body, headers)
        except TimeoutError:
            return Failed(f"no answer within {loop.time() - started:.0f} s")
        except aiohttp.ClientConnectorError as error:
            return Failed(_connecting(error))
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            # ValueError: a URL that cannot be encoded. RuntimeError: uvloop raises it for some sockets.
            return Failed(f"{type(error).__name__} while talking to the receiver")


def _connecting(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    if isinstance(cause, AddressRefused):
        return str(cause.strerror)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the receiver's name {error.host} was not found"
    return f"cannot connect to {error.host}:{error.port}: {cause.strerror or type(cause).__name__}"


async def _exchange(
    session: aiohttp.ClientSession, url: URL, body: bytes, headers: Mapping[str, str]
) -> Answered:
    async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
        content = response.content
        if not content.at_eof():
            # Read a small answer so that the connection can serve again; leaving this block closes it
            # under a long one. The status is known, so a fault in the rest changes nothing.
            try:
                left = MAX_ANSWER
                while left > 0 and (chunk := await content.read(left)):
                    left -= len(chunk)
            except (aiohttp.ClientError, OSError):
                response.close()
        return Answered(response.status, response.headers.get("Retry-After"))
