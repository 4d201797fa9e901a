"""One REST request over pooled HTTP, and how far it came when it failed."""

import asyncio
import os

import aiohttp
from yarl import URL

from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxUnreachable

_JSON = {"Content-Type": "application/json"}


class NotSent(PbxUnreachable):
    """No connection came about, so nothing of the request left."""


def open_session(settings: AriSettings) -> aiohttp.ClientSession:
    """A session that carries the password in a header, never in a URL."""
    credentials = aiohttp.encode_basic_auth(settings.username, settings.password, encoding="utf-8")
    return aiohttp.ClientSession(
        # Asterisk closes an idle connection after 15 s (session_keep_alive); be the first to let go.
        connector=aiohttp.TCPConnector(limit=settings.http_connections + 4, keepalive_timeout=10),
        headers={"Authorization": credentials},
        # `exchange` and `open_socket` keep time themselves: aiohttp's own timer can swallow a cancellation
        # that comes at the same moment, and a lane that missed its cancellation would never end.
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
    )


def address(settings: AriSettings, path: str) -> URL:
    """`path` below the ARI root; already percent-encoded, and kept as it is."""
    return URL(f"{settings.url.rstrip('/')}/{path}", encoded=True)


async def exchange(
    http: aiohttp.ClientSession, settings: AriSettings, call: RestCall, patience: float = 0.0
) -> Answer:
    """Send and read the answer, in so many seconds or what the settings allow a request.

    Raises `NotSent`, or `PbxUnreachable` when it may have arrived.
    """
    try:
        async with (
            asyncio.timeout(max(settings.request_timeout, settings.originate_timeout, patience)),
            http.request(
                call.method,
                address(settings, call.path),
                data=call.body or None,
                headers=_JSON if call.body else None,
                allow_redirects=False,
            ) as response,
        ):
            return Answer(response.status, response.reason or "", await response.read())
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
        raise NotSent(f"pbx {settings.name}: no connection to Asterisk ({brief(fault)})") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        raise PbxUnreachable(f"pbx {settings.name}: Asterisk did not answer ({brief(fault)})") from None


def brief(fault: BaseException) -> str:
    """The operating system's word where there is one. Never aiohttp's text: it may quote a URL."""
    cause = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return type(cause).__name__
