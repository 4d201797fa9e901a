"""Submits the planned jobs, as a producer beside the worker would, and notes which were accepted."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from orchestrator import ledgers, setup
from orchestrator.config import load_config
from orchestrator.intake.accept import Rules, accept
from orchestrator.ledger.port import Ledger
from tests.chaos.plan import PlannedJob


class Producer:
    """Made by `producing`. Writes one line of JSON a job: `id`, `to`, `retry`, `accepted`."""

    def __init__(self, ledger: Ledger, rules: Rules, log: Path) -> None:
        self._ledger = ledger
        self._rules = rules
        self._log = log.open("w")
        self.accepted = 0

    async def submit(self, jobs: Sequence[PlannedJob]) -> None:
        """Submit `jobs`; waits until the ledger has them for certain."""
        now = time.time()
        news = [accept(json.dumps(job.body), self._rules, now, os.urandom(10)) for job in jobs]
        accepted = False
        try:
            await self._ledger.submit(news)
            accepted = True
        finally:
            for job in jobs:
                line = {"id": job.id, "to": job.body["to"], "retry": job.retry, "accepted": accepted}
                self._log.write(json.dumps(line) + "\n")
        self.accepted += len(jobs)

    def close(self) -> None:
        """The list of jobs is complete."""
        self._log.close()


@contextlib.asynccontextmanager
async def producing(config_file: Path, log: Path) -> AsyncIterator[Producer]:
    """A producer beside the worker of `config_file`, for as long as the block runs."""
    config = load_config(config_file, {})
    rules = setup.rules(config, setup.load_prompts(config), setup.load_seal(config))
    async with ledgers.opened(config) as ledger:
        producer = Producer(ledger, rules, log)
        try:
            yield producer
        finally:
            producer.close()
