"""One REST request over pooled HTTP, and how far it came when it failed."""

import aiohttp
import structlog
from yarl import URL

from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.errors import PbxUnreachable

log = structlog.get_logger(__name__)

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
        timeout=aiohttp.ClientTimeout(total=max(settings.request_timeout, settings.originate_timeout)),
    )


def address(settings: AriSettings, path: str) -> URL:
    """`path` below the ARI root; already percent-encoded, and kept as it is."""
    return URL(f"{settings.url.rstrip('/')}/{path}", encoded=True)


async def exchange(http: aiohttp.ClientSession, settings: AriSettings, call: RestCall) -> Answer:
    """Send and read the answer. Raises `NotSent`, or `PbxUnreachable` when it may have arrived."""
    try:
        async with http.request(
            call.method,
            address(settings, call.path),
            data=call.body or None,
            headers=_JSON if call.body else None,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.reason or "", await response.read())
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
        raise NotSent(f"pbx {settings.name}: no connection to Asterisk ({_brief(fault)})") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        raise PbxUnreachable(f"pbx {settings.name}: Asterisk did not answer ({_brief(fault)})") from None


def _brief(fault: BaseException) -> str:
    """The operating system's word where there is one. Never aiohttp's text: it may quote a URL."""
    cause = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault
    return (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
