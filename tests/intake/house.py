"""What the tests of the intakes share: rules, a ledger in memory's place, a desk that counts."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.guard.seal import Seal
from orchestrator.intake.accept import Rules
from orchestrator.intake.desk import Desk, Room
from orchestrator.intake.options import Intake
from orchestrator.intake.say import Voices
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.prompts import load_library
from tests.prompts.small_library import write_library

NOW = 1_800_000_000.0
CODE = "493817"
GOOD: dict[str, Any] = {"to": "+12025550100", "code": CODE}


def job(**fields: Any) -> bytes:
    return json.dumps(GOOD | fields).encode()


def make_rules(folder: Path) -> Rules:
    return Rules(
        voices=Voices(load_library([write_library(folder)]), "en"),
        seal=Seal(b"k" * 32),
        min_code_digits=4,
        caller_ids=frozenset({"+15550100"}),
        notify_url=None,
        signs=False,
        allow_networks=(),
    )


class Counts:
    """A `Tally` to look at."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.waiting = 0
        self.up = False

    def taken(self, intake: str, outcome: str, count: int) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count

    def connected(self, intake: str, up: bool) -> None:
        self.up = up

    def lag(self, intake: str, messages: int) -> None:
        self.waiting = messages


class House:
    """A desk on a real ledger."""

    def __init__(self, ledger: SqliteLedger, rules: Rules, threads: ThreadPoolExecutor) -> None:
        self.ledger = ledger
        self.counts = Counts()
        self.open = True
        self.wakes = 0
        self._room = Room(ledger, rules, lambda: NOW, self.counts, threads, lambda: self.open, self._stored)

    def _stored(self) -> None:
        self.wakes += 1

    def desk(self, intake: Intake) -> Desk:
        return Desk(intake, self._room)

    async def bodies(self, *ids: str) -> list[dict[str, Any]]:
        """What is stored of these jobs."""
        found = [await self.ledger.summary(id_) for id_ in ids]
        return [msgspec.json.decode(each.job.body) for each in found if each is not None]

    async def queued(self) -> int:
        return (await self.ledger.counts()).get("jobs_queued", 0)


@contextlib.asynccontextmanager
async def standing(folder: Path, rules: Rules) -> AsyncIterator[House]:
    ledger = await SqliteLedger.open(folder / "ledger.db")
    with ThreadPoolExecutor(1) as threads:
        yield House(ledger, rules, threads)
        await ledger.close()


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Wait for what another process, a thread or a file system brings about."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - a file system rings no bell
            await asyncio.sleep(0.01)
