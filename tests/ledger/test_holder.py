"""Who holds SQLite's write lock, as the kernel's list of locks says."""

import os
import sqlite3
from pathlib import Path

import pytest

from orchestrator.ledger.holder import write_lock_holder
from orchestrator.ledger.sqlite import connect


def test_the_process_within_a_write_transaction_holds_it_and_afterwards_nobody(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    db = connect(path)
    assert write_lock_holder(path) is None
    db.execute("BEGIN IMMEDIATE")
    assert write_lock_holder(path) == os.getpid()
    db.execute("COMMIT")
    assert write_lock_holder(path) is None
    db.close()


def test_a_reader_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    db = connect(path)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM jobs").fetchone()
    assert write_lock_holder(path) is None
    db.execute("COMMIT")
    db.close()


@pytest.mark.parametrize(
    ("line", "holder"),
    [
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 120 120", 4711),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 120 EOF", 4711),
        ("1: POSIX  ADVISORY  READ 4711 fe:00:{inode} 120 120", None),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:1 120 120", None),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 123 123", None),
        ("1: POSIX  ADVISORY  WRITE -1 fe:00:{inode} 120 120", None),
        ("1: -> POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 120 120", None),
        ("1: FLOCK  ADVISORY  WRITE 4711 fe:00:{inode} 0 EOF", None),
        ("", None),
    ],
)
def test_only_a_posix_write_lock_on_that_byte_of_that_file_counts(
    tmp_path: Path, line: str, holder: int | None
) -> None:
    path = tmp_path / "l.db"
    shared = tmp_path / "l.db-shm"
    shared.write_bytes(b"")
    locks = tmp_path / "locks"
    locks.write_text(line.format(inode=shared.stat().st_ino) + "\n")
    assert write_lock_holder(path, locks) == holder


def test_where_the_kernel_does_not_say_nobody_is_named(tmp_path: Path) -> None:
    db: sqlite3.Connection = connect(tmp_path / "l.db")
    assert write_lock_holder(tmp_path / "l.db", tmp_path / "nowhere") is None
    db.close()
    assert write_lock_holder(tmp_path / "other.db") is None
