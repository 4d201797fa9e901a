"""Several workers on one PostgreSQL: whose calls are whose, what they share, and what becomes of the dead."""

import asyncio
import contextlib
import itertools
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from orchestrator.call import events as ev
from orchestrator.ledger.errors import LeaseLost, LedgerStuck, LedgerUnusable
from orchestrator.ledger.postgresql import process, tenure, workers
from orchestrator.ledger.postgresql.connection import connect
from orchestrator.ledger.postgresql.ledger import PostgresLedger
from orchestrator.ledger.postgresql.slots import FULL_WAIT, LOST, SPARE, Limits
from orchestrator.ledger.postgresql.tenure import SeatTenure, Stillness, take_seat
from orchestrator.ledger.postgresql.workers import Seat
from orchestrator.ledger.records import CallEnd, Claim, Entry, Outgoing, Requeue, Verdict
from orchestrator.notify.delivery import Delivery
from tests.fakes import EPOCH, new_job
from tests.postgres import Server

NOW = EPOCH + 1


@contextlib.asynccontextmanager
async def seated(
    url: str, name: str, limits: dict[str, Limits] | None = None, patience: float = 60.0
) -> AsyncIterator[tuple[PostgresLedger, SeatTenure]]:
    held = await take_seat(url, name, {"ast1": f"app-{name}"}, patience, asyncio.Event(), None)
    assert held is not None
    ledger = await PostgresLedger.open(url, 0.0, name, held.seat.token, limits=limits)
    try:
        yield ledger, held
    finally:
        await ledger.close()


async def seat(url: str, name: str) -> Seat | None:
    db = await connect(url)
    try:
        return await workers.seat(db, name)
    finally:
        await db.close()


async def inherit(url: str, name: str, heir: str) -> Seat:
    db = await connect(url)
    try:
        found = await workers.seat(db, name)
        taken = await workers.take(db, found, name, {}, 60.0, heir=heir)
        assert taken is not None
        return taken
    finally:
        await db.close()


def out(claim: Claim, sequence: int, type: str = "call.dialing") -> Outgoing:
    return Outgoing(
        event_id=f"{claim.job.id}-{sequence}", lane=claim.job.id, sequence=sequence,
        url="http://r/", type=type, body=b"{}", at=NOW,
    )  # fmt: skip


def end(claim: Claim, then: Requeue | Verdict) -> CallEnd:
    return CallEnd(job_id=claim.job.id, call_id=claim.call_id, ended_at=NOW, cdr=b"{}", then=then)


SECOND = ev.Second(number="+12025550100", ring_timeout=30.0)
DONE = Verdict("completed", "", NOW)


async def test_each_worker_takes_up_only_its_own_calls_and_hears_only_of_their_cancels(url: str) -> None:
    async with seated(url, "w1") as (one, _), seated(url, "w2") as (two, _):
        await one.submit([new_job("a"), new_job("b")])
        (first,) = (await one.claim("ast1", [], NOW, 1)).claims
        (second,) = (await two.claim("ast1", [], NOW, 1)).claims
        assert {first.job.id, second.job.id} == {"a", "b"}
        assert [call.call_id for call in await one.open_calls()] == [first.call_id]
        assert [call.call_id for call in await two.open_calls()] == [second.call_id]
        for id in "ab":
            await one.request_cancel(id)
        assert await one.cancelled_active() == [first.job.id]
        assert await two.cancelled_active() == [second.job.id]


async def test_who_was_taken_over_can_neither_write_nor_claim_any_more(url: str) -> None:
    async with seated(url, "w1") as (old, _):
        await old.submit([new_job("a"), new_job("b")])
        (claim,) = (await old.claim("ast1", [], NOW, 1)).claims
        heir = await inherit(url, "w1", "w2")
        old.record("a", claim.call_id, Entry(2, NOW, ev.Ended(16)), [out(claim, 1)], end(claim, DONE))
        with pytest.raises(LeaseLost):
            await old.broken()
        with pytest.raises(LeaseLost):
            await old.claim("ast1", [], NOW, 1)
        with pytest.raises(LeaseLost):
            await old.counts()
        new = await PostgresLedger.open(url, 0.0, "w1", heir.token, tells="w2")
        (call,) = await new.open_calls()
        assert [entry.n for entry in call.journal] == [1]
        assert (await new.counts())["jobs_queued"] == 1
        await new.close()


async def test_who_shows_itself_after_it_was_taken_over_is_told(url: str) -> None:
    async with seated(url, "w1", patience=0.4) as (_, held):
        await inherit(url, "w1", "w2")
        with pytest.raises(LeaseLost):
            await held.keep()


async def test_the_starts_of_all_workers_on_a_node_are_evenly_spaced_and_never_above_its_pace(
    url: str,
) -> None:
    limits = {"ast1": Limits(max_cps=20.0, max_calls=1000)}
    async with contextlib.AsyncExitStack() as stack:
        three = [(await stack.enter_async_context(seated(url, f"w{n}", limits)))[0] for n in range(3)]
        await three[0].submit([new_job(f"job-{n}") for n in range(70)])
        starts: list[float] = []
        at = NOW
        while len(starts) < 70:
            taken = await asyncio.gather(*(each.claim("ast1", [], at, 9) for each in three))
            for each, some in zip(three, taken, strict=True):
                for claim in some.claims:
                    starts.append(claim.start_at)
                    each.made(claim.call_id, claim.start_at + 0.03)
                await each.counts()
            # Whoever got nothing is told when to come again, and not before there is a start to be had.
            assert all(some.claims or some.next_at is None or some.next_at > at for some in taken)
            at += 0.01
    starts.sort()
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert min(gaps) == pytest.approx(SPARE / 20, abs=1e-6)
    assert max(gaps) < 0.1
    assert all(sum(begin <= start < begin + 1.04 for start in starts) <= 20 for begin in starts)


@pytest.mark.parametrize("stall", [0.3, 2.0])
async def test_a_pbx_that_holds_starts_back_makes_never_more_of_them_in_a_second_than_its_pace(
    url: str, stall: float
) -> None:
    limits = {"ast1": Limits(max_cps=10.0, max_calls=1000)}
    async with seated(url, "w1", limits) as (one, _), seated(url, "w2", limits) as (two, _):
        await one.submit([new_job(f"job-{n}") for n in range(40)])
        made: list[float] = []
        waiting: list[tuple[PostgresLedger, str]] = []
        at = NOW
        while len(made) < 40:
            for each in (one, two):
                waiting += [(each, claim.call_id) for claim in (await each.claim("ast1", [], at, 9)).claims]
            if not NOW + 0.5 < at < NOW + 0.5 + stall:  # then the PBX makes all that it was asked for at once
                for each, channel in waiting:
                    made.append(at + 0.03)
                    each.made(channel, at + 0.03)
                waiting.clear()
                for each in (one, two):
                    await each.counts()
            at += 0.02
    assert all(sum(begin <= start < begin + 1.0 for start in made) <= 10 for begin in made)
    assert made[-1] - NOW < 40 * SPARE / 10 + stall + 1.2


async def test_a_second_leg_takes_the_nodes_next_start_and_those_of_new_calls_lie_after_it(url: str) -> None:
    limits = {"ast1": Limits(max_cps=2.0, max_calls=1000)}
    async with seated(url, "w1", limits) as (one, _), seated(url, "w2", limits) as (two, _):
        await one.submit([new_job("a"), new_job("b")])
        (first,) = (await one.claim("ast1", [], NOW, 1)).claims
        leg = await two.book("ast1", "leg", NOW)
        assert leg.booked
        assert leg.at == pytest.approx(first.start_at + SPARE / 2)
        third = await two.book("ast1", "another", NOW)  # two starts a second are all that there may be
        assert not third.booked
        assert NOW < third.at <= NOW + FULL_WAIT
        assert (await one.claim("ast1", [], leg.at + 0.6, 1)).claims == ()
        one.made(first.call_id, first.start_at)
        two.made("leg", leg.at)
        await one.counts()
        await two.counts()
        (second,) = (await one.claim("ast1", [], leg.at + 0.6, 1)).claims
        assert second.start_at >= leg.at + SPARE / 2


async def test_a_start_that_was_given_back_or_whose_worker_died_holds_no_place(url: str) -> None:
    limits = {"ast1": Limits(max_cps=1.0, max_calls=9)}
    async with seated(url, "w1", limits) as (one, _):
        await one.submit([new_job("a"), new_job("b", at=EPOCH + 5)])
        (claim,) = (await one.claim("ast1", [], NOW, 1)).claims
        one.undial("a", claim.call_id, NOW)
        await one.counts()
        (again,) = (await one.claim("ast1", [], NOW + 2, 1)).claims
        assert again.call_id == claim.call_id
        assert (await one.claim("ast1", [], NOW + LOST, 1)).claims == ()
        assert len((await one.claim("ast1", [], NOW + 2.5 + LOST, 1)).claims) == 1


async def test_a_callback_takes_two_of_the_calls_that_a_node_may_have(url: str) -> None:
    limits = {"ast1": Limits(max_cps=1000.0, max_calls=2)}
    async with seated(url, "w1", limits) as (one, _):
        await one.submit([new_job("a", caller="+12025550112", second=SECOND), new_job("b")])
        assert len((await one.claim("ast1", [], NOW, 1)).claims) == 1
        assert (await one.claim("ast1", [], NOW + 1, 1)).claims == ()


async def test_the_calls_of_all_workers_on_a_node_are_never_more_than_it_may_have(url: str) -> None:
    limits = {"ast1": Limits(max_cps=1000.0, max_calls=5)}
    async with seated(url, "w1", limits) as (one, _), seated(url, "w2", limits) as (two, _):
        await one.submit([new_job(f"job-{n}") for n in range(20)])
        taken = await asyncio.gather(*((one, two)[n % 2].claim("ast1", [], NOW + n, 2) for n in range(8)))
        claims = [(n % 2, claim) for n, some in enumerate(taken) for claim in some.claims]
        assert len(claims) == 5
        full = await one.claim("ast1", [], NOW + 20, 2)
        assert (full.claims, full.next_at) == ((), NOW + 20 + FULL_WAIT)
        owner, claim = claims[0]
        (one, two)[owner].record(
            claim.job.id, claim.call_id, Entry(2, NOW, ev.Ended(16)), [], end(claim, DONE)
        )
        await (one, two)[owner].counts()
        again = [(await each.claim("ast1", [], NOW + 20, 2)).claims for each in (two, one)]
        assert [len(each) for each in again] == [1, 0]
        assert len((await two.claim("ast2", [], NOW, 2)).claims) == 2  # another node has room of its own


async def test_a_node_that_a_clock_booked_out_for_long_is_free_again(url: str) -> None:
    limits = {"ast1": Limits(max_cps=20.0, max_calls=9)}
    async with seated(url, "w1", limits) as (one, _):
        await one.submit([new_job("a"), new_job("b", at=EPOCH - 3600)])
        assert (await one.claim("ast1", [], NOW, 1)).claims
        (claim,) = (await one.claim("ast1", [], NOW - 3599, 1)).claims
        assert claim.start_at < NOW - 3598


async def test_each_notification_has_one_worker_and_a_jobs_order_is_kept_between_them(url: str) -> None:
    async with seated(url, "w1") as (one, _), seated(url, "w2") as (two, _):
        await one.submit([new_job("a")])
        (first,) = (await one.claim("ast1", [], NOW, 1)).claims
        told: list[Delivery] = []
        one.on_deliveries = told.extend
        one.record(
            "a",
            first.call_id,
            Entry(2, NOW, ev.Ended(16)),
            [out(first, 1), out(first, 2)],
            end(first, Requeue(NOW)),
        )
        assert [each.sequence for each in await one.due(NOW, 9, ())] == [1, 2]
        (second,) = (await two.claim("ast1", [], NOW, 1)).claims
        assert second.job.sequence == 2
        two.record("a", second.call_id, Entry(2, NOW, ev.Ended(16)), [out(second, 3)], end(second, DONE))
        assert await two.due(NOW, 9, ()) == []
        assert await two.next_due(()) is None
        one.delivered([told[0].id])
        assert [each.sequence for each in await one.due(NOW, 9, ())] == [2]
        assert await two.due(NOW, 9, ()) == []
        one.delivered([told[1].id])
        await one.counts()
        assert [each.sequence for each in await two.due(NOW, 9, ())] == [3]
        assert await one.due(NOW, 9, ()) == []


async def test_what_somebody_waits_for_is_not_held_up_by_the_commit_interval(url: str) -> None:
    ledger = await PostgresLedger.open(url, 600.0)
    try:
        async with asyncio.timeout(20):
            await ledger.submit([new_job("a")])
            (claim,) = (await ledger.claim("ast1", [], NOW, 1)).claims
            ledger.record("a", claim.call_id, Entry(2, NOW, ev.Accepted()), [], None)
            durable = asyncio.Event()
            ledger.durable(durable.set)
            await durable.wait()
            followed = await ledger.follow("a")
        assert followed is not None
        assert [entry.n for entry in followed.calls[0][2]] == [1, 2]
    finally:
        await ledger.close()


async def test_the_heir_delivers_what_the_dead_had_to_tell(url: str) -> None:
    async with seated(url, "w1") as (one, _), seated(url, "w2") as (two, _):
        await one.submit([new_job("a")])
        (claim,) = (await one.claim("ast1", [], NOW, 1)).claims
        one.record("a", claim.call_id, Entry(2, NOW, ev.Accepted()), [out(claim, 1)], None)
        await one.counts()
        assert await two.due(NOW, 9, ()) == []
        taken = await inherit(url, "w1", "w2")
        heir = await PostgresLedger.open(url, 0.0, "w1", taken.token, tells="w2")
        heir.record("a", claim.call_id, Entry(3, NOW, ev.Ended(16)), [out(claim, 2)], end(claim, DONE))
        await heir.close()
        assert [each.sequence for each in await two.due(NOW, 9, ())] == [1, 2]


async def test_notifications_of_a_worker_that_is_no_more_find_another(url: str) -> None:
    async with seated(url, "w2") as (two, _):
        async with seated(url, "w1") as (one, held):
            await one.submit([new_job("a")])
            (claim,) = (await one.claim("ast1", [], NOW, 1)).claims
            one.record("a", claim.call_id, Entry(2, NOW, ev.Ended(16)), [out(claim, 1)], end(claim, DONE))
        await held.release()
        left = await seat(url, "w1")
        assert left is not None  # it has something to tell
        db = await connect(url)
        await db.execute("DELETE FROM workers WHERE name = 'w1'")
        await workers.adopt_orphans(db, "w2")
        await db.close()
        assert [each.lane for each in await two.due(NOW, 9, ())] == ["a"]


async def test_a_name_has_one_process_at_a_time_and_lets_go_without_a_trace(url: str) -> None:
    stop = asyncio.Event()
    first = await take_seat(url, "w1", {"ast1": "app"}, 60.0, stop, None)
    assert first is not None
    assert await take_seat(url, "w1", {"ast1": "app"}, 60.0, stop, None) is None
    waits: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(take_seat(url, "w1", {"ast1": "app"}, 60.0, stop, waits.set_result))
    assert (await waits).startswith("w1 on ")
    await first.release()
    second = await waiting
    assert second is not None
    assert second.seat.token > first.seat.token
    assert not first.holds()
    await second.release()
    assert await seat(url, "w1") is None


async def test_a_worker_that_is_back_is_given_its_place_by_its_heir(url: str) -> None:
    async with seated(url, "w1") as (one, _):
        await one.submit([new_job("a")])
        await one.claim("ast1", [], NOW, 1)
    taken = await inherit(url, "w1", "w2")
    heir = SeatTenure(url, taken, tenure.now())
    keeping = asyncio.create_task(heir.keep())
    back = asyncio.create_task(
        take_seat(url, "w1", {"ast1": "new"}, 60.0, asyncio.Event(), lambda owner: None)
    )
    await asyncio.wait_for(heir.wanted.wait(), 20)
    keeping.cancel()
    await heir.release()
    again = await back
    assert again is not None
    assert (again.seat.apps, again.seat.heir) == ({"ast1": "app-w1"}, "")


def killed(url: str) -> None:
    """A worker that claims a job and is killed."""
    program = f"""
        import asyncio, os, signal
        from tests.ledger.test_many_workers import seated, NOW, new_job
        async def main():
            async with seated({url!r}, "w1") as (ledger, held):
                await ledger.submit([new_job("a")])
                await ledger.claim("ast1", [], NOW, 1)
                os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


async def test_a_process_that_is_dead_for_certain_is_not_waited_for(url: str) -> None:
    await asyncio.to_thread(killed, url)
    found = await seat(url, "w1")
    assert found is not None
    assert found.free
    async with asyncio.timeout(20), seated(url, "w1") as (ledger, held):
        assert held.seat.apps == {"ast1": "app-w1"}
        assert [call.job.id for call in await ledger.open_calls()] == ["a"]


def test_of_a_process_elsewhere_nothing_is_certain() -> None:
    us = process.this_process()
    assert not process.is_dead(us.text())
    assert process.is_dead(us.text() + "1")  # as many digits more: another start of the same number
    _, pid, began = us.text().split(" ")
    assert not process.is_dead(f"elsewhere {pid} {began}1")
    for text in ("", "unknown", "a b"):
        assert not process.is_dead(text)


SEAT = Seat("w1", 1, 1, 10.0, "elsewhere 1 1", "h", 1, "", False, {})


def test_a_worker_is_gone_when_it_stood_still_while_somebody_looked_on() -> None:
    still = Stillness()
    assert [still.gone(SEAT, at) for at in (0.0, 2.0, 4.0, 6.0, 8.0, 9.9)] == [False] * 6
    assert still.gone(SEAT, 10.0)


def test_a_beat_begins_the_time_anew_and_so_does_an_absence_of_ones_own() -> None:
    still = Stillness()
    beaten = Seat("w1", 1, 2, 10.0, "elsewhere 1 1", "h", 1, "", False, {})
    looks = [(SEAT, 0.0), (SEAT, 1.5), (beaten, 3.0), *((beaten, 3.0 + n) for n in range(1, 10))]
    assert not any(still.gone(each, at) for each, at in looks)
    assert not still.gone(beaten, 60.0)  # the server was away, and the worker may be well
    assert not still.gone(beaten, 62.0)


def test_a_seat_that_was_let_go_is_left_to_its_worker_when_that_waits_for_it() -> None:
    free = Seat("w1", 1, 1, 10.0, "", "h", 1, "", False, {})
    wanted = Seat("w1", 1, 1, 10.0, "", "h", 1, "", True, {})
    assert Stillness().left(free, 0.0)
    assert not Stillness().left(wanted, 0.0)
    assert Stillness().gone(wanted, 0.0)


async def test_the_right_to_act_ends_before_another_may_take_the_seat(url: str) -> None:
    async with seated(url, "w1", patience=10.0) as (_, held):
        assert held.holds()
        assert not SeatTenure(url, held.seat, tenure.now() - 8.1).holds()
        assert SeatTenure(url, held.seat, tenure.now() - 7.5).holds()


async def test_a_command_is_told_of_what_others_wrote_and_goes_by_the_servers_clock(url: str) -> None:
    async with seated(url, "w1") as (one, _):
        while await one.changed():  # noqa: ASYNC110 - it is asked, by those who look now and then
            await asyncio.sleep(0.01)
        other = await PostgresLedger.open(url)
        await other.submit([new_job("a")])
        async with asyncio.timeout(10):
            while not await one.changed():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        db = await connect(url)
        ours = (await one.clock(lambda: 5.0))()
        theirs = float(await db.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8"))
        assert ours == pytest.approx(theirs, abs=0.5)
        assert await workers.alive(db) == ["w1"]
        await db.close()
        await other.close()


async def test_another_programs_database_and_one_of_a_newer_version_are_refused(server: Server) -> None:
    other, newer = await server.database(), await server.database()
    db = await asyncpg.connect(other)
    await db.execute("CREATE TABLE notes (x int)")
    await db.close()
    with pytest.raises(LedgerUnusable, match="no ledger"):
        await PostgresLedger.open(other)
    await (await PostgresLedger.open(newer)).close()
    db = await asyncpg.connect(newer)
    await db.execute("UPDATE orchestrator_ledger SET version = version + 1")
    await db.close()
    with pytest.raises(LedgerUnusable, match="newer version"):
        await PostgresLedger.open(newer)


async def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(LedgerStuck, match="cannot be reached now") as caught:
        await PostgresLedger.open(f"postgresql://me:hush@/d?host={tmp_path}")
    assert "hush" not in str(caught.value)


async def test_many_who_make_a_new_ledger_at_once_all_get_the_same(server: Server) -> None:
    url = await server.database()
    made = await asyncio.gather(*(PostgresLedger.open(url) for _ in range(8)))
    await made[0].submit([new_job("a")])
    assert [(await each.counts())["jobs_queued"] for each in made] == [1] * 8
    for each in made:
        await each.close()
