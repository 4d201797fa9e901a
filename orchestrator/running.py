"""A worker from its start to its end: the ledger, the calls that live on, the doors, then the work."""

import asyncio
import contextlib
import gc
from collections.abc import Callable
from typing import Final

from orchestrator import setup
from orchestrator.clock import Clock
from orchestrator.config import Config, ConfigError
from orchestrator.http.front import app_of
from orchestrator.http.health import listening
from orchestrator.ledgers import held
from orchestrator.worker import Worker

GC_THRESHOLD: Final = 100_000
"""New objects between two collections of the youngest generation; nearly all die by counting before."""


def _spare_the_collector() -> None:
    """What the start has made lives for ever. A full collection would look at all of it again and again, and
    hold every call up for tens of milliseconds each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


async def run_worker(
    config: Config,
    stop: asyncio.Event,
    clock: Clock,
    *,
    only: str | None = None,
    begun: Callable[[], None] = lambda: None,
    started: Callable[[Worker], None] = lambda worker: None,
    standing_by: Callable[[str], None] | None = None,
) -> None:
    """Run a worker until `stop` is set. With `only`, it makes that one job's calls and adopts nothing.

    Where another worker owns the ledger, `standing_by` is told its name, and this one waits to take over;
    without it that is an error. `begun` is called once the ledger is this worker's, `started` when the worker
    stands.

    Raises `ConfigError`, `LedgerUnusable` (also when another worker has the ledger), `LeaseLost`,
    `PbxConfigError`, `ListenError`.
    """
    if not config.pbx:
        raise ConfigError("no PBX is configured: add a [[pbx]] section (see the README)")
    seal, library = setup.load_seal(config), setup.load_prompts(config)
    waited: list[str] = []

    def stand_by(owner: str) -> None:
        waited.append(owner)
        if standing_by is not None:
            standing_by(owner)

    alone = only is not None
    stands_by = stand_by if standing_by is not None else None
    async with held(config, clock, stop, stands_by, alone=alone, begun=begun) as holding:
        if holding is None:
            return
        worker = Worker(config, holding, library, seal, only)
        if not alone:
            await worker.adopt()
        _spare_the_collector()
        async with contextlib.AsyncExitStack() as stack:
            if config.http is not None and not alone:
                app = app_of(worker.front(config.http))
                serving = listening(app, config.http.listen, patient=bool(waited))
                await stack.enter_async_context(serving)
            started(worker)
            also = []
            if setup.is_shared(config) and not alone:
                from orchestrator.heirs import Heirs  # its driver is an extra

                also.append(Heirs(config, library, seal, worker, clock).run())
            await worker.run(stop, *also)
