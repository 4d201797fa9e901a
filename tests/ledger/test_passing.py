"""Faults that pass, told from those that are ours, on what SQLite itself raises."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.ledger.passing import is_passing, primary_code


def raised(path: Path, statement: str, *before: str) -> sqlite3.Error:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        for each in before:
            db.execute(each)
        with pytest.raises(sqlite3.Error) as error:
            db.execute(statement)
    return error.value


def test_a_lock_passes(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = raised(tmp_path / "x.db", "BEGIN IMMEDIATE")
    assert is_passing(error)
    assert primary_code(error) == sqlite3.SQLITE_BUSY


def test_a_full_database_passes(tmp_path: Path) -> None:
    error = raised(tmp_path / "x.db", "CREATE TABLE t (x)", "PRAGMA max_page_count = 1")
    assert is_passing(error)
    assert primary_code(error) == sqlite3.SQLITE_FULL


def test_a_snapshot_that_is_too_old_is_known_by_its_primary_code(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as one:
        one.execute("PRAGMA journal_mode = WAL")
        one.execute("CREATE TABLE t (x)")
        one.execute("BEGIN")
        one.execute("SELECT * FROM t").fetchall()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.OperationalError) as error:
            one.execute("INSERT INTO t VALUES (2)")
    assert error.value.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT
    assert primary_code(error.value) == sqlite3.SQLITE_BUSY
    assert is_passing(error.value)


def test_no_memory_passes() -> None:
    assert is_passing(MemoryError())


@pytest.mark.parametrize("statement", ["SELECT nothing", "NONSENSE", "INSERT INTO nowhere VALUES (1)"])
def test_a_fault_of_ours_does_not_pass(tmp_path: Path, statement: str) -> None:
    assert not is_passing(raised(tmp_path / "x.db", statement))
    assert not is_passing(ValueError("ours"))
    assert primary_code(ValueError("ours")) is None
