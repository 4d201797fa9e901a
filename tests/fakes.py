"""A worker's surroundings without a real one: time that passes only when nothing else can, a PBX that plays
scripts, and the real SQL of the ledger without its thread. What runs on these is the same each time."""

import asyncio
import selectors
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orchestrator.call import events as ev
from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import CallEvent
from orchestrator.ledger.groupcommit import GroupCommit
from orchestrator.ledger.records import NewJob, Script
from orchestrator.ledger.sqlite import SqliteLedger, connect
from orchestrator.pbx.errors import RecordingNotFound
from orchestrator.pbx.port import Dial, Link, PlaySounds, Request, Signal, Sink, SoundCheck

T = TypeVar("T")
EPOCH = 1_800_000_000.0


class _VirtualSelector(selectors.SelectSelector):
    """Where a loop would wait, time jumps instead; where it would wait for ever, the test has hung."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            ready = super().select(10)  # for another thread
            if not ready:
                raise RuntimeError("nothing is left that could ever happen")
        elif not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on virtual time. An exception in a callback fails the test."""
    faults: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        return await main

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(watched())
    assert not faults, faults
    return result


def now() -> float:
    """The clock of a virtual loop."""
    return EPOCH + asyncio.get_running_loop().time()


async def until(condition: Callable[[], bool], within: float = 600.0) -> None:
    """Wait for a condition on virtual time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - virtual time costs nothing, and any state may be asked for
            await asyncio.sleep(0.01)


class InlineCommits(GroupCommit):
    """Group commit on the loop itself: the same order and the same moments, no thread."""

    def __init__(self, path: Path | str = ":memory:", interval: float = 0.004) -> None:
        super().__init__(lambda: connect(Path(path)), interval)
        self.commits = 0

    async def open(self) -> None:
        self.db = self._db = self._connect()
        self._tidied = self._db.total_changes

    def _on_thread(self, work: Callable[[], object], then: Callable[[Exception | None], None]) -> None:
        work()
        self.commits += 1
        self._at_work = done = self._loop.create_future()

        def finished() -> None:
            self._at_work = None
            done.set_result(None)
            then(None)

        self._loop.call_soon(finished)

    async def close(self) -> None:
        self._closed = True
        await self._settled()
        if self._gathered:
            self._flush()
            await self._settled()
        self.db.close()
        if not self.broken.done():
            self.broken.cancel()


async def inline_ledger(path: Path | str) -> SqliteLedger:
    commits = InlineCommits(path)
    await commits.open()
    return SqliteLedger(commits)


def db_of(ledger: SqliteLedger) -> sqlite3.Connection:
    """The connection of an inline ledger."""
    commits = ledger._commits
    assert isinstance(commits, InlineCommits)
    return commits.db


def body(**changes: object) -> bytes:
    """A stored job's public part."""
    fields: dict[str, object] = {
        "kind": "code",
        "to": "+12025550100",
        "ring_timeout": 30.0,
        "max_duration": 120.0,
        "plays": 2,
        "play_seconds": 10,
        "user_data": "u",
        "notify_url": "http://127.0.0.1:9/hook",
    }
    return msgspec.json.encode(fields | changes)


SCRIPT = Script((("en/digits/4", "en/digits/9"), ("en/digits/4", "en/digits/9")), 10)


def new_job(
    id: str = "job-1", at: float = EPOCH, *, not_before: float | None = None, expires_in: float = 120.0,
    priority: int = 0, caller_id: str | None = None, sealed: bytes = b"sealed", fingerprint: bytes = b"f",
    **changes: object,
) -> NewJob:  # fmt: skip
    return NewJob(
        id=id,
        fingerprint=fingerprint,
        sealed=sealed,
        body=body(**changes),
        priority=priority,
        caller_id=caller_id,
        created_at=at,
        not_before=at if not_before is None else not_before,
        expires_at=at + expires_in,
    )


Far = Sequence[tuple[float, CallEvent]]
"""What the far end does: (seconds after the former event, event)."""

ANSWERS: Far = ((0.01, ev.Accepted()), (0.5, ev.Ringing()), (1.0, ev.Answered()), (0.0, ev.Ready()))
BUSY: Far = ((0.01, ev.Accepted()), (0.2, ev.Dialed("BUSY")), (0.0, ev.Ended(17, 486)))
SILENT: Far = ()
RINGS: Far = ((0.01, ev.Accepted()), (0.5, ev.Ringing()))


class FakePbx:
    """Keeps the port's protocol by script. `far` says, dial by dial, what the far end does (the last for
    ever); playbacks last a second; a hang-up ends the channel at once."""

    def __init__(self, name: str, sink: Sink, far: Sequence[Far] = (ANSWERS,)) -> None:
        self.name = name
        self.sink = sink
        self.far = list(far)
        self.connected = False
        self.requests: list[Request] = []
        self.dialled_at: list[float] = []
        self.living: dict[str, ev.Alive] = {}
        self.most = 0
        self.reconciled: list[list[str]] = []
        self.missing: tuple[str, ...] = ()
        self.deleted: list[str] = []
        self.deaf = False
        """Takes requests and says nothing."""

    def link(self, up: bool, reason: str = "") -> None:
        self.connected = up
        self.sink(Link(self.name, up, now(), reason))

    async def run(self) -> None:
        self.link(True)
        await asyncio.Event().wait()

    def tell(self, channel: str, event: CallEvent) -> None:
        match event:
            case ev.Accepted():
                self.living[channel] = ev.Alive(ringing=False, up=False, ready=False)
            case ev.Ready():
                self.living[channel] = ev.Alive(ringing=False, up=True, ready=True)
            case ev.Ended():
                self.living.pop(channel, None)
        self.most = max(self.most, len(self.living))
        if not self.deaf:
            self.sink(Signal(self.name, channel, event, now()))

    def play(self, channel: str, far: Far) -> None:
        loop = asyncio.get_running_loop()
        at = 0.0
        for delay, event in far:
            at += delay
            loop.call_later(at, self.tell, channel, event)

    def answer(self, channel: str) -> None:
        """Whether the channel lives now."""
        self.tell(channel, self.living.get(channel, ev.Gone()))

    def send(self, request: Request) -> None:
        self.requests.append(request)
        channel = request.channel
        if not self.connected:
            if isinstance(request, Dial):
                self.sink(Signal(self.name, channel, ev.OriginateLost("not_sent"), now()))
            return
        match request:
            case Dial():
                self.dialled_at.append(now())
                self.play(channel, self.far.pop(0) if len(self.far) > 1 else self.far[0])
            case PlaySounds(playback=id):
                started, finished = ev.PlayStarted(id), ev.PlayFinished(id)
                self.play(channel, ((0.02, started), (1.0, finished)))
            case Hangup():
                if channel in self.living:
                    self.play(channel, ((0.0, ev.HangupRequested(True)), (0.01, ev.Ended(16))))
                else:
                    self.play(channel, ((0.0, ev.HangupRefused(gone=True)),))
            case Ask():
                asyncio.get_running_loop().call_later(0.1, self.answer, channel)
            case StopPlay():
                pass

    async def reconcile(self, channels: Collection[str]) -> None:
        asked = list(channels)
        self.reconciled.append(asked)
        await asyncio.sleep(0.01)
        for channel in asked:
            self.sink(Signal(self.name, channel, self.living.get(channel, ev.Gone()), now()))

    async def check_sounds(self, sounds: Sequence[str]) -> SoundCheck:
        return SoundCheck(tuple(sound for sound in self.missing if sound in sounds), len(sounds))

    async def fetch_recording(self, recording: str) -> bytes:
        raise RecordingNotFound(f"pbx {self.name}: no recording {recording}")

    async def delete_recording(self, recording: str) -> None:
        self.deleted.append(recording)

    def dials(self) -> list[Dial]:
        return [request for request in self.requests if isinstance(request, Dial)]
