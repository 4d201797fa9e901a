"""Who may work on a ledger: never two, and somebody as soon as the owner is dead or stopped."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator import tenure as tenures
from orchestrator.clock import moment, steady_clock
from orchestrator.ledger import lease
from orchestrator.ledger.errors import LeaseLost
from orchestrator.ledger.holder import write_lock_holder
from orchestrator.ledger.sqlite import SqliteLedger, WorkerLock, connect
from orchestrator.tenure import Tenure, take_tenure
from tests.fakes import EPOCH, new_job

APPS = {"ast1": "orchestrator"}
OWNER = """
import asyncio, sys
from pathlib import Path
from orchestrator.clock import steady_clock
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.tenure import take_tenure

async def main():
    path, clock = Path(sys.argv[1]), steady_clock()
    apps, stop = {"ast1": "theirs"}, asyncio.Event()
    held = await take_tenure(path, "old", apps, clock, patience=9, stop=stop, standing_by=None)
    ledger = await SqliteLedger.open(path, 0.0, held.token)
    print("owner", flush=True)
    await asyncio.gather(held.keep(ledger, clock, float(sys.argv[2])), ledger.broken())

asyncio.run(main())
"""


@contextmanager
def owner(path: Path, patience: float = 0.4) -> Iterator["subprocess.Popen[str]"]:
    """A process that owns the ledger and shows itself ten times a second, or so often as `patience` asks."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), str(patience)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "owner\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def take(
    path: Path,
    worker: str = "new",
    *,
    patience: float = 60.0,
    stop: asyncio.Event | None = None,
    standing_by: Callable[[str], None] | None = None,
    apps: dict[str, str] | None = None,
) -> Tenure | None:
    return await take_tenure(
        path,
        worker,
        apps or APPS,
        steady_clock(),
        patience=patience,
        stop=stop or asyncio.Event(),
        standing_by=standing_by,
    )


async def taken(
    path: Path, worker: str = "new", *, patience: float = 60.0, apps: dict[str, str] | None = None
) -> Tenure:
    tenure = await take(path, worker, patience=patience, standing_by=lambda owner: None, apps=apps)
    assert tenure is not None
    return tenure


async def test_a_ledger_without_an_owner_is_taken_at_once_and_again_after_its_release(tmp_path: Path) -> None:
    first = await taken(tmp_path / "l.db", "a")
    assert first.before is None
    assert first.holds()
    first.release()
    second = await taken(tmp_path / "l.db", "b")
    assert second.before is not None
    assert (second.before.worker, second.before.apps) == ("a", APPS)
    assert second.token == first.token + 1
    second.release()


async def test_one_that_does_not_stand_by_is_refused_while_there_is_an_owner(tmp_path: Path) -> None:
    first = await taken(tmp_path / "l.db")
    assert await take(tmp_path / "l.db") is None
    first.release()


async def test_one_that_stands_by_says_for_whom_and_takes_over_at_once_from_a_dead_one(
    tmp_path: Path,
) -> None:
    path, named = tmp_path / "l.db", asyncio.Queue[str]()
    with owner(path) as process:
        waiting = asyncio.create_task(take(path, standing_by=named.put_nowait))
        assert await named.get() == "old"
        process.kill()
        async with asyncio.timeout(10):  # far less than the patience with one that may be alive
            tenure = await waiting
    assert tenure is not None
    assert tenure.before is not None
    assert tenure.before.apps == {"ast1": "theirs"}
    tenure.release()


async def test_one_that_stands_by_leaves_an_owner_alone_that_shows_itself(tmp_path: Path) -> None:
    path, stop = tmp_path / "l.db", asyncio.Event()
    beats: set[int] = set()
    with owner(path):
        waiting = asyncio.create_task(take(path, patience=2.0, stop=stop, standing_by=lambda owner: None))
        until = time.monotonic() + 3.0
        with connect(path) as db:
            while time.monotonic() < until:
                found = lease.read(db)
                assert found is not None
                beats.add(found.beat)
                await asyncio.sleep(0)
        db.close()
        assert not waiting.done()
        assert len(beats) > 5
        stop.set()
        assert await waiting is None


async def test_a_stopped_owner_is_taken_over_and_can_neither_write_nor_act_when_it_wakes_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "l.db"
    with owner(path) as process:
        stop_between_two_writes(process.pid, path)
        tenure = await taken(path, patience=0.5)
        assert tenure.holds()
        os.kill(process.pid, signal.SIGCONT)
        _, error = await asyncio.to_thread(process.communicate, timeout=30)
        assert "LeaseLost" in error
        assert process.returncode == 1
    assert tenure.holds()
    tenure.release()


async def test_an_owner_that_was_stopped_in_the_middle_of_a_write_is_killed_and_taken_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "l.db"
    with owner(path, patience=0.01) as process:  # it writes most of the time
        stop_within_a_write(process.pid, path)
        tenure = await taken(path, patience=0.5)
        assert process.wait(10) == -signal.SIGKILL
    assert tenure.holds()
    tenure.release()


async def test_an_owner_without_the_lock_file_is_not_dead_because_the_file_is_free(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with owner(path) as process:
        stop_between_two_writes(process.pid, path)
        first = await taken(path, "a", patience=0.5)  # the stopped one holds the file still
    lock = WorkerLock.take(path)
    assert lock is not None  # now it is free
    lock.release()
    assert await take(path, "b") is None
    ledger = await SqliteLedger.open(path, 0.0, first.token)
    keeping = asyncio.create_task(first.keep(ledger, steady_clock(), 60.0))
    async with asyncio.timeout(10):
        while not lease_of(path).locked:  # noqa: ASYNC110 - the ledger's file rings no bell
            await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait([keeping])
    await ledger.close()
    first.release()


async def test_every_write_of_one_that_lost_the_ledger_is_refused_and_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    first = await taken(path, "a")
    ledger = await SqliteLedger.open(path, 0.0, first.token)
    await ledger.submit([new_job("mine")])
    with connect(path) as db:
        assert lease.take(db, lease.read(db), "b", {}, locked=False, seen=moment(time.time)) is not None
    db.close()
    with pytest.raises(LeaseLost, match="another worker has taken"):
        await ledger.submit([new_job("late")])
    with pytest.raises(LeaseLost):
        await ledger.broken()
    with pytest.raises(LeaseLost):  # also what comes later
        await ledger.counts()
    await ledger.close()
    assert [row[0] for row in rows(path, "SELECT id FROM jobs")] == ["mine"]
    first.release()


async def test_where_calls_live_on_is_known_although_an_owner_died_before_it_took_them_up(
    tmp_path: Path,
) -> None:
    path, other = tmp_path / "l.db", {"ast1": "other", "ast2": "other"}
    first = await taken(path, "a")
    ledger = await SqliteLedger.open(path, 0.0, first.token)
    await ledger.submit([new_job()])
    assert (await ledger.claim("ast1", (), EPOCH, 1)).claims
    await ledger.close()
    first.release()
    for worker in ("b", "c"):
        following = await taken(path, worker, apps=other)
        assert following.apps == {"ast1": "orchestrator", "ast2": "other"}
        following.release()
    assert lease_of(path).apps == following.apps


async def test_a_ledger_without_calls_is_worked_on_in_the_new_owners_own_applications(tmp_path: Path) -> None:
    (await taken(tmp_path / "l.db", "a")).release()
    second = await taken(tmp_path / "l.db", "b", apps={"ast1": "other"})
    assert second.apps == {"ast1": "other"}
    second.release()


async def test_the_right_to_act_ends_when_another_has_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.db"
    first = await taken(path, "a")
    assert first.holds()
    with connect(path) as db:
        lease.take(db, lease.read(db), "b", {}, locked=False, seen=moment(time.time))
    db.close()
    assert first.holds()  # seen a moment ago: the other waits that long
    now = time.monotonic() + tenures.HOLD
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not first.holds()
    first.release()


async def test_of_two_that_take_over_from_the_same_one_only_one_can(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    first = await taken(path, "a")
    one, two = connect(path), connect(path)
    seen = lease.read(one)
    assert lease.take(one, seen, "b", {}, locked=False, seen=moment(time.time)) is not None
    assert lease.take(two, seen, "c", {}, locked=False, seen=moment(time.time)) is None
    assert lease_of(path).worker == "b"
    one.close()
    two.close()
    first.release()


def stop_now(pid: int) -> None:
    """Stop a child, and wait until all of its threads stand still: it runs on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def stop_between_two_writes(pid: int, path: Path) -> None:
    while True:
        stop_now(pid)
        if write_lock_holder(path) is None:
            return
        os.kill(pid, signal.SIGCONT)


def stop_within_a_write(pid: int, path: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if write_lock_holder(path) == pid:
            stop_now(pid)
            if write_lock_holder(path) == pid:
                return
            os.kill(pid, signal.SIGCONT)
    raise AssertionError("it never writes")


def lease_of(path: Path) -> lease.Lease:
    db = connect(path)
    found = lease.read(db)
    db.close()
    assert found is not None
    return found


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    found = db.execute(query).fetchall()
    db.close()
    return found
