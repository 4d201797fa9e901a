"""Sends one webhook over HTTP, and takes as little as possible from the other side.

No redirects, no cookies, no proxy from the environment, no decompression, at most 4 KiB of answer. The
operator's own URL has a connection pool and resolver threads of its own, without the address check.
Connections are kept open between webhooks. Who calls sees to how many are in flight.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from orchestrator.notify.connect import Connector, tls_context
from orchestrator.notify.errors import AddressRefused, BadAnswer, ConnectionEnded, NameNotFound, NotOurs
from orchestrator.notify.http11 import Connection
from orchestrator.notify.names import Resolver, ThreadResolver
from orchestrator.notify.request import Target, request, target
from orchestrator.notify.schedule import Answered, Failed, Response
from orchestrator.notify.settings import NotifySettings

KEEP_ALIVE = 30.0
"""Seconds that an idle connection is kept."""
_RESOLVER_THREADS = 32
# Sooner than this, a lost connection was one that the receiver closed while it lay idle.
_STALE = 1.0


class Client:
    """Sends webhooks. An async context manager; `resolver` replaces DNS for the checked addresses.

    `may_send` is asked once a new connection stands: making one takes time, and what was right to send before
    may not be any more.
    """

    def __init__(
        self,
        settings: NotifySettings,
        *,
        resolver: Resolver | None = None,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._may_send = may_send
        self._own = f"trusted {settings.url}"
        self._resolver = resolver
        self._idle: dict[str, list[Connection]] = {}
        self._kept = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._threads = [ThreadResolver(2)]
        tls = tls_context()
        self._trusted = Connector(self._threads[0], None, tls)
        resolver = self._resolver
        if resolver is None:
            resolver = ThreadResolver(_RESOLVER_THREADS)
            self._threads.append(resolver)
        self._checked = Connector(resolver, self._settings.allow, tls)
        self._timer = self._loop.call_later(KEEP_ALIVE / 2, self._close_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._idle.clear()
        self._kept = 0
        for connector in (self._trusted, self._checked):
            await connector.close()
        for threads in self._threads:
            threads.close()

    def origin(self, url: str) -> str:
        """The receiver that `url` belongs to. The operator's own is never one with a job's."""
        if url == self._settings.url:
            return self._own
        try:
            return target(url).origin
        except ValueError:
            return "unusable"  # `post` will say so

    def begin(
        self, url: str, body: bytes, headers: Mapping[str, str], done: Callable[[Response | None], None]
    ) -> bool:
        """Send `body` once over a connection that lies idle. False, and nothing is done, when none does.

        `done` is called with the answer, later. None: the connection had been closed as it lay idle; `post`
        it. A webhook a task would cost as much as all the rest of it.
        """
        try:
            to = target(url)
            message = request(to, headers, body)
        except ValueError:
            return False  # `post` says why
        origin = self._own if url == self._settings.url else to.origin
        connection = self._take(origin)
        if connection is None:
            return False
        started = self._loop.time()

        def ended(result: Answered | Exception) -> None:
            if not isinstance(result, Exception):
                if connection.usable:
                    self._keep(origin, connection)
                done(result)
            elif isinstance(result, ConnectionEnded) and self._loop.time() - started <= _STALE:
                done(None)
            else:
                done(self._failed(result, to, started))

        try:
            connection.begin(message, self._settings.timeout, ended)
        except ConnectionEnded:
            return False
        return True

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, fresh: bool = False
    ) -> Response:
        """Send `body` once, with `fresh` over a new connection. Whatever goes wrong is an answer too.

        Raises `NotOurs`, with nothing sent, when `may_send` says no.
        """
        started = self._loop.time()
        try:
            to = target(url)
            message = request(to, headers, body)
        except ValueError as error:
            return Failed(f"cannot be sent: {error}")
        try:
            try:
                return await self._exchange(url, to, message, started, fresh=fresh)
            except ConnectionEnded:
                # A kept connection may have been closed just as we wrote. Receivers know a repeated
                # webhook-id, so ask again at once, and once, rather than in 5 s.
                if fresh or self._loop.time() - started > _STALE:
                    raise
                return await self._exchange(url, to, message, started, fresh=True)
        except (TimeoutError, NameNotFound, BadAnswer, ConnectionEnded) as error:
            return self._failed(error, to, started)
        except (OSError, ValueError, RuntimeError) as error:
            # ValueError: a host that TLS cannot name. RuntimeError: uvloop raises it for some sockets.
            return self._failed(error, to, started)

    def _failed(self, error: Exception, to: Target, started: float) -> Failed:
        match error:
            case TimeoutError():
                return Failed(f"no answer within {self._loop.time() - started:.0f} s")
            case NameNotFound() | BadAnswer() | ConnectionEnded():
                return Failed(str(error))
            case AddressRefused():
                return Failed(str(error.strerror))
            case _:
                reason = error.strerror if isinstance(error, OSError) else None
                return Failed(f"cannot connect to {to.host}:{to.port}: {reason or type(error).__name__}")

    async def _exchange(
        self, url: str, to: Target, message: bytes, started: float, *, fresh: bool
    ) -> Answered:
        settings = self._settings
        trusted = url == settings.url
        origin = self._own if trusted else to.origin
        left = settings.timeout - (self._loop.time() - started)
        connection = None if fresh else self._take(origin)
        if connection is None:
            connector = self._trusted if trusted else self._checked
            connection = await connector.connect(to, min(settings.connect_timeout, left))
            left = settings.timeout - (self._loop.time() - started)
            if not self._may_send():
                connection.abort()
                raise NotOurs
        answer = await connection.exchange(message, left)
        if connection.usable:
            self._keep(origin, connection)
        return answer

    # The idle connections. One of them that the receiver closes is found out when its turn comes.

    def _take(self, origin: str) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            self._kept -= 1
            if connection.usable:
                return connection
        return None

    def _keep(self, origin: str, connection: Connection) -> None:
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = []
        if len(idle) >= self._settings.per_receiver or self._kept >= self._settings.in_flight:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        idle.append(connection)
        self._kept += 1

    def _close_idle(self) -> None:
        """Close what has lain idle too long, and forget receivers that have nothing idle."""
        self._timer = self._loop.call_later(KEEP_ALIVE / 2, self._close_idle)
        oldest = self._loop.time() - KEEP_ALIVE / 2
        for origin, idle in list(self._idle.items()):
            kept = [one for one in idle if one.usable and one.idle_since > oldest]
            for connection in idle:
                if connection not in kept:
                    connection.abort()
            self._kept -= len(idle) - len(kept)
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
