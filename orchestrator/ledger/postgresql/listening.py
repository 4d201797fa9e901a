"""Hears that other processes have written something (LISTEN), so that nobody has to ask again and again."""

import asyncio
import contextlib
import time
from typing import Final

from orchestrator.ledger.errors import LedgerUnusable
from orchestrator.ledger.postgresql.connection import CHANNEL, connect, is_passing

RETRY_EVERY: Final = 0.5
"""Seconds between two tries to listen again."""
LOOK_EVERY: Final = 0.2
"""Seconds after which who follows one job is to look, as steps of calls are not told."""


class Listening:
    """Listens while `run` runs. Not told of are the steps of calls; who wants to know of these too (with
    `everything`) looks now and then."""

    def __init__(self, url: str, *, everything: bool) -> None:
        self._url = url
        self._everything = everything
        self._looked = 0.0
        self._heard = True
        self._over = asyncio.Event()

    def changed(self) -> bool:
        """Whether something may have changed since this was last asked."""
        now = time.monotonic()
        if self._everything and now - self._looked >= LOOK_EVERY:
            self._heard = True
        heard, self._heard = self._heard, False
        if heard:
            self._looked = now
        return heard

    def hear(self) -> None:
        """Something was written that others wait for."""
        self._heard = True

    def close(self) -> None:
        """End `run`."""
        self._over.set()

    async def run(self) -> None:
        """Listen until closed; again, after the connection was lost."""
        while not self._over.is_set():
            try:
                await self._listen()
            except Exception as error:
                if not is_passing(error) and not isinstance(error, LedgerUnusable):
                    raise
            self._heard = True  # who knows what was missed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_EVERY):
                    await self._over.wait()

    async def _listen(self) -> None:
        db = await connect(self._url)
        lost = asyncio.Event()
        try:
            db.add_termination_listener(lambda connection: lost.set())
            await db.add_listener(CHANNEL, self._hear)
            self._heard = True
            waits = [asyncio.ensure_future(each.wait()) for each in (lost, self._over)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
        finally:
            db.terminate()

    def _hear(self, db: object, pid: int, channel: str, payload: object) -> None:
        self._heard = True
