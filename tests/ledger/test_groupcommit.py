"""Group commit: one transaction for many, faults that pass, faults that do not, and the end."""

import asyncio
import contextlib
import gc
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from orchestrator.ledger import groupcommit
from orchestrator.ledger.errors import LedgerClosed
from orchestrator.ledger.groupcommit import GroupCommit


class Bench:
    """A file with one table, and every statement that ran on it."""

    def __init__(self, path: Path, timeout: float = 0.0) -> None:
        self.path = path
        self.statements: list[str] = []
        self.timeout = timeout
        self.hook: Callable[[sqlite3.Connection], None] = lambda db: None

    def connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE IF NOT EXISTS t (x)")
        db.set_trace_callback(self.statements.append)
        self.hook(db)
        return db

    @contextlib.asynccontextmanager
    async def open(self, interval: float = 0.004) -> AsyncIterator[GroupCommit]:
        commits = GroupCommit(self.connect, interval)
        await commits.open()
        try:
            yield commits
        finally:
            await commits.close()

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    def stored(self) -> list[object]:
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return [row[0] for row in db.execute("SELECT x FROM t ORDER BY rowid")]


def put(x: object) -> Callable[[sqlite3.Connection], object]:
    def operation(db: sqlite3.Connection) -> object:
        db.execute("INSERT INTO t VALUES (?)", (x,))
        return x

    return operation


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(groupcommit, "RETRY_EVERY", 0.01)
    monkeypatch.setattr(groupcommit, "LOCKED_PATIENCE", 0.02)
    return Bench(tmp_path / "t.db")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it waits for happens on another thread
            await asyncio.sleep(0.005)


async def test_what_comes_together_is_one_transaction_in_the_order_given(bench: Bench) -> None:
    async with bench.open() as commits:
        for n in range(0, 500, 2):
            commits.post(put(n))
            commits.post(put(n + 1))
        assert await commits.call(put(500)) == 500
        assert bench.commits == 1
        assert bench.stored() == list(range(501))
        assert commits.waiting == 0


async def test_what_comes_during_a_commit_goes_into_the_next_one_together(bench: Bench) -> None:
    release = threading.Event()

    def hook(db: sqlite3.Connection) -> None:
        def trace(statement: str) -> None:
            bench.statements.append(statement)
            if statement == "COMMIT":
                release.wait(10)

        db.set_trace_callback(trace)

    bench.hook = hook
    async with bench.open(interval=0.0) as commits:
        commits.post(put("first"))
        await until(lambda: bench.commits == 1)
        for n in range(50):
            commits.post(put(n))
            await asyncio.sleep(0)  # a group each, as far as the loop is concerned
        release.set()
        await commits.call(put(50))
        assert bench.commits == 2
        assert bench.stored() == ["first", *range(51)]


async def test_what_was_awaited_is_on_disk(bench: Bench) -> None:
    async with bench.open() as commits:
        await commits.call(put("x"))
        assert bench.stored() == ["x"]


async def test_an_operation_that_fails_is_undone_alone_and_its_caller_told(bench: Bench) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES ('half')")
        raise ValueError("no")

    async with bench.open() as commits:
        commits.post(put(1))
        failing = asyncio.create_task(commits.call(fail))
        await asyncio.sleep(0)
        assert await commits.call(put(2)) == 2
        with pytest.raises(ValueError, match="no"):
            await failing
        assert bench.stored() == [1, 2]
        assert bench.commits == 1


async def test_a_posted_operation_that_fails_breaks_the_ledger_loudly(bench: Bench) -> None:
    async with bench.open() as commits:
        commits.post(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"))
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            await asyncio.wait_for(commits.broken, 5)


async def test_a_listener_that_fails_breaks_the_ledger_but_robs_nobody_of_their_result(bench: Bench) -> None:
    def listener(result: object) -> None:
        raise ValueError("listener")

    async with bench.open() as commits:
        commits.post(put(1), listener)
        assert await asyncio.wait_for(commits.call(put(2)), 5) == 2
        with pytest.raises(ValueError, match="listener"):
            await commits.broken


async def test_the_result_of_a_post_comes_after_its_commit(bench: Bench) -> None:
    seen: list[tuple[object, list[object]]] = []
    async with bench.open() as commits:
        commits.post(put("x"), lambda result: seen.append((result, bench.stored())))
        await commits.call(put("y"))
    assert seen == [("x", ["x", "y"])]


async def test_a_full_disk_is_told_and_waited_for_and_nothing_is_lost(bench: Bench) -> None:
    held: list[sqlite3.Connection] = []

    def hook(db: sqlite3.Connection) -> None:
        held.append(db)
        db.execute("PRAGMA max_page_count = 5")

    bench.hook = hook
    async with bench.open() as commits:
        await commits.call(put(0))
        for n in range(1, 30):
            commits.post(put(f"{n}-" + "x" * 3000))
        last = asyncio.create_task(commits.call(put("last")))
        await until(lambda: commits.fault is not None)
        assert "full" in (commits.fault or "")
        assert commits.waiting == 30
        assert bench.stored() == [0]
        # An operator makes room; the thread is asleep between two tries or about to fail again.
        held[0].execute("PRAGMA max_page_count = 100000")
        assert await asyncio.wait_for(last, 10) == "last"
        assert commits.fault is None
        assert len(bench.stored()) == 31


async def test_a_lock_of_another_process_is_told_and_waited_for(bench: Bench) -> None:
    async with bench.open() as commits:
        with contextlib.closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(commits.call(put(1)))
            await until(lambda: commits.fault is not None)
            assert "locked" in (commits.fault or "")
            assert not task.done()
            other.execute("COMMIT")
            assert await asyncio.wait_for(task, 5) == 1
        assert commits.fault is None


async def test_closing_while_stuck_gives_up_at_once_and_tells_whoever_waits(bench: Bench) -> None:
    commits = GroupCommit(bench.connect, 0.0)
    await commits.open()
    with contextlib.closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.create_task(commits.call(put(0)))]
        await until(lambda: commits.fault is not None)
        for n in range(200):  # each a group of its own, had they not been joined
            commits.post(put(n))
            await asyncio.sleep(0)
        waiting.append(asyncio.create_task(commits.call(put(1))))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await commits.close()
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, LedgerClosed) for result in results)
        assert commits.waiting == 0
    assert bench.stored() == []


async def test_a_fault_of_ours_on_the_thread_breaks_the_ledger_loudly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(db: sqlite3.Connection) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(groupcommit, "TIDY_EVERY", 0.0)
    commits = GroupCommit(bench.connect, 0.0, explode)
    await commits.open()
    await commits.call(put(1))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await asyncio.wait_for(commits.broken, 5)
    assert await commits.call(put(2)) == 2
    await commits.close()


async def test_a_short_lock_of_another_process_is_no_fault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupcommit, "LOCKED_PATIENCE", 60.0)
    async with bench.open(interval=0.0) as commits:
        with contextlib.closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(commits.call(put(1)))
            await until(lambda: bench.statements.count("BEGIN IMMEDIATE") > 1)
            assert commits.fault is None
            other.execute("COMMIT")
            assert await asyncio.wait_for(task, 5) == 1


async def test_close_commits_what_was_handed_over_and_refuses_what_comes_later(bench: Bench) -> None:
    commits = GroupCommit(bench.connect, 0.1)
    await commits.open()
    for n in range(10):
        commits.post(put(n))
    await commits.close()
    assert bench.stored() == list(range(10))
    with pytest.raises(LedgerClosed):
        commits.post(put(11))
    await commits.close()


async def test_a_caller_that_was_cancelled_has_its_operation_committed_and_harms_nobody(bench: Bench) -> None:
    async with bench.open() as commits:
        task = asyncio.create_task(commits.call(put(1)))
        await asyncio.sleep(0)
        task.cancel()
        await commits.call(put(2))
        assert bench.stored() == [1, 2]


async def test_what_somebody_waits_for_is_not_held_up_by_the_interval_nor_is_what_came_before_it(
    bench: Bench,
) -> None:
    async with bench.open(interval=600.0) as commits, asyncio.timeout(10):
        commits.post(put(1))
        await commits.call(put(2))
        assert bench.stored() == [1, 2]
        told = asyncio.Event()
        commits.post(put(3))
        commits.post(put(4), lambda result: told.set(), soon=True)
        await told.wait()
        assert bench.stored() == [1, 2, 3, 4]


async def test_after_a_quiet_time_nothing_is_held_up_by_the_interval(bench: Bench) -> None:
    async with bench.open(interval=600.0) as commits, asyncio.timeout(10):
        commits._began_at -= 600.0
        told = asyncio.Event()
        commits.post(put(1), lambda result: told.set())
        await told.wait()
        commits.post(put(2), lambda result: told.set())
        assert commits._timer is not None
        assert commits._timer.when() > asyncio.get_running_loop().time() + 500


async def test_what_is_waited_for_while_a_commit_is_on_its_way_comes_soon_after_it(bench: Bench) -> None:
    async with bench.open(interval=600.0) as commits, asyncio.timeout(10):
        going = asyncio.Event()

        def first(db: sqlite3.Connection) -> None:
            asyncio.get_running_loop().call_soon(going.set)
            put(1)(db)

        one = asyncio.create_task(commits.call(first))
        await going.wait()
        commits.post(put(2))
        await asyncio.gather(one, commits.call(put(3)))
        assert bench.stored() == [1, 2, 3]


async def test_what_has_time_goes_with_a_commit_that_is_due_anyway(bench: Bench) -> None:
    async with bench.open(interval=600.0) as commits, asyncio.timeout(10):
        upkeep = asyncio.create_task(commits.call(put(1), soon=False))
        await asyncio.sleep(0)
        assert await commits.call(put(2)) == 2
        assert await upkeep == 1
        assert bench.commits == 1


def everything(db: sqlite3.Connection) -> list[object]:
    return [row[0] for row in db.execute("SELECT x FROM t ORDER BY rowid")]


async def test_who_reads_needs_no_lock_that_another_process_holds(bench: Bench) -> None:
    async with bench.open(interval=600.0) as commits, asyncio.timeout(10):
        await commits.call(put(1))
        with contextlib.closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await commits.read(everything) == [1]
            other.execute("COMMIT")
        assert bench.statements.count("BEGIN IMMEDIATE") == 1


async def test_who_reads_sees_what_was_handed_over_before(bench: Bench) -> None:
    async with bench.open(interval=600.0) as commits, asyncio.timeout(10):
        commits.post(put(1))
        assert await commits.read(everything) == [1]


async def test_a_reader_that_fails_is_told_and_leaves_no_transaction_open(bench: Bench) -> None:
    async with bench.open() as commits:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            await commits.read(lambda db: db.execute("SELECT * FROM nowhere").fetchall())
        assert await commits.call(put(1)) == 1


async def test_open_raises_what_connecting_raised(tmp_path: Path) -> None:
    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open")

    before = set(threading.enumerate())
    commits = GroupCommit(refuse, 0.0)
    with pytest.raises(sqlite3.OperationalError, match="unable"):
        await commits.open()
    await commits.close()
    gc.collect()
    assert not [each for each in threading.enumerate() if each.name == "ledger" and each not in before]


async def test_tidying_happens_between_commits_and_only_after_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupcommit, "TIDY_EVERY", 0.0)
    tidied: list[bool] = []
    commits = GroupCommit(bench.connect, 0.0, lambda db: tidied.append(db.in_transaction))
    await commits.open()
    await commits.call(lambda db: db.execute("SELECT 1").fetchone())
    assert tidied == []
    await commits.call(put(1))
    await commits.call(lambda db: db.execute("SELECT 1").fetchone())
    await commits.call(lambda db: db.execute("SELECT 1").fetchone())
    assert tidied == [False]
    await commits.close()


async def test_what_is_posted_when_a_commit_is_told_of_waits_for_the_tidying(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupcommit, "TIDY_EVERY", 0.0)
    tidying, go_on = threading.Event(), threading.Event()

    def tidy(db: sqlite3.Connection) -> None:
        tidying.set()
        go_on.wait(10)

    commits = GroupCommit(bench.connect, 0.0, tidy)
    await commits.open()

    def then(one: object) -> None:
        commits.post(put(2))

    commits.post(put(1), then)
    await until(tidying.is_set)
    assert bench.statements.count("BEGIN IMMEDIATE") == 1
    go_on.set()
    await until(lambda: commits.waiting == 0)
    await commits.close()
    assert bench.stored() == [1, 2]
