"""One queue's side of an intake, and what keeps it going: connect, serve, and again after a pause."""

import asyncio
from random import Random
from typing import Final, Protocol
from urllib.parse import urlsplit

from orchestrator.intake.desk import Desk
from orchestrator.notify.carrier import Carrier
from orchestrator.pbx.backoff import full_jitter

FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 5.0
"""Seconds between two tries to connect, at the most."""
LAG_EVERY: Final = 5.0
"""Seconds between two looks how much waits in the queue."""


class IntakeDown(Exception):
    """The queue cannot be read from now. The message says why, and holds no password."""


class Source(Protocol):
    """Reads a queue."""

    async def serve(self, desk: Desk) -> None:
        """Connect, say `desk.up()`, and hand over messages until the connection is lost.

        A message is acknowledged after `desk.take` has returned, and not before. Raises `IntakeDown`.
        """
        ...


class Replies(Carrier, Protocol):
    """Publishes notifications back into a queue."""

    async def close(self) -> None:
        """Let the connection go."""
        ...


async def keep(source: Source, desk: Desk, random: Random) -> None:
    """Serve for ever, through every loss of the connection."""
    attempt, reason = 0, ""
    while True:
        try:
            await source.serve(desk)
        except IntakeDown as down:
            reason = str(down)
        except asyncio.CancelledError:
            if cancelled_from_outside():
                raise
            reason = "the client library dropped what it was asked"
        attempt = 0 if desk.is_up else attempt + 1
        desk.down(reason)
        await asyncio.sleep(full_jitter(attempt, FIRST_WAIT, LONGEST_WAIT, random))


def cancelled_from_outside() -> bool:
    """Whether somebody cancelled the current task. Some client libraries cancel what waits for a lost
    connection, which looks the same to whoever waits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def reason_of(error: BaseException, url: str | None) -> str:
    """What a library says of a lost connection, without the address' password."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    parts = urlsplit(url or "")
    for secret in (url, parts.password, parts.netloc if "@" in parts.netloc else None):
        if secret:
            text = text.replace(secret, "***")
    return text[:300]
