"""A ledger that is stuck must not hold up a short command for ever; a worker waits, a person does not."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from orchestrator.config import Config
from orchestrator.ledger.errors import LedgerClosed, LedgerStuck
from orchestrator.ledger.port import Ledger
from orchestrator.ledgers import name_of
from orchestrator.setup import is_shared

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds that the ledger gets for one request."""


async def in_time(
    config: Config, ledger: Ledger, request: Coroutine[Any, Any, T], left: str = "Nothing was stored."
) -> T:
    """What one request of the ledger returns.

    When it takes too long the ledger is closed, so that what was asked is either done or never will be.
    Raises `LedgerStuck`, whose message ends with `left`.
    """
    # One sentence is enough; the ledger's log is for a worker's operator.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    task = asyncio.ensure_future(request)
    why = None
    try:
        done, _ = await asyncio.wait({task}, timeout=DEADLINE)
        if not done:
            await ledger.close()
            why = ledger.fault
        return await task
    except LedgerClosed:
        mend = "See that PostgreSQL runs" if is_shared(config) else "Free disk space, or end what locks it"
        raise LedgerStuck(
            f"the ledger {name_of(config)} cannot be written now: "
            f"{why or 'it does not answer'}. {mend}, then try again. {left}"
        ) from None
    finally:
        task.cancel()
