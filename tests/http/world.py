"""The API on a real listener and a real ledger, with a scripted PBX to make the calls of its jobs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp.test_utils import TestServer

from orchestrator.call import events as ev
from orchestrator.guard.keyfile import KeyFile, change_keys
from orchestrator.guard.keys import ENTROPY, make_key
from orchestrator.guard.seal import Seal
from orchestrator.http.front import Front, app_of
from orchestrator.http.settings import Http
from orchestrator.http.streams import Pace
from orchestrator.http.watching import Watching
from orchestrator.intake.accept import Rules
from orchestrator.intake.say import Voices
from orchestrator.ledger.records import Script
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.live import LiveCalls
from orchestrator.meters import Meters
from orchestrator.pbx.errors import PbxUnreachable, RecordingNotFound
from orchestrator.prompts import Library, load_library
from tests.fakes import FakePbx, Far, now
from tests.notify.world import Bell
from tests.prompts.small_library import write_library

CODE = "493817"
RECEIVER = "http://127.0.0.1:9/events"
CALLER = "+12025550199"
ANSWERED: Far = ((0.0, ev.Accepted()), (0.0, ev.Ringing()), (0.0, ev.Answered()), (0.0, ev.Ready()))
BUSY: Far = ((0.0, ev.Accepted()), (0.0, ev.Dialed("BUSY")), (0.0, ev.Ended(17, 486)))
RINGING: Far = ((0.0, ev.Accepted()), (0.0, ev.Ringing()))


def job(**fields: Any) -> dict[str, Any]:
    """A good job of kind code."""
    return {"to": "+12025550100", "code": CODE, **fields}


class QuickPbx(FakePbx):
    """Takes no time. `recordings` are its recordings; None says that it cannot be asked."""

    recordings: dict[str, bytes | None] = {}  # noqa: RUF012 - replaced, never changed

    def play(self, channel: str, far: Far) -> None:
        super().play(channel, tuple((0.0, event) for _, event in far))

    async def fetch_recording(self, recording: str) -> bytes:
        if recording not in self.recordings:
            raise RecordingNotFound(recording)
        found = self.recordings[recording]
        if found is None:
            raise PbxUnreachable("nobody answers")
        return found

    async def delete_recording(self, recording: str) -> None:
        raise AssertionError("nobody asked for that")


class World:
    """What a test holds."""

    def __init__(self, folder: Path, library: Library, ledger: SqliteLedger, http: Http, pace: Pace) -> None:
        self.folder = folder
        self.ledger = ledger
        self.bell = Bell()
        self.meters = Meters()
        self.full = False
        self.not_ready: str | None = None
        self.woken = 0
        self.made = 0
        self.watching = Watching()
        self.seal = Seal(b"k" * 32)
        self.rules = Rules(
            voices=Voices(library, "en"),
            seal=self.seal,
            min_code_digits=4,
            caller_ids=frozenset({CALLER, "+12025550198"}),
            notify_url=RECEIVER,
            signs=True,
            allow_networks=(),
        )
        self.live = LiveCalls(
            ledger,
            now,
            worker="w1",
            notify_url=RECEIVER,
            trunks={"ast1": "lab"},
            meters=self.meters,
            max_queued=1000,
            on_freed=lambda pbx: self.bell.ring(),
        )
        self.live.on_news = self.watching.ring
        self.pbx = QuickPbx("ast1", self.live.sink, [ANSWERED])
        self.live.nodes["ast1"] = self.pbx
        self.pbx.link(True)
        self.keys_path = folder / "keys.json"
        self.front = Front(
            http=http,
            keys=KeyFile(self.keys_path) if http.keys is not None else None,
            ledger=ledger,
            rules=self.rules,
            clock=now,
            meters=self.meters,
            nodes=self.live.nodes,
            worker="w1",
            watching=self.watching,
            why_not_ready=lambda: self.not_ready,
            may_take=lambda: not self.full,
            wake=self._wake,
            pace=pace,
        )
        self.server = TestServer(app_of(self.front))
        self.client: aiohttp.ClientSession

    def _wake(self) -> None:
        self.woken += 1
        self.bell.ring()

    def add_key(self, application: str, **may: Any) -> str:
        """A key of that application."""
        self.made += 1
        entropy = self.made.to_bytes(1, "big") * ENTROPY
        key, text = make_key(application, datetime.now(UTC), entropy, **may)
        change_keys(self.keys_path, lambda known: (*known, key))
        return text

    async def ask(
        self,
        method: str,
        path: str,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """One request: the status, the JSON in the answer (None for none), the headers."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        async with self.client.request(method, self.server.make_url(path), headers=sent, **more) as answer:
            raw = await answer.read()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert CODE.encode() not in raw
            return answer.status, json.loads(raw) if "json" in answer.content_type else None, answer.headers

    async def submit(self, key: str | None = None, **fields: Any) -> tuple[int, Any, Mapping[str, str]]:
        """POST /v1/jobs with a good job, changed by `fields`."""
        return await self.ask("POST", "/v1/jobs", key, json=job(**fields))

    async def call(self, far: Far = ANSWERED) -> None:
        """Make the call of the job that is due, until it is over or rings."""
        await self.start(far)
        await self.bell.until(lambda: not len(self.live))

    async def start(self, far: Far) -> None:
        """Begin the call of the job that is due."""
        self.pbx.far = [far]
        claimed = await self.ledger.claim("ast1", (CALLER,), now(), 1)
        claim = claimed.claims[0]
        script = msgspec.json.decode(self.seal.open(claim.job.id, claim.sealed), type=Script)
        self.live.start(claim, script)


@cache
def _library(folder: Path) -> Library:
    return load_library([write_library(folder / "http-sounds")])


@contextlib.asynccontextmanager
async def world(folder: Path, http: Http | None = None, pace: Pace | None = None) -> AsyncIterator[World]:
    """A world for as long as the block runs. `http` and `pace` are other settings than the usual ones."""
    ledger = await SqliteLedger.open(folder / "ledger.db")
    made = World(folder, _library(folder.parent), ledger, http or Http(), pace or Pace())
    try:
        async with made.server, aiohttp.ClientSession() as made.client:
            yield made
    finally:
        made.live.close()
        await ledger.close()


async def lines_until(stream: aiohttp.StreamReader, wanted: bytes) -> list[bytes]:
    """The lines of a stream up to the one that begins with `wanted`."""
    got: list[bytes] = []
    async with asyncio.timeout(10):
        while not got or not got[-1].startswith(wanted):
            line = await stream.readline()
            assert line, f"the stream ended before {wanted!r}: {got}"
            got.append(line)
    return got
