"""A request's body, read within its bounds, and an answer's, written."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from orchestrator.http.problems import Refusal
from orchestrator.intake.accept import MAX_JOB_BYTES

BODY_TIMEOUT: Final = 10.0
"""Seconds that a request's body gets to arrive."""

_encode = msgspec.json.Encoder().encode


async def read_json(request: web.Request) -> bytes:
    """The body of a request that says that it is JSON.

    Raises `Refusal`.
    """
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Refusal("unsupported", "send the body as Content-Type: application/json, uncompressed.")
    too_large = Refusal("too-large", f"the body may have {MAX_JOB_BYTES} bytes at most.")
    if (request.content_length or 0) > MAX_JOB_BYTES:
        raise too_large
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise Refusal("too-slow", f"the body did not come within {BODY_TIMEOUT:g} s.") from None
    except web.RequestPayloadError:
        raise Refusal("malformed", "the body cannot be read as HTTP/1.1 frames it.") from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with `value` as its body."""
    return web.Response(status=status, body=_encode(value), content_type="application/json", headers=headers)
