"""The calls of a worker that died, ended by another: its heir.

An heir is to the dead worker what its own restart would be: it takes its seat, so that the dead one can write
no more, connects in its applications, takes its calls up from their journals and ends them. It dials
nothing. When the dead worker comes back meanwhile, the heir lets go, and that one goes on.
"""

import asyncio
from typing import Final

import structlog
from msgspec.structs import replace

from orchestrator.clock import Clock
from orchestrator.config import Config
from orchestrator.guard.seal import Seal
from orchestrator.ledger.errors import LedgerError, LedgerUnusable
from orchestrator.ledger.postgresql import workers
from orchestrator.ledger.postgresql.connection import Connection, close, connect, is_passing
from orchestrator.ledger.postgresql.tenure import SeatTenure, Stillness, now
from orchestrator.ledger.postgresql.workers import Seat
from orchestrator.ledgers import seated
from orchestrator.pbx.errors import PbxError
from orchestrator.prompts import Library
from orchestrator.worker import Worker

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the other workers."""
BETTER_HEIR: Final = 6
"""How many times its patience a dead worker is left to others that know all nodes with calls of it."""
ORPHANS_EVERY: Final = 10.0
"""Seconds between two looks for notifications that nobody delivers."""

_log = structlog.get_logger(__name__)


class Heirs:
    """What a worker does for those that died."""

    def __init__(self, config: Config, library: Library, seal: Seal, main: Worker, clock: Clock) -> None:
        self._config = config
        self._library = library
        self._seal = seal
        self._main = main
        self._clock = clock
        self._name = config.worker.name
        # The virtual PBX of a process ends with it.
        self._known = {pbx.name for pbx in config.pbx if pbx.kind != "virtual"}
        self._still = Stillness()
        self._inherited: set[str] = set()

    async def run(self) -> None:
        """Look after the others until cancelled."""
        db: Connection | None = None
        orphans_at = 0.0
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    try:
                        db = db or await connect(self._config.ledger.url)
                        await self._look(db, group)
                        if now() >= orphans_at:
                            orphans_at = now() + ORPHANS_EVERY
                            await workers.adopt_orphans(db, self._name)
                    except Exception as error:
                        if not is_passing(error) and not isinstance(error, LedgerUnusable):
                            raise
                        if db is not None:
                            db.terminate()
                        db = None
                    await asyncio.sleep(LOOK_EVERY)
            finally:
                if db is not None:
                    await close(db)

    async def _look(self, db: Connection, group: asyncio.TaskGroup) -> None:
        for seat in await workers.seats(db):
            at = now()
            if seat.name == self._name or not self._still.left(seat, at) or seat.name in self._inherited:
                continue
            nodes = await workers.open_on(db, seat.name)
            waited = self._still.seconds(seat, at)
            if not nodes <= self._known and waited < BETTER_HEIR * seat.patience:
                continue
            began = now()
            patience = self._config.worker.lease
            taken = await workers.take(db, seat, seat.name, {}, patience, heir=self._name)
            if taken is None:
                continue
            _log.warning("worker_inherited", worker=self._name, of=seat.name, nodes=sorted(nodes))
            self._inherited.add(seat.name)
            group.create_task(self._inherit(taken, nodes, began))

    async def _inherit(self, seat: Seat, nodes: set[str], began: float) -> None:
        tenure = SeatTenure(self._config.ledger.url, seat, began)
        config = replace(
            self._config, pbx=tuple(pbx for pbx in self._config.pbx if pbx.name in nodes & self._known)
        )
        if self._main.notifier is not None:
            self._main.notifier.wake()
        try:
            if nodes:
                async with seated(config, tenure, self._clock, tells=self._name) as holding:
                    heir = Worker(config, holding, self._library, self._seal, None, self._main)
                    await heir.adopt()
                    await heir.finish(holding.wanted)
        except (LedgerError, PbxError) as error:  # whoever comes next takes what is left
            _log.warning("inheritance_left", worker=self._name, of=seat.name, error=str(error))
        finally:
            await tenure.release()
            self._inherited.discard(seat.name)
