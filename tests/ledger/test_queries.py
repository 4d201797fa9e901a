"""What SQLite reads for what runs often. What it promises is in test_conformance.py."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.ledger import held, outbox, queries, views
from orchestrator.ledger.limits import CallLimits
from orchestrator.ledger.records import Claim, Outgoing
from orchestrator.ledger.schema import migrate
from tests.fakes import EPOCH, new_job

NOW = EPOCH + 1
LIMITS = CallLimits(callee_calls=1, callee_per_hour=1, callee_per_day=1, application_calls=1)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, "memory")
    yield db
    db.close()


def out(sequence: int, lane: str = "job-1", type: str = "call.dialing", at: float = NOW) -> Outgoing:
    id = f"{lane}-{sequence}"
    return Outgoing(event_id=id, lane=lane, sequence=sequence, url="http://r/", type=type, body=b"{}", at=at)


def claim(db: sqlite3.Connection, limit: int = 1, now: float = NOW, **changes: Any) -> list[Claim]:
    return list(queries.claim(db, "ast1", changes.pop("caller_ids", []), now, limit, **changes).claims)


@pytest.mark.parametrize(
    "run",
    [
        lambda db: claim(db),
        lambda db: claim(db, limits=LIMITS),
        lambda db: claim(db, only="x", caller_ids=["+1"]),
        lambda db: held.release(db, [("+1", "+2", "shop", True, NOW)]),
        lambda db: queries.overdue(db, NOW, 5),
        lambda db: queries.next_expiry(db),
        lambda db: queries.cancelled_active(db),
        lambda db: queries.open_calls(db),
        lambda db: views.counts(db),
        lambda db: views.forget(db, NOW, 5),
        lambda db: outbox.due(db, NOW, 5, ()),
        lambda db: outbox.next_due(db, ()),
        lambda db: outbox.retry(db, 1, 1, NOW, ""),
        lambda db: outbox.stop_lane(db, "l", ""),
        lambda db: outbox.dead_letters(db, 5),
        lambda db: outbox.batch_cdrs(db, 5, lambda records: out(1)),
    ],
)
def test_nothing_that_runs_often_reads_a_whole_table(db: sqlite3.Connection, run: Any) -> None:
    queries.submit(db, new_job())
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    run(db)
    db.set_trace_callback(None)
    asked = [each for each in statements if each.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert asked
    for statement in asked:
        for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
            whole = detail.startswith("SCAN") and "INDEX" not in detail and "CONSTANT ROW" not in detail
            assert not whole, (detail, statement)
            # The queue may be long: what is scanned through an index must be the few, not all who wait.
            assert not detail.startswith("SCAN jobs") or "count(*)" in statement, (detail, statement)


def statements_of(db: sqlite3.Connection, **changes: Any) -> list[str]:
    """What one claim of one job asks, with its values left out."""
    queries.submit(db, new_job(application="shop", intake="orders"))
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    assert claim(db, **changes)
    db.set_trace_callback(None)
    return [each for each in statements if each.startswith(("SELECT", "UPDATE", "INSERT", "WITH", "DELETE"))]


def test_where_no_limit_is_configured_a_claim_asks_nothing_about_any(db: sqlite3.Connection) -> None:
    plain = statements_of(db)
    assert len(plain) == 6  # two looks for what is due, three writes, and when the next is due
    assert not any("callee = " in each or "application = " in each for each in plain)


def test_each_limit_asks_for_its_own_count_alone(db: sqlite3.Connection) -> None:
    limited = statements_of(db, limits=CallLimits(application_calls=1))
    assert len(limited) == 7
    assert sum("application = " in each for each in limited) == 1
