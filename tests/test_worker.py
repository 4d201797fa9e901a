"""The worker whole, on the real ledger and a scripted PBX: started, killed, started again, drained."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator import setup, upkeep
from orchestrator import worker as workers
from orchestrator.call import events as ev
from orchestrator.clock import steady_clock
from orchestrator.config import Config, ConfigError, Ledger, Notify, Pbx
from orchestrator.config import Worker as WorkerConfig
from orchestrator.guard.seal import Seal, key_beside
from orchestrator.ledger.errors import LedgerUnusable
from orchestrator.ledger.records import NewJob, Script
from orchestrator.ledger.sqlite import SqliteLedger, WorkerLock, connect
from orchestrator.pbx.errors import PbxConfigError
from orchestrator.pbx.port import Signal, Sink, SoundCheck
from orchestrator.prompts import load_library
from orchestrator.running import run_worker
from orchestrator.worker import Worker
from tests import fakes
from tests.fakes import RINGS, SCRIPT, FakePbx, Far, new_job
from tests.notify.world import SECRET, Bell, Receiver
from tests.prompts.small_library import write_library

QUICK: Far = ((0.0, ev.Accepted()), (0.0, ev.Ringing()), (0.0, ev.Answered()), (0.0, ev.Ready()))


class QuickPbx(FakePbx):
    """Plays are over at once, and the time is the real one."""

    def play(self, channel: str, far: Far) -> None:
        super().play(channel, tuple((0.0, event) for _, event in far))


class House:
    """A configuration in a folder, and what a test sees of the worker that runs in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.bell = Bell()
        self.clock = steady_clock()
        self.pbx: dict[str, QuickPbx] = {}
        self.far: list[Far] = [QUICK]
        self.fault: Exception | None = None
        self.living: dict[str, ev.Alive] = {}
        self.missing: tuple[str, ...] = ()
        self.notify = Notify()
        self.app: str | None = None
        """The application in which the last worker works."""
        self.drain_timeout = 5.0
        monkeypatch.setattr(setup, "make_pbx", self._make)
        monkeypatch.setattr(fakes, "now", self.clock)
        monkeypatch.setattr(upkeep, "WATCH_EVERY", 0.005)
        monkeypatch.setattr(upkeep, "GAUGE_EVERY", 0.005)
        write_library(folder / "sounds")
        library = load_library([folder / "sounds"])
        monkeypatch.setattr(setup, "load_prompts", lambda config: library)

    def _make(
        self,
        pbx: Pbx,
        sink: Sink,
        clock: object,
        app: str | None = None,
        reacted: object = None,
        may_connect: object = None,
    ) -> FakePbx:
        def heard(signal: Any) -> None:
            sink(signal)
            self.bell.ring()

        self.app = app
        made = self.pbx[pbx.name] = QuickPbx(pbx.name, heard, self.far)
        made.living = self.living
        made.missing = self.missing
        if self.fault is not None:
            fault = self.fault

            async def refused() -> None:
                raise fault

            made.run = refused  # type: ignore[method-assign]
        return made

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    def config(self) -> Config:
        node = Pbx(name="ast1", url="http://x/ari", password="p", dial="PJSIP/{number}@t", max_cps=1000.0)
        return Config(
            pbx=(node,),
            folder=self.folder,
            notify=self.notify,
            worker=WorkerConfig(name="w1", drain_timeout=self.drain_timeout),
            ledger=Ledger(commit_interval=0.0),
        )

    def jobs(self, *ids: str, **fields: Any) -> list[NewJob]:
        seal = Seal(key_beside(self.ledger))
        script = msgspec.json.encode(SCRIPT)
        return [new_job(id, self.clock(), sealed=seal.seal(id, script), **fields) for id in ids]

    async def submit(self, *ids: str, **fields: Any) -> None:
        """As another process does."""
        jobs = self.jobs(*ids, **fields)
        ledger = await SqliteLedger.open(self.ledger)
        await ledger.submit(jobs)
        await ledger.close()

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.ledger)) as db:
            return db.execute(query).fetchall()

    def outcomes(self) -> dict[str, str]:
        return dict(self.rows("SELECT id, outcome FROM jobs WHERE state = 'ended'"))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the ledger's file rings no bell
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[Worker]:
        """A worker, drained when the block ends."""
        stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(run_worker(self.config(), stop, self.clock, started=started.set_result))
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if started.done():
                yield started.result()
        finally:
            stop.set()
            await task


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


async def test_jobs_that_other_processes_submit_are_dialled_and_told_to_the_receiver(house: House) -> None:
    receiver = Receiver(house.bell)
    async with receiver.listening():
        house.notify = Notify(url=receiver.url(), secret=SECRET, cdr_interval=0.05)
        async with house.working() as worker:
            await house.submit("a", "b", notify_url=None)
            await house.until(lambda: len(receiver.got) >= 11)
            assert worker.why_not_ready() is None
        told = [json.loads(got.body) for got in receiver.got]
        for id in ("a", "b"):
            mine = [event["data"]["sequence"] for event in told if event.get("subject") == id]
            assert mine == [1, 2, 3, 4, 5]
        records = [record for event in told if event["type"] == "cdr" for record in event["data"]["records"]]
        assert sorted(record["job_id"] for record in records) == ["a", "b"]
    assert house.outcomes() == {"a": "completed", "b": "completed"}
    assert house.rows("SELECT DISTINCT state FROM outbox") == [("delivered",)]


async def test_a_cancel_from_another_process_ends_a_live_call(house: House) -> None:
    house.far = [RINGS]
    async with house.working():
        await house.submit("a")
        await house.until(lambda: bool(house.pbx["ast1"].dials()))
        ledger = await SqliteLedger.open(house.ledger)
        await ledger.request_cancel("a")
        await ledger.close()
        await house.until(lambda: bool(house.outcomes()))
    assert house.outcomes() == {"a": "cancelled"}


async def test_while_sounds_are_missing_nothing_is_dialled_and_readiness_says_why(house: House) -> None:
    house.missing = ("en/digits/4",)
    async with house.working() as worker:
        await house.until(lambda: "sounds install" in (worker.why_not_ready() or ""))
        await house.submit("a")
        await asyncio.sleep(0.05)
        assert house.pbx["ast1"].dials() == []


async def test_the_reason_why_nothing_can_be_dialled_names_each_node_once(house: House) -> None:
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        house.pbx["ast1"].link(False, "pbx ast1: no ARI answers")
        await house.until(lambda: worker.why_not_ready() is not None)
        assert worker.why_not_ready() == "ast1: no ARI answers"


async def test_a_connection_that_drops_while_it_is_being_settled_does_not_make_its_node_ready(
    house: House,
) -> None:
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        pbx, checks, checked = house.pbx["ast1"], list[str](), asyncio.Event()

        async def drops(sounds: Any) -> SoundCheck:
            if not checks:
                checks.append("dropped")
                pbx.link(False, "gone")
                await house.until(lambda: worker.why_not_ready() is not None)
                asyncio.get_running_loop().call_later(0.05, checked.set)
            return SoundCheck((), len(sounds))

        pbx.check_sounds = drops  # type: ignore[method-assign]
        pbx.link(True)
        await checked.wait()
        await house.submit("a")
        assert worker.why_not_ready() == "ast1: gone"
        await asyncio.sleep(0.05)
        assert pbx.dials() == []
        pbx.link(True)
        await house.until(lambda: bool(house.outcomes()))


async def test_a_worker_that_may_have_lost_the_ledger_hangs_up_no_strays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RETRY_NODE", 0.005)
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        pbx, certain = house.pbx["ast1"], False
        monkeypatch.setattr(worker, "_holds", lambda: certain)
        pbx.link(False)
        pbx.link(True)
        await house.until(lambda: "not certain" in (worker.why_not_ready() or ""))
        assert len(pbx.reconciled) == 1
        certain = True
        await house.until(lambda: worker.why_not_ready() is None)
        assert len(pbx.reconciled) == 2


async def test_while_the_breaker_of_every_node_is_open_readiness_says_why_and_then_the_node_is_tried(
    house: House,
) -> None:
    house.far = [*[((0.0, ev.Refused(500, "Allocation failed")),)] * 5, QUICK]
    ids = [f"job-{n}" for n in range(10)]
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        # The others come later: of calls that are answered at once, the first word goes before all that waits
        # to be heard, and a refusal after it would be none of a row.
        await house.submit(*ids[:5])
        await house.until(lambda: worker.why_not_ready() is not None)
        await house.submit(*ids[5:])
        assert worker.why_not_ready() == (
            "ast1: its breaker is open: 5 originates in a row failed, the last: refused with 500"
        )
        await house.until(lambda: len(house.outcomes()) == 10)
        await house.until(lambda: worker.why_not_ready() is None)
    assert sorted(house.outcomes().values()) == ["completed"] * 5 + ["failed"] * 5


async def test_a_job_with_sounds_that_the_pbx_has_not_got_yet_fails_and_is_never_dialled(
    house: House,
) -> None:
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        new = msgspec.json.encode(Script((("en/new", "en/digits/4"),), 10))
        house.pbx["ast1"].missing = ("en/new",)
        sealed = Seal(key_beside(house.ledger)).seal("a", new)
        ledger = await SqliteLedger.open(house.ledger)
        await ledger.submit([new_job("a", house.clock(), sealed=sealed)])
        await house.until(lambda: house.outcomes() == {"a": "failed"})
        assert house.pbx["ast1"].dials() == []
        house.pbx["ast1"].missing = ()
        sealed = Seal(key_beside(house.ledger)).seal("b", new)
        await ledger.submit([new_job("b", house.clock(), sealed=sealed)])
        await ledger.close()
        await house.until(lambda: house.outcomes().get("b") == "completed")


async def test_a_node_that_sees_one_spoken_sound_is_not_asked_for_the_next(house: House) -> None:
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        pbx, asked = house.pbx["ast1"], list[str]()
        check = pbx.check_sounds

        async def noted(sounds: Any) -> SoundCheck:
            asked.extend(sounds)
            return await check(sounds)

        pbx.check_sounds = noted  # type: ignore[method-assign]
        ledger = await SqliteLedger.open(house.ledger)
        for job in ("a", "b"):
            script = msgspec.json.encode(Script(((f"speech/{job}",),), 10))
            sealed = Seal(key_beside(house.ledger)).seal(job, script)
            await ledger.submit([new_job(job, house.clock(), sealed=sealed)])
            await house.until(lambda job=job: house.outcomes().get(job) == "completed")  # type: ignore[misc]
        await ledger.close()
        assert asked == ["speech/a"]


async def test_the_stop_lets_live_calls_end_and_dials_nothing_more(house: House) -> None:
    house.far = [RINGS]
    async with house.working() as worker:
        await house.submit("a")
        await house.until(lambda: len(worker.live) == 1)
        pbx = house.pbx["ast1"]

        async def answer_later() -> None:
            await house.until(lambda: worker.draining)
            await house.submit("late")
            pbx.tell(pbx.dials()[0].channel, ev.Ended(17, 486))

        task = asyncio.create_task(answer_later())
    await task
    assert house.outcomes() == {"a": "busy"}
    assert len(pbx.dials()) == 1


async def test_calls_that_outlive_the_stop_are_taken_up_by_the_next_worker(house: House) -> None:
    house.far, house.drain_timeout = [RINGS], 0.0
    async with house.working() as worker:
        await house.submit("a")
        await house.until(lambda: len(worker.live) == 1)
        await house.until(lambda: len(house.rows("SELECT 1 FROM journal")) >= 3)
        channel = house.pbx["ast1"].dials()[0].channel
    assert house.outcomes() == {}
    house.far, house.drain_timeout = [QUICK], 5.0
    async with house.working():
        pbx = house.pbx["ast1"]
        await house.until(lambda: pbx.reconciled == [[channel]])
        pbx.sink(Signal("ast1", channel, ev.Ended(16), house.clock()))
        await house.until(lambda: bool(house.outcomes()))
        assert pbx.dials() == []


async def test_jobs_queued_while_no_worker_ran_are_dialled_when_one_does(house: House) -> None:
    await house.submit("a", "b", "c")
    async with house.working():
        await house.until(lambda: len(house.outcomes()) == 3)


async def test_a_pbx_that_refuses_us_for_good_ends_the_worker_with_its_reason(house: House) -> None:
    house.fault = PbxConfigError("ast1: wrong password")
    with pytest.raises(PbxConfigError, match="wrong password"):
        await run_worker(house.config(), asyncio.Event(), house.clock)


async def test_a_second_worker_on_one_ledger_is_refused(house: House) -> None:
    key_beside(house.ledger)
    connect(house.ledger).close()
    lock = WorkerLock.take(house.ledger)
    assert lock is not None
    begun: list[bool] = []
    with pytest.raises(LedgerUnusable, match="another worker runs on /"):
        await run_worker(house.config(), asyncio.Event(), house.clock, begun=lambda: begun.append(True))
    assert begun == []  # it must not say that it starts
    lock.release()


async def test_a_worker_without_a_pbx_says_so(house: House) -> None:
    config = msgspec.structs.replace(house.config(), pbx=())
    with pytest.raises(ConfigError, match="no PBX"):
        await run_worker(config, asyncio.Event(), house.clock)


async def test_a_stuck_ledger_is_told_and_does_not_hold_up_the_stop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.ledger.sqlite.BUSY_TIMEOUT", 0.01)
    house.drain_timeout = 0.1
    monkeypatch.setattr(workers, "FLUSH_TIMEOUT", 0.1)
    async with house.working() as worker:
        await house.until(lambda: worker.why_not_ready() is None)
        other = sqlite3.connect(house.ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await house.until(lambda: "locked" in (worker.why_not_ready() or ""))
    other.execute("COMMIT")
    other.close()


async def test_the_gauges_stay_true_while_the_ledger_is_stuck(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "COUNT_EVERY", 0.005)
    monkeypatch.setattr("orchestrator.ledger.groupcommit.LOCKED_PATIENCE", 0.05)
    house.drain_timeout = 0.1
    async with house.working() as worker:

        def gauge(name: str, **labels: str) -> float | None:
            return worker.meters.registry.get_sample_value(f"orchestrator_{name}", labels)

        await house.until(lambda: gauge("ready") == 1 and gauge("pbx_connected", pbx="ast1") == 1)
        with contextlib.closing(sqlite3.connect(house.ledger, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await house.until(lambda: gauge("ready") == 0 and bool(gauge("ledger_waiting")))
            house.pbx["ast1"].link(False, "gone")
            await house.until(lambda: gauge("pbx_connected", pbx="ast1") == 0)
            other.execute("COMMIT")
        await house.until(lambda: gauge("ledger_waiting") == 0)


async def test_one_job_alone_is_dialled_and_the_others_stay(house: House) -> None:
    await house.submit("a", "b")
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(house.config(), stop, house.clock, only="b"))
    await house.until(lambda: bool(house.outcomes()))
    stop.set()
    await task
    assert house.outcomes() == {"b": "completed"}


async def test_calls_left_by_a_worker_are_found_although_one_job_alone_was_dialled_since(
    house: House,
) -> None:
    house.far, house.drain_timeout = [RINGS], 0.0
    async with house.working() as worker:
        own = house.app
        await house.submit("a")
        await house.until(lambda: len(worker.live) == 1)
        channel = house.pbx["ast1"].dials()[0].channel
    await house.submit("b")
    house.far, house.drain_timeout = [QUICK], 5.0
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(house.config(), stop, house.clock, only="b"))
    await house.until(lambda: "b" in house.outcomes())
    stop.set()
    await task
    assert house.app != own
    async with house.working():
        assert house.app == own
        house.pbx["ast1"].sink(Signal("ast1", channel, ev.Ended(16), house.clock()))
        await house.until(lambda: "a" in house.outcomes())


async def test_one_job_alone_is_dialled_although_the_clock_was_set_back_since_the_last_worker(
    house: House,
) -> None:
    now, house.clock = house.clock, lambda: now() + 3600
    await house.submit("a")
    stop = asyncio.Event()
    await run_worker(house.config(), stop, house.clock, only="none", started=lambda worker: stop.set())
    stop.clear()
    house.clock = now
    task = asyncio.create_task(run_worker(house.config(), stop, now, only="a"))
    await house.until(lambda: bool(house.outcomes()))
    stop.set()
    await task
    assert house.outcomes() == {"a": "completed"}
