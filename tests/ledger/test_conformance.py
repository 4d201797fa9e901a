"""The ledger's promises (`ledger.port.Ledger`), kept alike by every ledger, on its real SQL."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from orchestrator.call import events as ev
from orchestrator.ledger import intent
from orchestrator.ledger.errors import LedgerClosed
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import (
    CallEnd,
    Claim,
    Entry,
    JobRow,
    JobState,
    Kept,
    Outgoing,
    Requeue,
    Verdict,
)
from orchestrator.notify.delivery import Delivery
from tests.fakes import EPOCH, new_job

NOW = EPOCH + 1
COMPLETED = Verdict("completed", "every play was heard", NOW + 5)
ENDED = "job.ended"


def out(sequence: int, lane: str = "job-1", type: str = "call.dialing", at: float = NOW) -> Outgoing:
    id = f"{lane}-{sequence}"
    return Outgoing(event_id=id, lane=lane, sequence=sequence, url="http://r/", type=type, body=b"{}", at=at)


async def claim(ledger: Ledger, limit: int = 1, now: float = NOW, **changes: Any) -> list[Claim]:
    return list((await ledger.claim("ast1", changes.pop("caller_ids", []), now, limit, **changes)).claims)


def ending(
    of: Claim, then: Requeue | Verdict = COMPLETED, at: float = NOW + 5, recording: str | None = None
) -> CallEnd:
    return CallEnd(
        job_id=of.job.id, call_id=of.call_id, ended_at=at, cdr=b'{"x":1}', then=then, recording=recording
    )


async def record(
    ledger: Ledger, of: Claim, n: int, *outgoing: Outgoing, end: CallEnd | None = None
) -> list[Delivery]:
    """One step, stored; what was announced of it."""
    told: list[Delivery] = []
    ledger.on_deliveries = told.extend
    entry = Entry(n, NOW + n, ev.Ended(16) if end else ev.Accepted())
    ledger.record(of.job.id, of.call_id, entry, outgoing, end)
    await ledger.counts()
    return told


async def job(ledger: Ledger, id: str = "job-1") -> JobRow:
    found = await ledger.summary(id)
    assert found is not None
    return found.job


async def calls(ledger: Ledger, id: str = "job-1") -> list[tuple[int, list[int]]]:
    """Each call's attempt, and the numbers of its journal's lines."""
    found = await ledger.follow(id)
    assert found is not None
    return [(attempt, [entry.n for entry in journal]) for _, attempt, journal in found.calls]


async def one_claim(ledger: Ledger, **changes: Any) -> Claim:
    await ledger.submit([new_job(**changes)])
    (taken,) = await claim(ledger)
    return taken


async def test_a_job_is_new_then_the_same_and_another_content_is_a_conflict(ledger: Ledger) -> None:
    assert await ledger.submit([new_job()]) == ["new"]
    assert await ledger.submit([new_job(sealed=b"sealed anew")]) == ["same"]
    assert await ledger.submit([new_job(fingerprint=b"other")]) == ["conflict"]
    (taken,) = await claim(ledger)
    assert taken.sealed == b"sealed"
    assert await ledger.submit([new_job()]) == ["same"]
    await record(ledger, taken, 2, end=ending(taken))
    assert await ledger.submit([new_job()]) == ["same"]
    assert (await job(ledger)).state is JobState.ENDED


async def test_of_many_that_come_at_once_each_is_told_what_became_of_its_own(ledger: Ledger) -> None:
    several = [
        [new_job("a"), new_job("b"), new_job("a")],
        [new_job("b", fingerprint=b"other"), new_job("c")],
        [new_job("a"), new_job("d")],
    ]
    became = await asyncio.gather(*(ledger.submit(some) for some in several))
    assert became == [["new", "new", "same"], ["conflict", "new"], ["same", "new"]]


async def test_claims_come_by_priority_then_by_due_time(ledger: Ledger) -> None:
    for id, priority, due in [("a", 0, 3), ("b", 9, 2), ("c", 0, 1), ("d", 9, 1), ("e", 4, 0)]:
        await ledger.submit([new_job(id, priority=priority, not_before=EPOCH + due)])
    assert [each.job.id for each in await claim(ledger, 2, NOW + 9)] == ["d", "b"]
    assert [each.job.id for each in await claim(ledger, 9, NOW + 9)] == ["e", "c", "a"]
    assert await claim(ledger, 9, NOW + 9) == []


async def test_what_is_not_due_expired_or_cancelled_is_not_claimed(ledger: Ledger) -> None:
    await ledger.submit(
        [new_job("later", not_before=NOW + 10), new_job("over", expires_in=0.5), new_job("cancelled")]
    )
    await ledger.request_cancel("cancelled")
    assert await claim(ledger, 9) == []
    assert [each.job.id for each in await claim(ledger, 9, NOW + 10)] == ["later"]


async def test_a_claim_says_when_the_next_job_is_due(ledger: Ledger) -> None:
    assert (await ledger.claim("ast1", [], NOW, 9)).next_at is None
    await ledger.submit([new_job("later", not_before=NOW + 10)])
    assert (await ledger.claim("ast1", [], NOW, 9)).next_at == NOW + 10


async def test_a_job_with_a_caller_id_goes_to_a_node_that_has_it(ledger: Ledger) -> None:
    await ledger.submit([new_job("one", caller_id="+15550100"), new_job("any")])
    first = await claim(ledger, 9, caller_ids=["+15550199"])
    assert [(each.job.id, each.planned.caller_id) for each in first] == [("any", "+15550199")]  # type: ignore[union-attr]
    second = await claim(ledger, 9, caller_ids=["+15550199", "+15550100"])
    assert [(each.job.id, each.planned.caller_id) for each in second] == [("one", "+15550100")]  # type: ignore[union-attr]


async def test_a_claim_may_be_for_one_job_alone(ledger: Ledger) -> None:
    await ledger.submit([new_job("a", priority=9), new_job("b")])
    assert [each.job.id for each in await claim(ledger, 9, only="b")] == ["b"]
    assert await claim(ledger, 9, only="nobody") == []


async def test_many_who_claim_at_once_never_get_the_same_job(ledger: Ledger) -> None:
    await ledger.submit([new_job(f"job-{n}") for n in range(60)])
    taken = await asyncio.gather(*(ledger.claim(f"ast{n % 4}", [], NOW, 7) for n in range(12)))
    ids = Counter(each.job.id for some in taken for each in some.claims)
    assert ids == Counter(f"job-{n}" for n in range(60))


async def test_a_claim_writes_the_intent_to_dial(ledger: Ledger) -> None:
    taken = await one_claim(ledger, to="+12025550106", ring_timeout=20.0, plays=3)
    (call,) = await ledger.open_calls()
    assert call.journal == (Entry(1, NOW, taken.planned),)
    assert (call.call_id, call.sealed) == (taken.call_id, b"sealed")
    planned = taken.planned
    assert isinstance(planned, ev.Planned)
    assert (planned.number, planned.ring_timeout, planned.plays) == ("+12025550106", 20.0, 3)
    stored = await job(ledger)
    assert (taken.attempt, stored.attempts, stored.state) == (1, 1, JobState.ACTIVE)
    assert "sealed" not in repr(taken)


def test_the_same_attempt_always_has_the_same_id_and_each_attempt_its_own() -> None:
    ids = {intent.call_id(id, attempt) for id in ("a", "b", "a/1") for attempt in range(1, 6)}
    assert len(ids) == 15
    assert intent.call_id("a", 1) == intent.call_id("a", 1)


async def test_an_undialled_attempt_leaves_no_trace_and_is_made_again_under_the_same_id(
    ledger: Ledger,
) -> None:
    first = await one_claim(ledger)
    for _ in range(2):
        ledger.undial("job-1", first.call_id, NOW + 1)
        stored = await job(ledger)
        assert (stored.attempts, stored.state, stored.next_at) == (0, JobState.QUEUED, NOW + 1)
        assert await calls(ledger) == []
    (second,) = await claim(ledger, now=NOW + 1)
    assert (second.call_id, second.attempt) == (first.call_id, 1)
    assert await calls(ledger) == [(1, [1])]


async def test_undialling_a_call_that_ended_changes_nothing(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    await record(ledger, taken, 2, end=ending(taken))
    ledger.undial("job-1", taken.call_id, NOW)
    stored = await job(ledger)
    assert (stored.state, stored.attempts, await calls(ledger)) == (JobState.ENDED, 1, [(1, [1, 2])])


async def test_a_second_end_changes_nothing_and_tells_nothing(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    told = await record(ledger, taken, 2, out(1), out(2, type=ENDED), end=ending(taken))
    assert [each.event_id for each in told] == ["job-1-1", "job-1-2"]
    again = ending(taken, Verdict("failed", "again", NOW + 9), at=NOW + 9)
    assert await record(ledger, taken, 3, out(3), out(4, type=ENDED), end=again) == []
    stored = await job(ledger)
    assert (stored.outcome, stored.sequence) == ("completed", 2)
    summary = await ledger.summary("job-1")
    assert summary is not None
    assert summary.notifications == {"pending": 2}
    assert await ledger.open_calls() == []


async def test_steps_that_are_stored_together_keep_their_order_and_their_end_counts_once(
    ledger: Ledger,
) -> None:
    taken = await one_claim(ledger)
    told: list[Delivery] = []
    ledger.on_deliveries = told.extend
    for n, end in ((2, None), (3, ending(taken)), (4, ending(taken, Requeue(NOW)))):
        entry = Entry(n, NOW + n, ev.Accepted())
        ledger.record("job-1", taken.call_id, entry, [out(n - 1)], end)
    await ledger.counts()
    assert [each.sequence for each in told] == [1, 2]
    assert (await job(ledger)).outcome == "completed"
    assert await calls(ledger) == [(1, [1, 2, 3, 4])]


async def test_the_same_journal_line_is_written_once(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    await record(ledger, taken, 2)
    await record(ledger, taken, 2)
    assert await calls(ledger) == [(1, [1, 2])]


async def test_after_a_requeue_the_next_attempt_goes_on_with_the_sequence(ledger: Ledger) -> None:
    first = await one_claim(ledger)
    await record(ledger, first, 2, out(1), out(2), end=ending(first, Requeue(NOW + 30)))
    assert await claim(ledger, now=NOW + 29) == []
    (second,) = await claim(ledger, now=NOW + 30)
    assert (second.attempt, second.job.sequence, second.sealed) == (2, 2, b"sealed")
    assert second.call_id != first.call_id


async def test_a_job_claimed_before_its_end_came_keeps_its_call(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    made: list[Delivery] = []
    ledger.on_deliveries = made.extend
    late = Verdict("expired", "late", NOW)
    await ledger.end_queued("job-1", late, lambda row: out(1, type=ENDED))
    assert (made, (await job(ledger)).state) == ([], JobState.ACTIVE)
    ledger.undial(taken.job.id, taken.call_id, NOW)
    for _ in range(2):
        await ledger.end_queued("job-1", late, lambda row: out(1, type=ENDED))
    stored = await job(ledger)
    assert (len(made), stored.outcome, stored.sequence) == (1, "expired", 1)
    assert await claim(ledger) == []


async def test_overdue_finds_the_expired_and_the_cancelled_that_wait(ledger: Ledger) -> None:
    await ledger.submit([new_job("over", expires_in=0.5), new_job("fine"), new_job("active")])
    (taken,) = await claim(ledger, only="active")
    for id in ("fine", "active"):
        await ledger.request_cancel(id)
    assert {row.id for row in await ledger.overdue(NOW, 9)} == {"over", "fine"}
    assert len(await ledger.overdue(NOW, 1)) == 1
    assert await ledger.cancelled_active() == ["active"]
    await record(ledger, taken, 2, end=ending(taken))
    assert await ledger.cancelled_active() == []
    assert await ledger.request_cancel("nobody") is None
    assert await ledger.next_expiry() == EPOCH + 0.5


async def test_cdrs_go_out_in_batches_each_once(ledger: Ledger) -> None:
    await ledger.submit([new_job(f"job-{n}") for n in range(120)])
    for taken in await claim(ledger, 120):
        ledger.record(taken.job.id, taken.call_id, Entry(2, NOW, ev.Ended(16)), [], ending(taken))
    sizes: list[int] = []

    def build(records: list[bytes]) -> Outgoing:
        sizes.append(len(records))
        return out(1, lane=f"cdr:{len(sizes)}", type="cdr")

    while await ledger.batch_cdrs(50, build):
        pass
    assert sizes == [50, 50, 20]
    assert (await ledger.counts())["outbox_pending"] == 3


async def test_what_ended_long_ago_is_forgotten_once_its_notifications_have_their_fate(
    ledger: Ledger,
) -> None:
    await ledger.submit([new_job(id) for id in ("old", "waiting", "young", "queued")])
    for id, at in (("old", NOW), ("waiting", NOW), ("young", NOW + 99)):
        (taken,) = await claim(ledger, only=id)
        verdict = Verdict("completed", "", at)
        (told,) = await record(ledger, taken, 2, out(1, lane=id, type=ENDED), end=ending(taken, verdict))
        if id != "waiting":
            ledger.delivered([told.id])
    sent: list[Delivery] = []
    ledger.on_deliveries = sent.extend
    for n in range(2):
        await ledger.batch_cdrs(2, lambda records, n=n: out(1, lane=f"cdr:{n}", type="cdr"))  # type: ignore[misc]
    ledger.delivered([sent[0].id])
    assert await ledger.forget(NOW + 50, 100) == 1
    assert await ledger.follow("old") is None
    for id in ("waiting", "young"):
        assert await calls(ledger, id) == [(1, [1, 2])]
    assert (await job(ledger, "queued")).state is JobState.QUEUED
    assert [each.lane for each in await ledger.due(NOW, 9, ())] == ["waiting", "cdr:1"]
    assert await ledger.forget(NOW + 50, 100) == 0


async def test_counts_and_summary_tell_what_there_is(ledger: Ledger) -> None:
    await ledger.submit([new_job(f"job-{n}") for n in range(5)])
    taken = await claim(ledger, 3)
    await record(ledger, taken[0], 2, out(1, lane=taken[0].job.id), end=ending(taken[0]))
    assert await ledger.counts() == {
        "jobs_queued": 2, "jobs_active": 2, "outbox_pending": 1, "outbox_dead": 0,
    }  # fmt: skip
    summary = await ledger.summary(taken[0].job.id)
    assert summary is not None
    assert (summary.cdrs, summary.notifications, summary.problem) == (({"x": 1},), {"pending": 1}, "")
    assert await calls(ledger, taken[1].job.id) == [(1, [1])]
    assert await ledger.summary("nobody") is None
    assert await ledger.follow("nobody") is None


async def test_dead_letters_are_listed_and_replayed_by_job_and_by_application(ledger: Ledger) -> None:
    announced: list[Delivery] = []
    ledger.on_deliveries = announced.extend
    for id, application in (("a", "shop"), ("b", "bank")):
        await ledger.submit([new_job(id, application=application)])
        await ledger.end_queued(id, COMPLETED, lambda row: out(1, lane=row.id, type=ENDED))
    for each in announced:
        ledger.dead(each.id, 10, "500 ten times")
    letters = await ledger.dead_letters(9)
    assert [(each.job_id, each.attempts, each.error) for each in letters] == [
        ("a", 10, "500 ten times"), ("b", 10, "500 ten times"),
    ]  # fmt: skip
    assert [each.job_id for each in await ledger.dead_letters(9, "bank")] == ["b"]
    assert len(await ledger.dead_letters(1)) == 1
    assert await ledger.replay_dead(["a", "b"], NOW, "shop") == 1
    assert await ledger.replay_dead(["a"], NOW) == 0
    assert [each.lane for each in await ledger.due(NOW, 9, ())] == ["a"]
    assert await ledger.replay_dead([], NOW + 1) == 1
    assert [(each.lane, each.attempts) for each in await ledger.due(NOW + 1, 9, ())] == [("a", 0), ("b", 0)]


async def test_a_recording_is_known_until_it_is_gone_though_its_job_is_forgotten(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    end = ending(taken, Verdict("completed", "", NOW), NOW + 5, "recordings/x")
    await record(ledger, taken, 2, end=end)
    assert await ledger.forget(NOW + 1, 9) == 1
    assert await ledger.recordings(NOW + 5, 9) == []
    assert await ledger.recordings(NOW + 6, 9) == [Kept(taken.call_id, "ast1", "recordings/x")]
    await ledger.recording_gone(taken.call_id)
    assert await ledger.recordings(NOW + 6, 9) == []


async def test_what_is_durable_is_said_once_all_before_it_is(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    told: list[str] = []
    ledger.on_deliveries = lambda deliveries: told.append("announced")
    said = asyncio.Event()
    ledger.record("job-1", taken.call_id, Entry(2, NOW, ev.Accepted()), [out(1)], None)

    def durable() -> None:
        told.append("durable")
        said.set()

    ledger.durable(durable)
    await said.wait()
    assert told == ["announced", "durable"]


async def test_a_part_that_fails_is_told_and_spoils_no_other(ledger: Ledger) -> None:
    await ledger.submit([new_job("a"), new_job("b"), new_job("c")])

    def build(row: JobRow) -> Outgoing:
        raise KeyError(row.id)

    done = await asyncio.gather(
        ledger.end_queued("a", COMPLETED, lambda row: None),
        ledger.end_queued("b", COMPLETED, build),
        ledger.end_queued("c", COMPLETED, lambda row: None),
        return_exceptions=True,
    )
    assert [type(each) for each in done] == [type(None), KeyError, type(None)]
    assert [(await job(ledger, id)).state.value for id in "abc"] == ["ended", "queued", "ended"]


async def test_a_closed_ledger_takes_nothing(ledger: Ledger) -> None:
    await ledger.submit([new_job("a")])
    await ledger.close()
    with pytest.raises(LedgerClosed):
        await ledger.submit([new_job("b")])
    with pytest.raises(LedgerClosed):
        await ledger.counts()


async def test_nothing_waits_once_all_is_stored(ledger: Ledger) -> None:
    taken = await one_claim(ledger)
    for n in range(2, 9):
        ledger.record("job-1", taken.call_id, Entry(n, NOW, ev.Accepted()), [], None)
    assert ledger.waiting == 7
    await ledger.counts()
    assert (ledger.waiting, ledger.fault) == (0, None)


async def test_no_record_shows_a_secret(ledger: Ledger) -> None:
    taken = await one_claim(ledger, sealed=b"hush")
    assert "hush" not in repr([taken, await ledger.open_calls(), out(1)])
    assert b"hush" not in msgspec.json.encode(await job(ledger))
