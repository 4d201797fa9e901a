"""From nothing to a usable event stream: open it, then narrow it to the events that are used.

Asterisk forgets the filter with the application, so it is set at every connect.
"""

import asyncio

import aiohttp
import msgspec
from yarl import URL

from orchestrator.pbx.ari.pooled import address, brief, exchange
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.ari.wire import EVENT_TYPES
from orchestrator.pbx.errors import PbxConfigError, PbxUnreachable

FAREWELL = 0.5
"""Seconds for the peer to close its side too."""
WebSocket = aiohttp.ClientWebSocketResponse[bool]


class AddressNotFound(PbxConfigError):
    """404: the path is wrong, or Asterisk is still loading its ARI modules."""


async def open_socket(http: aiohttp.ClientSession, settings: AriSettings, app: str) -> WebSocket:
    """The WebSocket of the application `app`: its events, and the answers to requests that leave over it.

    Raises `PbxConfigError` or `PbxUnreachable`.
    """
    node = f"pbx {settings.name}"
    url: URL = address(settings, "events").with_query(app=app, subscribeAll="false")
    try:
        async with asyncio.timeout(settings.request_timeout):
            return await http.ws_connect(
                url,
                autoping=False,  # `Connection` keeps the link alive, at less cost a frame
                timeout=aiohttp.ClientWSTimeout(ws_close=FAREWELL),
                decode_text=False,
            )
    except aiohttp.WSServerHandshakeError as fault:
        raise _refusal(node, fault.status) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        raise PbxUnreachable(f"{node}: no ARI answers at {settings.url} ({brief(fault)})") from None


async def narrow_events(http: aiohttp.ClientSession, settings: AriSettings) -> bool:
    """Let only the events through that we use. False where the server cannot (Asterisk < 13.26, 16.3).

    Raises `PbxConfigError` when the user may only read: then no call could be made either.
    """
    body = msgspec.json.encode({"allowed": [{"type": name} for name in EVENT_TYPES]})
    call = RestCall("PUT", f"applications/{settings.app}/eventFilter", body)
    answer = await exchange(http, settings, call)
    if answer.status == 403:
        raise PbxConfigError(
            f"pbx {settings.name}: the ARI user may only read; set read_only=no for it in ari.conf"
        )
    return answer.ok


def _refusal(node: str, status: int) -> PbxConfigError | PbxUnreachable:
    match status:
        case 401:
            return PbxConfigError(f"{node}: wrong ARI user or password; compare with ari.conf")
        case 403:
            return PbxConfigError(f"{node}: this ARI user is not allowed; see its entry in ari.conf")
        case 404:
            return AddressNotFound(
                f"{node}: no ARI under this url; it should end in /ari, and ari.conf have enabled=yes"
            )
        case 400:
            return PbxConfigError(
                f"{node}: Asterisk refuses the application name; choose a plain word as app"
            )
        case _:
            return PbxUnreachable(f"{node}: Asterisk answers {status} (it may be starting)")
