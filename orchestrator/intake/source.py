"""One queue's side of an intake, and what keeps it going: connect, serve, and again after a pause."""

import asyncio
import traceback
from random import Random
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from orchestrator.intake.desk import Desk, cancelled_from_outside
from orchestrator.ledger.errors import LeaseLost, LedgerClosed, LedgerError
from orchestrator.notify.carrier import Carrier
from orchestrator.pbx.backoff import full_jitter

FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 5.0
"""Seconds between two tries to connect, at the most."""
LAG_EVERY: Final = 5.0
"""Seconds between two looks how much waits in the queue."""

_log = structlog.get_logger(__name__)


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
    """Serve for ever, through every loss of the connection, and through whatever else breaks on this one
    queue: live calls and the other queues go on. Raises only what says that the ledger is ours no more."""
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
        except (LeaseLost, LedgerClosed):
            raise
        except LedgerError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a message or an address may break a client library anyhow
            reason = f"a fault of the orchestrator's own or of a client library ({_place_of(error)})"
            _log.error("intake_fault", intake=desk.intake.name, error=_place_of(error))
        attempt = 0 if desk.is_up else attempt + 1
        desk.down(reason)
        await asyncio.sleep(full_jitter(attempt, FIRST_WAIT, LONGEST_WAIT, random))


def reason_of(error: BaseException, url: str | None) -> str:
    """What a library says of a lost connection, without the address' password."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    parts = urlsplit(url or "")
    password = parts.password
    for secret in (
        url,
        password,
        unquote(password) if password else None,
        parts.netloc if "@" in parts.netloc else None,
    ):
        if secret:
            text = text.replace(secret, "***")
    return text[:300]


def _place_of(error: Exception) -> str:
    """What broke and where, and nothing of what was being read: that holds codes."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
