"""What the ledger promises of jobs and calls, on its real SQL."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from orchestrator.call import events as ev
from orchestrator.ledger import intent, outbox, queries, views
from orchestrator.ledger.records import (
    CallEnd,
    CallStep,
    Claim,
    Entry,
    JobRow,
    JobState,
    Outgoing,
    Requeue,
    Verdict,
)
from orchestrator.ledger.schema import migrate
from tests.fakes import EPOCH, new_job

NOW = EPOCH + 1
COMPLETED = Verdict("completed", "every play was heard", NOW + 5)


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


def ending(of: Claim, then: Requeue | Verdict = COMPLETED, at: float = NOW + 5) -> CallEnd:
    return CallEnd(job_id=of.job.id, call_id=of.call_id, ended_at=at, cdr=b'{"x":1}', then=then)


def record(db: sqlite3.Connection, of: Claim, n: int, *outgoing: Outgoing, end: CallEnd | None = None) -> int:
    entry = Entry(n, NOW + n, ev.Ended(16) if end else ev.Accepted())
    step = CallStep(call_id=of.call_id, entry=entry, outgoing=outgoing, end=end)
    return len(queries.record_all(db, [step]))


def job(db: sqlite3.Connection, id: str = "job-1") -> JobRow:
    found = queries.get_job(db, id)
    assert found is not None
    return found


def count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_a_job_is_new_then_the_same_and_another_content_is_a_conflict(db: sqlite3.Connection) -> None:
    assert queries.submit(db, new_job()) == "new"
    assert queries.submit(db, new_job(sealed=b"sealed anew")) == "same"
    assert queries.submit(db, new_job(fingerprint=b"other")) == "conflict"
    assert count(db, "jobs") == 1
    (taken,) = claim(db)
    assert queries.submit(db, new_job()) == "same"
    record(db, taken, 2, end=ending(taken))
    assert queries.submit(db, new_job()) == "same"
    assert job(db).state is JobState.ENDED


def test_claims_come_by_priority_then_by_due_time(db: sqlite3.Connection) -> None:
    for id, priority, due in [("a", 0, 3), ("b", 9, 2), ("c", 0, 1), ("d", 9, 1), ("e", 4, 0)]:
        queries.submit(db, new_job(id, priority=priority, not_before=EPOCH + due))
    assert [each.job.id for each in claim(db, 2, NOW + 9)] == ["d", "b"]
    assert [each.job.id for each in claim(db, 9, NOW + 9)] == ["e", "c", "a"]
    assert claim(db, 9, NOW + 9) == []


def test_what_is_not_due_expired_or_cancelled_is_not_claimed(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job("later", not_before=NOW + 10))
    queries.submit(db, new_job("over", expires_in=0.5))
    queries.submit(db, new_job("cancelled"))
    queries.request_cancel(db, "cancelled")
    found = queries.claim(db, "ast1", [], NOW, 9)
    assert found.claims == ()
    assert [each.job.id for each in claim(db, 9, NOW + 10)] == ["later"]


def test_a_claim_says_when_the_next_job_is_due(db: sqlite3.Connection) -> None:
    assert queries.claim(db, "ast1", [], NOW, 9).next_at is None
    queries.submit(db, new_job("later", not_before=NOW + 10))
    assert queries.claim(db, "ast1", [], NOW, 9).next_at == NOW + 10


def test_a_job_with_a_caller_id_goes_to_a_node_that_has_it(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job("one", caller_id="+15550100"))
    queries.submit(db, new_job("any"))
    first = claim(db, 9, caller_ids=["+15550199"])
    assert [(each.job.id, each.planned.caller_id) for each in first] == [("any", "+15550199")]  # type: ignore[union-attr]
    second = claim(db, 9, caller_ids=["+15550199", "+15550100"])
    assert [(each.job.id, each.planned.caller_id) for each in second] == [("one", "+15550100")]  # type: ignore[union-attr]


def test_a_claim_may_be_for_one_job_alone(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job("a", priority=9))
    queries.submit(db, new_job("b"))
    assert [each.job.id for each in claim(db, 9, only="b")] == ["b"]
    assert claim(db, 9, only="nobody") == []


def test_a_claim_writes_the_intent_to_dial(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job(to="+12025550106", ring_timeout=20.0, plays=3))
    (taken,) = claim(db)
    ((first,),) = [call.journal for call in queries.open_calls(db)]
    assert first == Entry(1, NOW, taken.planned)
    assert isinstance(taken.planned, ev.Planned)
    assert (taken.planned.number, taken.planned.ring_timeout, taken.planned.plays) == (
        "+12025550106",
        20.0,
        3,
    )
    assert (taken.attempt, job(db).attempts, job(db).state) == (1, 1, JobState.ACTIVE)
    assert "sealed" not in repr(taken)


def test_the_same_attempt_always_has_the_same_id_and_each_attempt_its_own() -> None:
    ids = {intent.call_id(id, attempt) for id in ("a", "b", "a/1") for attempt in range(1, 6)}
    assert len(ids) == 15
    assert intent.call_id("a", 1) == intent.call_id("a", 1)


def test_an_undialled_attempt_leaves_no_trace_and_is_made_again_under_the_same_id(
    db: sqlite3.Connection,
) -> None:
    queries.submit(db, new_job())
    (first,) = claim(db)
    queries.undial(db, "job-1", first.call_id, NOW + 1)
    assert (count(db, "calls"), count(db, "journal")) == (0, 0)
    assert (job(db).attempts, job(db).state, job(db).next_at) == (0, JobState.QUEUED, NOW + 1)
    queries.undial(db, "job-1", first.call_id, NOW + 1)
    assert job(db).attempts == 0
    (second,) = claim(db, now=NOW + 1)
    assert (second.call_id, second.attempt) == (first.call_id, 1)


def test_undialling_a_call_that_ended_changes_nothing(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job())
    (taken,) = claim(db)
    record(db, taken, 2, end=ending(taken))
    queries.undial(db, "job-1", taken.call_id, NOW)
    assert (job(db).state, job(db).attempts, count(db, "calls")) == (JobState.ENDED, 1, 1)


def test_a_second_end_changes_nothing_and_tells_nothing(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job())
    (taken,) = claim(db)
    assert record(db, taken, 2, out(1), out(2, type="job.ended"), end=ending(taken)) == 2
    again = ending(taken, Verdict("failed", "again", NOW + 9), at=NOW + 9)
    assert record(db, taken, 3, out(3), out(4, type="job.ended"), end=again) == 0
    assert (job(db).outcome, job(db).sequence, count(db, "outbox")) == ("completed", 2, 2)
    assert db.execute("SELECT sealed FROM jobs").fetchone()[0] is None


def test_the_same_journal_line_is_written_once(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job())
    (taken,) = claim(db)
    record(db, taken, 2)
    record(db, taken, 2)
    assert [entry.n for entry in queries.read_journal(db, taken.call_id)] == [1, 2]


def test_after_a_requeue_the_next_attempt_goes_on_with_the_sequence(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job())
    (first,) = claim(db)
    record(db, first, 2, out(1), out(2), end=ending(first, Requeue(NOW + 30)))
    assert claim(db, now=NOW + 29) == []
    (second,) = claim(db, now=NOW + 30)
    assert (second.attempt, second.job.sequence) == (2, 2)
    assert second.call_id != first.call_id
    assert second.sealed == b"sealed"


def test_a_job_claimed_before_its_end_came_keeps_its_call(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job())
    (taken,) = claim(db)
    made = queries.end_queued(
        db, "job-1", Verdict("expired", "late", NOW), lambda row: out(1, type="job.ended")
    )
    assert made == []
    assert job(db).state is JobState.ACTIVE
    queries.undial(db, taken.job.id, taken.call_id, NOW)
    for _ in range(2):
        made += queries.end_queued(
            db, "job-1", Verdict("expired", "late", NOW), lambda row: out(1, type="job.ended")
        )
    assert len(made) == 1
    assert (job(db).outcome, job(db).sequence) == ("expired", 1)
    assert claim(db) == []
    assert db.execute("SELECT sealed FROM jobs").fetchone()[0] is None


def test_overdue_finds_the_expired_and_the_cancelled_that_wait(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job("over", expires_in=0.5))
    queries.submit(db, new_job("fine"))
    queries.submit(db, new_job("active"))
    (taken,) = claim(db, only="active")
    for id in ("fine", "active"):
        queries.request_cancel(db, id)
    assert {row.id for row in queries.overdue(db, NOW, 9)} == {"over", "fine"}
    assert queries.cancelled_active(db) == ["active"]
    record(db, taken, 2, end=ending(taken))
    assert queries.cancelled_active(db) == []
    assert queries.request_cancel(db, "nobody") is None
    assert queries.next_expiry(db) == EPOCH + 0.5


def test_cdrs_go_out_in_batches_each_once(db: sqlite3.Connection) -> None:
    for n in range(120):
        queries.submit(db, new_job(f"job-{n}"))
    for taken in claim(db, 120):
        record(db, taken, 2, end=ending(taken))
    sizes: list[int] = []

    def build(records: list[bytes]) -> Outgoing:
        sizes.append(len(records))
        return out(1, lane=f"cdr:{len(sizes)}", type="cdr")

    while outbox.batch_cdrs(db, 50, build)[1]:
        pass
    assert sizes == [50, 50, 20]
    assert count(db, "outbox") == 3


def test_what_ended_long_ago_is_forgotten_once_its_notifications_have_their_fate(
    db: sqlite3.Connection,
) -> None:
    for id in ("old", "waiting", "young", "queued"):
        queries.submit(db, new_job(id))
    for id, at in (("old", NOW), ("waiting", NOW), ("young", NOW + 99)):
        (taken,) = claim(db, only=id)
        verdict = Verdict("completed", "", at)
        record(db, taken, 2, out(1, lane=id, type="job.ended"), end=ending(taken, verdict))
    for id in ("old", "young"):
        rows = db.execute("SELECT id FROM outbox WHERE lane = ?", (id,)).fetchall()
        outbox.delivered(db, [row[0] for row in rows])
    outbox.enqueue(db, [out(1, lane="cdr:a", type="cdr", at=NOW), out(1, lane="cdr:b", type="cdr", at=NOW)])
    outbox.delivered(db, [db.execute("SELECT id FROM outbox WHERE lane = 'cdr:a'").fetchone()[0]])
    assert views.forget(db, NOW + 50, 100) == 1
    left = {row[0] for row in db.execute("SELECT id FROM jobs")}
    assert left == {"waiting", "young", "queued"}
    assert {row[0] for row in db.execute("SELECT lane FROM outbox")} == {"waiting", "young", "cdr:b"}
    assert count(db, "calls") == 2
    assert count(db, "journal") == 4


def test_counts_and_summary_tell_what_there_is(db: sqlite3.Connection) -> None:
    for n in range(5):
        queries.submit(db, new_job(f"job-{n}"))
    taken = claim(db, 3)
    record(db, taken[0], 2, out(1, lane=taken[0].job.id), end=ending(taken[0]))
    assert views.counts(db) == {"jobs_queued": 2, "jobs_active": 2, "outbox_pending": 1, "outbox_dead": 0}
    summary = views.summary(db, taken[0].job.id)
    assert summary is not None
    assert (summary.cdrs, summary.notifications) == (({"x": 1},), {"pending": 1})
    followed = views.follow(db, taken[1].job.id)
    assert followed is not None
    assert [(attempt, len(journal)) for _, attempt, journal in followed.calls] == [(1, 1)]
    assert views.summary(db, "nobody") is None
    assert views.follow(db, "nobody") is None


@pytest.mark.parametrize(
    "run",
    [
        lambda db: claim(db),
        lambda db: claim(db, only="x", caller_ids=["+1"]),
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


def test_no_record_shows_a_secret(db: sqlite3.Connection) -> None:
    queries.submit(db, new_job(sealed=b"hush"))
    (taken,) = claim(db)
    assert "hush" not in repr([taken, queries.open_calls(db), out(1)])
    assert b"hush" not in msgspec.json.encode(job(db))
