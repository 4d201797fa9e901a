"""The drop folder: what becomes of each file, wherever a crash cuts in."""

import asyncio
import contextlib
import errno
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.intake.accept import MAX_JOB_BYTES, Rules
from orchestrator.intake.folder import FolderReplies, FolderSource
from orchestrator.intake.options import Intake
from orchestrator.intake.places import SETTLE, Places, write
from orchestrator.intake.source import IntakeDown
from orchestrator.notify.delivery import Delivery
from orchestrator.notify.schedule import Answered, Failed
from tests.intake.house import CODE, House, job, make_rules, standing, until


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    return make_rules(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
async def house(tmp_path: Path, rules: Rules) -> AsyncIterator[House]:
    async with standing(tmp_path, rules) as house:
        yield house


class Drop:
    """A folder, and what a producer does with it."""

    def __init__(self, root: Path, **options: object) -> None:
        self.intake = Intake(name="drop", kind="folder", jobs=str(root), poll_interval=0.01, **options)  # type: ignore[arg-type]
        self.places = Places(root, self.intake.dead_place)
        self.places.prepare()

    def put(self, name: str, content: bytes) -> Path:
        """Rename in, as a producer should."""
        partial = self.places.incoming / f".{name}"
        partial.write_bytes(content)
        return partial.rename(self.places.incoming / name)

    @contextlib.asynccontextmanager
    async def served(self, house: House) -> AsyncIterator[None]:
        """Served until the block ends, which is as abrupt as a crash."""
        task = asyncio.create_task(FolderSource(self.places, self.intake).serve(house.desk(self.intake)))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def names(self, folder: str) -> set[str]:
        return {path.name for path in (self.places.incoming.parent / folder).iterdir()}

    def empty(self) -> bool:
        return not self.names("incoming") and not self.names("taking")

    def receipt(self, name: str) -> str:
        id_: str = json.loads((self.places.done / name).read_text())["id"]
        return id_

    def reason(self, name: str) -> str:
        return (self.places.failed / f"{name}.reason").read_text()


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    return Drop(tmp_path / "drop")


async def test_a_job_leaves_a_receipt_and_no_code_behind(house: House, drop: Drop) -> None:
    drop.put("a.json", job(id="a1"))
    drop.put("b.json", job())
    async with drop.served(house):
        await until(drop.empty)
    assert drop.names("done") == {"a.json", "b.json"}
    assert drop.receipt("a.json") == "a1"
    assert len(await house.bodies("a1", drop.receipt("b.json"))) == 2
    for path in drop.places.incoming.parent.rglob("*"):
        assert path.is_dir() or CODE not in path.read_text()
    assert house.counts.outcomes == {"accepted": 2, "refused": 0, "duplicate": 0}


async def test_a_crash_between_the_commit_and_the_move_makes_no_second_job(house: House, drop: Drop) -> None:
    drop.put("night.json", job())
    found = drop.places.gather(10, time.time())
    await house.desk(drop.intake).take([each.message for each in found])
    assert drop.names("taking")  # here the worker dies
    async with drop.served(house):
        await until(drop.empty)
    assert await house.queued() == 1
    assert house.counts.outcomes == {"accepted": 1, "refused": 0, "duplicate": 1}


async def test_a_name_that_comes_again_is_the_same_job_and_with_other_content_a_fault(
    house: House, drop: Drop
) -> None:
    async with drop.served(house):
        for _ in range(3):
            drop.put("one.json", job())
            await until(drop.empty)
        drop.put("one.json", job(to="+12025550101"))
        await until(lambda: "one.json" in drop.names("failed"))
    assert await house.queued() == 1
    assert "known with other content" in drop.reason("one.json")


async def test_what_cannot_be_taken_is_put_aside_with_the_reason_and_stops_nobody(
    house: House, drop: Drop, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:hash")
    drop.put("wrong.json", job(code="12"))
    drop.put("large.json", job(user_data="x" * MAX_JOB_BYTES))
    (drop.places.incoming / "link.json").symlink_to(secret)
    os.mkfifo(drop.places.incoming / "pipe.json")
    (drop.places.incoming / "folder.json").mkdir()
    drop.put("right.json", job(id="right"))
    os.utime(drop.places.incoming / "large.json", (1, 1))
    async with drop.served(house):
        await until(drop.empty)
    failed = {"wrong.json", "large.json", "link.json", "pipe.json", "folder.json"}
    assert drop.names("failed") == failed | {f"{name}.reason" for name in failed}
    assert "$.code" in drop.reason("wrong.json")
    assert "12" not in drop.reason("wrong.json").replace("digits", "")
    assert "longer than" in drop.reason("large.json")
    assert drop.reason("link.json") == drop.reason("pipe.json") == drop.reason("folder.json")
    assert "not a regular file" in drop.reason("link.json")
    assert drop.names("done") == {"right.json"}


async def test_a_file_that_is_still_written_is_waited_for(house: House, drop: Drop) -> None:
    path = drop.places.incoming / "slow.json"
    whole = job(id="slow")
    path.write_bytes(whole[:20])
    drop.put("quick.json", job(id="quick"))
    async with drop.served(house):
        await until(lambda: "quick.json" in drop.names("done"))
        assert drop.names("incoming") == {"slow.json"}
        path.write_bytes(whole)
        await until(drop.empty)
    assert drop.names("done") == {"slow.json", "quick.json"}


async def test_a_file_that_its_writer_has_given_up_is_put_aside(house: House, drop: Drop) -> None:
    path = drop.put("half.json", job()[:20])
    os.utime(path, (time.time() - 2 * SETTLE,) * 2)
    async with drop.served(house):
        await until(drop.empty)
    assert "not valid JSON" in drop.reason("half.json")


async def test_what_failed_before_under_the_same_name_is_not_lost(house: House, drop: Drop) -> None:
    async with drop.served(house):
        for to in ("1", "2"):
            drop.put("bad.json", job(to=to))
            await until(drop.empty)
    assert len(drop.names("failed")) == 4
    kept = {path.read_bytes() for path in drop.places.failed.glob("*.json")}
    assert kept == {job(to="1"), job(to="2")}


async def test_nothing_is_taken_while_the_ledger_has_no_room(house: House, drop: Drop) -> None:
    house.open = False
    drop.put("a.json", job())
    async with drop.served(house):
        await until(lambda: house.counts.up)
        assert drop.names("incoming") == {"a.json"}
        house.open = True
        await until(drop.empty)
    assert house.wakes == 1


async def test_a_folder_that_anybody_may_write_to_is_not_served(house: House, drop: Drop) -> None:
    drop.places.incoming.chmod(0o777)
    with pytest.raises(IntakeDown, match="chmod o-w"):
        await FolderSource(drop.places, drop.intake).serve(house.desk(drop.intake))


async def test_too_many_failed_files_are_told_before_there_are_more(house: House, tmp_path: Path) -> None:
    drop = Drop(tmp_path / "few", max_kept=1)
    (drop.places.failed / "old.json").write_text("{}")
    with pytest.raises(IntakeDown, match="see to them"):
        await FolderSource(drop.places, drop.intake).serve(house.desk(drop.intake))


async def test_receipts_are_kept_up_to_a_number(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "few")
    for n in range(5):
        path = drop.places.done / f"{n}.json"
        path.write_text("{}")
        os.utime(path, (n, n))
    drop.places.prune(2)
    assert drop.names("done") == {"3.json", "4.json"}


def delivery(lane: str, sequence: int) -> Delivery:
    return Delivery(
        id=sequence, event_id=f"e{sequence}", lane=lane, sequence=sequence, url="intake:drop", type="t",
        body=b'{"n":1}', attempts=0, created_at=0.0, next_at=0.0,
    )  # fmt: skip


async def test_replies_are_files_named_by_job_and_sequence_up_to_a_number(tmp_path: Path) -> None:
    replies = FolderReplies(tmp_path / "replies", 3)
    for lane, n in (("job-1", 1), ("job-1", 1), ("..", 2)):
        assert await replies.send(delivery(lane, n)) == Answered(204)
    names = {path.name for path in (tmp_path / "replies").iterdir()}
    assert names == {"job-1.000001.json", "_...000002.json"}
    assert (tmp_path / "replies" / "job-1.000001.json").read_bytes() == b'{"n":1}'
    assert await replies.send(delivery("job-2", 1)) == Answered(204)
    assert isinstance(await replies.send(delivery("job-3", 1)), Failed)


async def test_a_file_nested_too_deeply_is_refused_at_once(house: House, tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop")
    async with drop.served(house):
        drop.put("deep.json", b"[" * 20_000)
        drop.put("good.json", job())
        await until(lambda: drop.names("done") == {"good.json"})
        await until(lambda: "deep.json" in drop.names("failed"))
    assert (drop.places.failed / "deep.json.reason").read_text() == "$: nested too deeply\n"


def test_a_file_that_the_machine_cannot_open_now_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Drop(tmp_path / "drop")
    drop.put("a.json", job())

    def no_more_files(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr("orchestrator.intake.places.os.open", no_more_files)
        with pytest.raises(OSError, match="Too many"):
            drop.places.gather(10, time.time() + SETTLE)
    assert [found.name for found in drop.places.left_over(10)] == ["a.json"]


def test_a_full_disk_is_not_filled_further_by_what_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("orchestrator.intake.places.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "event.json", b"{}", durable=True)
    assert list(tmp_path.iterdir()) == []
