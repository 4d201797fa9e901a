"""A recovery is over when every call that was open has moved on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.chaos.recovery import is_settled, read_marks, waiting


def test_a_call_has_moved_on_when_it_has_ended_or_its_journal_has_grown() -> None:
    before = {"a": (3, "play_started"), "b": (2, "answered"), "c": (1, "planned")}
    assert waiting(before, before) == ["a", "b", "c"]
    assert waiting(before, {"a": (4, "alive"), "b": (2, "answered")}) == ["b"]
    assert waiting(before, {}) == []


def test_a_phone_that_rings_may_go_on_ringing() -> None:
    assert waiting({"a": (3, "ringing")}, {"a": (3, "ringing")}) == []


def _ledger(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE jobs (state);
        CREATE TABLE outbox (state);
        CREATE TABLE calls (number, id, ended_at, cdr_sent);
        CREATE TABLE journal (call, n, event);
        INSERT INTO calls VALUES (1, 'open', NULL, 0), (2, 'over', 5.0, 1);
        INSERT INTO journal VALUES (1, 1, '{"e": "planned"}'), (1, 2, '{"e": "accepted"}');
        INSERT INTO journal VALUES (2, 1, '{"e": "planned"}');
        """
    )
    return db


def test_marks_are_the_last_lines_of_open_calls(tmp_path: Path) -> None:
    _ledger(tmp_path / "ledger.db").close()
    assert read_marks(tmp_path / "ledger.db") == {"open": (2, "accepted")}


def test_a_call_that_was_found_ringing_rings(tmp_path: Path) -> None:
    db = _ledger(tmp_path / "ledger.db")
    found = '{"e": "alive", "ringing": true, "up": false, "ready": false}'
    db.execute("INSERT INTO journal VALUES (1, 3, ?)", (found,))
    db.commit()
    db.close()
    assert read_marks(tmp_path / "ledger.db") == {"open": (3, "ringing")}


def test_what_cannot_be_read_is_neither_marked_nor_settled(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    assert read_marks(tmp_path / "ledger.db") is None
    assert not is_settled(tmp_path / "ledger.db")


def test_a_ledger_is_settled_when_all_has_ended_arrived_and_was_sent(tmp_path: Path) -> None:
    db = _ledger(tmp_path / "ledger.db")
    assert not is_settled(tmp_path / "ledger.db")
    db.execute("UPDATE calls SET cdr_sent = 1")
    db.execute("INSERT INTO jobs VALUES ('active')")
    db.commit()
    assert not is_settled(tmp_path / "ledger.db")
    db.execute("UPDATE jobs SET state = 'ended'")
    db.execute("INSERT INTO outbox VALUES ('pending')")
    db.commit()
    assert not is_settled(tmp_path / "ledger.db")
    db.execute("UPDATE outbox SET state = 'delivered'")
    db.commit()
    db.close()
    assert is_settled(tmp_path / "ledger.db")
