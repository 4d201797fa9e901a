"""A peer that says nothing: pinged, so that a network that fails without a word is noticed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from orchestrator.pbx.errors import PbxUnreachable


async def keep_alive(
    interval: float, heard: Callable[[], int], ping: Callable[[], Awaitable[None]], silent: str
) -> None:
    """Ping a peer that has been silent for half of `interval` seconds; it has one interval to be heard.
    `heard` counts what came from it.

    Raises `PbxUnreachable` with the text `silent`, and what `ping` raises.
    """
    while True:
        before = heard()
        await asyncio.sleep(interval / 2)
        if heard() != before:
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await ping()
                await asyncio.sleep(interval)
        if heard() == before:
            raise PbxUnreachable(silent)
