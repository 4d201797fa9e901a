"""A receiver of notifications, as small as one can be that believes nothing unsigned.

Standard Webhooks 1.0.0: the signature is the base64 of HMAC-SHA-256 over `id.timestamp.body`, keyed with what
`whsec_` is followed by. A stamp more than five minutes off is a replay.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

Event = dict[str, Any]
TOLERANCE = 300.0
"""Seconds that a stamp may be off."""


def is_genuine(secret: str, headers: dict[str, str], body: bytes, now: float) -> bool:
    """Whether the body was signed with the secret, just now."""
    sent_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdecimal() or abs(now - int(stamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{sent_id}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, one) for one in given)


@contextlib.asynccontextmanager
async def receiving(secret: str, port: int, take: Callable[[Event], None]) -> AsyncIterator[None]:
    """Receive on the loopback for as long as the block runs; `take` gets each genuine event once."""
    seen: set[str] = set()

    async def events(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not is_genuine(secret, headers, body, time.time()):
            return web.Response(status=401)
        if headers["webhook-id"] not in seen:  # delivery is at least once
            seen.add(headers["webhook-id"])
            take(json.loads(body))
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/events", events)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()
