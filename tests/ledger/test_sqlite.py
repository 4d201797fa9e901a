"""The file itself: durable when it says so, migrated, shared between processes, free of old secrets."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from orchestrator.call import events as ev
from orchestrator.guard.seal import Seal
from orchestrator.ledger import groupcommit, sqlite
from orchestrator.ledger.errors import LedgerUnusable
from orchestrator.ledger.records import CallEnd, Claim, Entry, JobState, Verdict
from orchestrator.ledger.schema import APPLICATION_ID, MIGRATIONS
from orchestrator.ledger.sqlite import SqliteLedger, WorkerLock, connect
from tests.fakes import EPOCH, new_job

NOW = EPOCH + 1


@contextlib.asynccontextmanager
async def opened(path: Path):  # type: ignore[no-untyped-def]
    ledger = await SqliteLedger.open(path)
    try:
        yield ledger
    finally:
        await ledger.close()


def end(claim: Claim, at: float = NOW + 2) -> CallEnd:
    return CallEnd(
        job_id=claim.job.id,
        call_id=claim.call_id,
        ended_at=at,
        cdr=b"{}",
        then=Verdict("completed", "every play was heard", at),
    )


def killed_after(path: Path, what: str) -> None:
    """Run a process that is killed, with no chance to close, the moment `what` returned."""
    program = f"""
        import asyncio, os, signal
        from pathlib import Path
        from orchestrator.ledger.sqlite import SqliteLedger
        from tests.fakes import EPOCH, new_job
        async def main():
            ledger = await SqliteLedger.open(Path({str(path)!r}), 0.004)
            await ledger.submit([new_job("a"), new_job("b")])
            {what}
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_what_was_submitted_and_claimed_survives_a_kill(tmp_path: Path) -> None:
    killed_after(tmp_path / "l.db", "await ledger.claim('ast1', [], EPOCH + 1, 1)")
    with contextlib.closing(sqlite3.connect(tmp_path / "l.db")) as db:
        jobs = dict(db.execute("SELECT id, state FROM jobs").fetchall())
        assert sorted(jobs.values()) == ["active", "queued"]
        ((call, job),) = db.execute("SELECT id, job_id FROM calls").fetchall()
        assert jobs[job] == "active"
        ((n, event),) = db.execute(
            "SELECT n, event FROM journal JOIN calls ON number = call WHERE id = ?", (call,)
        ).fetchall()
        assert n == 1
        assert b'"planned"' in event


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_new_ledger_is_private_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await ledger.submit([new_job()])
        for file in files(tmp_path):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


async def test_a_ledger_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    connect(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(LedgerUnusable, match="newer version"):
        await SqliteLedger.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, 1, 7])
async def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path, version: int) -> None:
    path = tmp_path / "notes.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (x)")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(LedgerUnusable, match="no ledger"):
        await SqliteLedger.open(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"something else\n" * 100)
    with pytest.raises(LedgerUnusable, match="not a database"):
        await SqliteLedger.open(path)
    assert path.read_bytes() == b"something else\n" * 100


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnusable, match="nowhere"):
        await SqliteLedger.open(tmp_path / "nowhere" / "l.db")


def test_many_who_open_a_new_ledger_at_once_all_get_the_same(tmp_path: Path) -> None:
    faults: list[Exception] = []
    start = threading.Barrier(8)

    def open_it() -> None:
        start.wait()
        try:
            connect(tmp_path / "l.db").close()
        except LedgerUnusable as error:
            faults.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


async def test_what_a_process_with_two_connections_wrote_outlives_it_and_another_ones_close(
    tmp_path: Path,
) -> None:
    path = tmp_path / "l.db"
    program = (
        "import asyncio, os, subprocess, sys; from pathlib import Path\n"
        "from orchestrator.ledger.sqlite import SqliteLedger, connect\n"
        "from tests.fakes import new_job\n"
        "look = 'import sys; from pathlib import Path; from orchestrator.ledger.sqlite import connect;'\n"
        "look += 'db = connect(Path(sys.argv[1])); db.execute(\"SELECT 1 FROM jobs\"); db.close()'\n"
        "async def main():\n"
        "    path = Path(sys.argv[1])\n"
        "    first = connect(path)\n"
        "    first.execute('SELECT 1 FROM jobs')\n"
        "    ledger = await SqliteLedger.open(path)\n"
        "    await ledger.submit([new_job('before')])\n"
        "    subprocess.run([sys.executable, '-c', look, str(path)], check=True)\n"
        "    await ledger.submit([new_job('after')])\n"
        "    os._exit(0)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    db = connect(path)
    assert {row[0] for row in db.execute("SELECT id FROM jobs")} == {"before", "after"}
    db.close()


async def test_two_processes_share_a_ledger_and_each_sees_that_the_other_wrote(tmp_path: Path) -> None:
    async with opened(tmp_path / "l.db") as one, opened(tmp_path / "l.db") as two:
        assert await one.changed() in (True, False)
        await one.submit([new_job("a")])
        assert not await one.changed()
        await two.submit([new_job("b")])
        assert await one.changed()
        assert not await one.changed()
        claims = await asyncio.gather(
            one.claim("ast1", [], NOW, 1), two.claim("ast2", [], NOW, 1), one.claim("ast1", [], NOW, 1)
        )
        taken = [claim.job.id for claimed in claims for claim in claimed.claims]
        assert sorted(taken) == ["a", "b"]


def test_only_one_worker_has_a_ledger_until_it_lets_go_or_dies(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    first = WorkerLock.take(path)
    assert first is not None
    assert WorkerLock.take(path) is None
    first.release()
    program = (
        "import sys, time; from pathlib import Path; from orchestrator.ledger.sqlite import WorkerLock;"
        f"lock = WorkerLock.take(Path({str(path)!r})); print(lock is not None, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        assert WorkerLock.take(path) is None
        other.kill()
        other.wait()
    again = WorkerLock.take(path)
    assert again is not None
    again.release()


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_a_code_is_never_in_the_clear_and_its_sealed_form_is_erased_when_its_job_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupcommit, "TIDY_EVERY", 0.0)
    seal = Seal(b"k" * 32)
    secrets = {f"job-{n}": f"marked-secret-{n:04}-{os.urandom(60).hex()}".encode() for n in range(60)}
    sealed = {id: seal.seal(id, secret) for id, secret in secrets.items()}
    async with opened(tmp_path / "l.db") as ledger:
        await ledger.submit([new_job(id, sealed=sealed[id]) for id in secrets])
        disk = on_disk(tmp_path)
        assert all(each in disk for each in sealed.values())
        assert b"marked-secret" not in disk
        ended = 0
        while claims := (await ledger.claim("ast1", [], NOW, 7)).claims:
            for claim in claims:
                assert seal.open(claim.job.id, claim.sealed) == secrets[claim.job.id]
                ledger.record(claim.job.id, claim.call_id, Entry(2, NOW, ev.Ended(16)), [], end(claim))
                ended += 1
        assert ended == 60
        await ledger.counts()
        await ledger.counts()  # the tidying after the last commit is over when the next one is
        disk = on_disk(tmp_path)
        for each in sealed.values():
            assert each[:16] not in disk
            assert each[-16:] not in disk
        summary = await ledger.summary("job-1")
        assert summary is not None
        assert summary.job.state is JobState.ENDED


def test_a_reader_that_holds_on_does_not_hold_up_the_erasing(tmp_path: Path) -> None:
    with (
        contextlib.closing(connect(tmp_path / "l.db")) as db,
        contextlib.closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM jobs").fetchall()
        db.execute("INSERT INTO outbox (event_id, lane, sequence, url, type, body, created_at, next_at)"
                   " VALUES ('e', 'l', 1, 'u', 't', 'b', 0, 0)")  # fmt: skip
        sqlite.erase(db)
        reader.execute("COMMIT")
        assert db.execute("PRAGMA busy_timeout").fetchone()[0] == 0  # nothing on the loop waits for a lock
        sqlite.erase(db)
        assert (tmp_path / "l.db-wal").stat().st_size == 0
