"""The intakes that a worker runs: made from the configuration, kept going, told of by metrics."""

import asyncio
import importlib
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from orchestrator.clock import Clock
from orchestrator.config import Config, ConfigError
from orchestrator.intake.accept import Rules
from orchestrator.intake.desk import Desk, Room
from orchestrator.intake.options import Intake, Kind
from orchestrator.intake.source import Replies, Source, keep
from orchestrator.ledger.port import Ledger
from orchestrator.tallies import Counter

_MODULES: Final[dict[Kind, str]] = {
    "redis": "orchestrator.intake.redis_streams",
    "amqp": "orchestrator.intake.amqp",
    "nats": "orchestrator.intake.jetstream",
    "folder": "orchestrator.intake.folder",
}
THREADS: Final = 2
"""Messages that are checked at the same time, over all intakes."""


class IntakeMeters:
    """Every metric of the intakes. No label holds a number, a job or a code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Counter(
            "orchestrator_intake_jobs_total",
            "Messages by what became of them: accepted, duplicate, refused.",
            ["intake", "outcome"],
            registry=registry,
        )
        self._connected = Gauge(
            "orchestrator_intake_connected", "1 while the queue is read.", ["intake"], registry=registry
        )
        self._lag = Gauge(
            "orchestrator_intake_lag", "Messages that wait in the queue.", ["intake"], registry=registry
        )

    def taken(self, intake: str, outcome: str, count: int) -> None:
        """See `desk.Tally`."""
        self._jobs.labels(intake, outcome).inc(count)

    def connected(self, intake: str, up: bool) -> None:
        """See `desk.Tally`."""
        self._connected.labels(intake).set(up)

    def lag(self, intake: str, messages: int) -> None:
        """See `desk.Tally`."""
        self._lag.labels(intake).set(messages)


class Intakes:
    """All intakes of one worker. `replies` holds what carries notifications back, by their outbox address."""

    def __init__(self, config: Config) -> None:
        """Raises `ConfigError` when a client library is missing, or a folder cannot be used."""
        self._sources = {intake: _make(intake, config) for intake in config.intake}
        self.replies: Mapping[str, Replies] = {
            url: replies
            for intake, (_, replies) in self._sources.items()
            if replies is not None and (url := intake.reply_url) is not None
        }

    async def run(
        self,
        ledger: Ledger,
        rules: Rules,
        clock: Clock,
        registry: CollectorRegistry,
        may_take: Callable[[], bool],
        stored: Callable[[], None],
    ) -> None:
        """Take jobs until cancelled."""
        tally = IntakeMeters(registry)
        chance = random.SystemRandom()
        threads = ThreadPoolExecutor(THREADS, "intake")
        room = Room(ledger, rules, clock, tally, threads, may_take, stored)
        try:
            async with asyncio.TaskGroup() as group:
                for intake, (source, _) in self._sources.items():
                    tally.connected(intake.name, False)
                    group.create_task(keep(source, Desk(intake, room), chance))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """Let the connections of `replies` go."""
        for replies in self.replies.values():
            await replies.close()


def _make(intake: Intake, config: Config) -> tuple[Source, Replies | None]:
    try:
        module = importlib.import_module(_MODULES[intake.kind])
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"intake `{intake.name}` needs a library that is not installed ({error.name}): "
            f"pip install 'call-orchestrator[{intake.kind}]'"
        ) from None
    made: tuple[Source, Replies | None] = module.make(intake, config.path, config.worker.name)
    return made
