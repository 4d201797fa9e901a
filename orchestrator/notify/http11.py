"""One HTTP/1.1 connection to a receiver: a request is written, its answer awaited, and so on (RFC 9112).

Of an answer only the status and Retry-After are kept. The body is thrown away, up to MAX_BODY, so that the
connection can serve again; a longer one costs the connection. Interim answers (1xx) are passed over.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from orchestrator.notify.errors import BadAnswer, ConnectionEnded
from orchestrator.notify.schedule import Answered

MAX_HEAD = 16_384
"""Bytes of status lines and headers, those of interim answers included."""
MAX_BODY = 4096


class Connection(asyncio.Protocol):
    """Serves one exchange at a time. `lost` is called once, when it is closed for good."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: "Callable[[Connection], None]") -> None:
        self._loop = loop
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._done: Callable[[Answered | Exception], None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since = 0.0
        """When it was last put away (event loop's seconds)."""
        self._reset()

    def _reset(self) -> None:
        self._taken = 0
        self._head = 0
        self._body = 0
        self._status = 0
        self._retry_after: str | None = None
        self._complete = False
        self._keep = False

    @property
    def open(self) -> bool:
        """Whether `lost` is still to come."""
        return self._transport is not None

    @property
    def usable(self) -> bool:
        """Whether another request may be written."""
        return self._keep and self._transport is not None and not self._transport.is_closing()

    def begin(self, request: bytes, timeout: float, done: Callable[[Answered | Exception], None]) -> None:
        """Write `request`; `done` is called once with its answer, and never before this returns.

        Or with ConnectionEnded when it is closed before the answer's headers are complete, BadAnswer for
        what is no answer, TimeoutError after `timeout` seconds. After each of these it is closed.

        Raises ConnectionEnded when it is closed already.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionEnded
        self._reset()
        self._done = done
        self._deadline = self._loop.time() + timeout
        if self._timer is None:
            self._timer = self._loop.call_later(timeout, self._look_at_the_time)
        transport.write(request)

    async def exchange(self, request: bytes, timeout: float) -> Answered:  # noqa: ASYNC109 - see `begin`
        """Write `request` and await its answer. Raises what `begin` gives to `done`."""
        answer: asyncio.Future[Answered] = self._loop.create_future()

        def done(result: Answered | Exception) -> None:
            if answer.done():
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        self.begin(request, timeout, done)
        try:
            return await answer
        finally:
            if self._done is done:  # cancelled
                self._done = None
                self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._keep = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._done is None:
            self.abort()  # it speaks without being asked
            return
        self._taken += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._keep = False  # nobody asked for 101
            self._complete = True
        except HttpParserError as error:
            self._keep = False
            if self._status:
                self._complete = True
            else:
                self._fail(_bad(error))
                return
        if self._body > MAX_BODY or self._taken > MAX_HEAD + MAX_BODY:
            self._keep = False
            self._complete = self._status != 0
        if self._complete:
            self._succeed()
        elif not self._status and self._taken > MAX_HEAD:
            self._fail(_too_long())

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._keep = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._done is not None:
            if self._status:
                self._succeed()  # the status is known, so a fault in the rest changes nothing
            else:
                self._fail(ConnectionEnded())
        self._lost(self)

    # The parser's calls.

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep = False  # more than we asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD:
            raise _too_long()
        if len(name) == 11 and name.lower() == b"retry-after" and self._retry_after is None:
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._retry_after = None
            return
        self._status = status
        self._keep = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True

    # The ends of an exchange.

    def _succeed(self) -> None:
        done, self._done = self._done, None
        if not self._keep:
            self.abort()
        if done is not None:
            done(Answered(self._status, self._retry_after))

    def _fail(self, error: Exception) -> None:
        done, self._done = self._done, None
        self.abort()
        if done is not None:
            done(error)

    def _look_at_the_time(self) -> None:
        """One timer serves many exchanges: it is set when one begins without it, and looks again."""
        self._timer = None
        if self._done is None:
            return
        left = self._deadline - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_the_time)
            return
        self._keep = False
        if self._status:
            self._succeed()
        else:
            self._fail(TimeoutError())


def _too_long() -> BadAnswer:
    return BadAnswer(f"the receiver's answer has more than {MAX_HEAD} bytes of headers")


def _bad(error: HttpParserError) -> BadAnswer:
    if isinstance(error, HttpParserCallbackError) and isinstance(error.__context__, BadAnswer):
        return error.__context__
    return BadAnswer(f"the receiver's answer is not HTTP/1.1: {error}")
