"""Opens connections to receivers: name, address, check, TCP, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from orchestrator.notify.address import Network, checked_sockets
from orchestrator.notify.http11 import Connection
from orchestrator.notify.names import AddrInfo, LookUps, Resolver
from orchestrator.notify.request import Target


def tls_context() -> ssl.SSLContext:
    """Certificates and names are verified against the system's authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connector:
    """Opens connections. `allow` None: to any address; else to public ones and those networks alone."""

    def __init__(self, resolver: Resolver, allow: Sequence[Network] | None, tls: ssl.SSLContext) -> None:
        self._names = LookUps(resolver)
        self._socket: Callable[[AddrInfo], socket.socket] = (
            _any_socket if allow is None else checked_sockets(allow)
        )
        self._tls = tls
        self._open: set[Connection] = set()
        self._lost: Callable[[Connection], None] = self._open.discard

    async def connect(self, to: Target, within: float) -> Connection:
        """Connect within so many seconds, trying the addresses in order.

        An address that does not respond has its share of the time, so that the next one has a chance.
        Raises NameNotFound, AddressRefused, TimeoutError or another OSError: the last address's.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        async with asyncio.timeout_at(deadline):
            found = await self._addresses(to)
        fault: OSError | None = None
        for number, info in enumerate(found):
            now = loop.time()
            try:
                async with asyncio.timeout_at(now + (deadline - now) / (len(found) - number)):
                    return await self._connect(info, to)
            except OSError as error:  # TimeoutError is one
                fault = error
        raise fault or TimeoutError

    async def close(self) -> None:
        """Close every connection, and give up the look-ups."""
        await self._names.close()
        closed = asyncio.Event()

        def lost(connection: Connection) -> None:
            self._open.discard(connection)
            if not self._open:
                closed.set()

        self._lost = lost
        for connection in self._open:
            connection.abort()
        if self._open:
            await closed.wait()

    async def _addresses(self, to: Target) -> list[AddrInfo]:
        try:
            # A literal address needs no name server, and never waits.
            return [
                *socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            ]
        except (socket.gaierror, UnicodeError):
            return await self._names.find(to.host, to.port)

    async def _connect(self, info: AddrInfo, to: Target) -> Connection:
        loop = asyncio.get_running_loop()
        sock = self._socket(info)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, info[4])
            _, connection = await loop.create_connection(
                lambda: Connection(loop, lambda lost: self._lost(lost)),
                sock=sock,
                ssl=self._tls if to.tls else None,
                server_hostname=to.host if to.tls else None,
            )
        except BaseException:
            sock.close()
            raise
        if connection.open:
            self._open.add(connection)
        return connection


def _any_socket(info: AddrInfo) -> socket.socket:
    return socket.socket(info[0], info[1], info[2])
