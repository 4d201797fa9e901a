"""The outbox's promise (`notify.delivery.Outbox`), kept alike in memory and on every ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.ledger import outbox
from orchestrator.ledger.postgresql import outbox as on_postgres
from orchestrator.ledger.postgresql.connection import Connection
from orchestrator.ledger.postgresql.ledger import PostgresLedger
from orchestrator.ledger.records import Outgoing
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.notify.delivery import Delivery, Outbox
from orchestrator.notify.memory import MemoryOutbox
from tests.fakes import inline_ledger
from tests.ledger.conftest import emptied

NOW = 1_800_000_000.0
URL = "http://r/"


class Kept(Protocol):
    """An outbox, and how a test fills it."""

    @property
    def box(self) -> Outbox: ...

    async def add(self, lane: str, sequence: int, at: float = NOW, url: str = URL) -> int:
        """Commit one delivery; its id."""

    async def replay(self, lane: str, id: int, now: float) -> None:
        """Make a dead letter pending again."""

    async def close(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.box = MemoryOutbox()
        self.ids = 0

    async def add(self, lane: str, sequence: int, at: float = NOW, url: str = URL) -> int:
        self.ids += 1
        self.box.add([Delivery(self.ids, f"{lane}-{sequence}", lane, sequence, url, "t", b"{}", 0, at, at)])
        return self.ids

    async def replay(self, lane: str, id: int, now: float) -> None:
        self.box.replay(id, now)

    async def close(self) -> None:
        pass


class OnSqlite:
    def __init__(self, ledger: SqliteLedger) -> None:
        self.box = ledger
        self.ledger = ledger

    async def add(self, lane: str, sequence: int, at: float = NOW, url: str = URL) -> int:
        out = Outgoing(
            event_id=f"{lane}-{sequence}",
            lane=lane,
            sequence=sequence,
            url=url,
            type="t",
            body=b"{}",
            at=at,
        )

        def commit(db: Any) -> int:
            outbox.enqueue(db, [out])
            return int(db.execute("SELECT max(id) FROM outbox").fetchone()[0])

        return await self.ledger._commits.call(commit)

    async def replay(self, lane: str, id: int, now: float) -> None:
        await self.ledger.replay_dead([lane], now)

    async def close(self) -> None:
        await self.ledger.close()


class OnPostgres:
    def __init__(self, ledger: PostgresLedger) -> None:
        self.box = ledger
        self.ledger = ledger

    async def add(self, lane: str, sequence: int, at: float = NOW, url: str = URL) -> int:
        out = Outgoing(
            event_id=f"{lane}-{sequence}", lane=lane, sequence=sequence, url=url, type="t", body=b"{}", at=at
        )

        async def commit(db: Connection) -> int:
            await on_postgres.enqueue(db, "", [out])
            return int(await db.fetchval("SELECT max(id) FROM outbox"))

        return await self.ledger._call(commit)

    async def replay(self, lane: str, id: int, now: float) -> None:
        await self.ledger.replay_dead([lane], now)

    async def close(self) -> None:
        await self.ledger.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    made: Kept
    match request.param:
        case "memory":
            made = InMemory()
        case "sqlite":
            made = OnSqlite(await SqliteLedger.open(tmp_path / "l.db"))
        case _:
            made = OnPostgres(await PostgresLedger.open(await emptied(request.getfixturevalue("server"))))
    yield made
    await made.close()


def names(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event_id for delivery in deliveries]


async def test_a_lane_comes_in_sequence_from_its_head_on(kept: Kept) -> None:
    for sequence in (1, 2, 3):
        await kept.add("a", sequence, NOW - sequence)
    assert names(await kept.box.due(NOW, 10, ())) == ["a-1", "a-2", "a-3"]
    assert names(await kept.box.due(NOW, 2, ())) == ["a-1", "a-2"]


async def test_lanes_come_by_their_heads_time_and_not_before_it(kept: Kept) -> None:
    await kept.add("late", 1, NOW + 5)
    await kept.add("second", 1, NOW - 1)
    await kept.add("first", 1, NOW - 2)
    await kept.add("first", 2, NOW + 9)
    assert names(await kept.box.due(NOW, 10, ())) == ["first-1", "first-2", "second-1"]
    assert await kept.box.next_due(()) == NOW - 2
    assert await kept.box.next_due({"first", "second"}) == NOW + 5
    assert await kept.box.next_due({"first", "second", "late"}) is None


async def test_skipped_lanes_do_not_count_towards_the_limit(kept: Kept) -> None:
    for n in range(5):
        await kept.add(f"l{n}", 1, NOW - 10 + n)
    assert names(await kept.box.due(NOW, 2, {"l0", "l1", "l2"})) == ["l3-1", "l4-1"]


async def test_a_retry_holds_up_its_whole_lane_and_no_other(kept: Kept) -> None:
    head = await kept.add("a", 1)
    await kept.add("a", 2)
    await kept.add("b", 1)
    kept.box.retry(head, 3, NOW + 30, "500")
    assert names(await kept.box.due(NOW + 29, 10, ())) == ["b-1"]
    await kept.add("a", 3, NOW + 29)
    assert names(await kept.box.due(NOW + 29, 10, ())) == ["b-1"]
    assert await kept.box.next_due({"b"}) == NOW + 30
    found = await kept.box.due(NOW + 30, 10, {"b"})
    assert [(each.event_id, each.attempts) for each in found] == [("a-1", 3), ("a-2", 0), ("a-3", 0)]


async def test_what_waits_for_a_receiver_that_answers_again_is_due_and_for_no_other(kept: Kept) -> None:
    waits = {"http://r": "a", "http://r/hook": "b", "http://r?x": "c", "http://r:81/": "d", "http://rr/": "e"}
    for url, lane in waits.items():
        kept.box.retry(await kept.add(lane, 1, url=url), 3, NOW + 60, "down")
    kept.box.hasten("http://r", NOW)
    due = await kept.box.due(NOW, 10, ())
    assert sorted((each.lane, each.attempts) for each in due) == [("a", 2), ("b", 2), ("c", 2)]
    later = await kept.box.due(NOW + 60, 10, {"a", "b", "c"})
    assert sorted((each.lane, each.attempts) for each in later) == [("d", 3), ("e", 3)]


async def test_a_delivered_head_makes_way(kept: Kept) -> None:
    first = await kept.add("a", 1)
    await kept.add("a", 2)
    kept.box.delivered([first])
    assert names(await kept.box.due(NOW, 10, ())) == ["a-2"]


async def test_a_dead_head_makes_way_and_comes_back_first_when_replayed(kept: Kept) -> None:
    head = await kept.add("a", 1)
    await kept.add("a", 2)
    kept.box.retry(head, 9, NOW + 30, "500")
    kept.box.dead(head, 10, "500")
    assert names(await kept.box.due(NOW + 30, 10, ())) == ["a-2"]
    await kept.replay("a", head, NOW + 60)
    found = await kept.box.due(NOW + 60, 10, ())
    assert [(each.event_id, each.attempts) for each in found] == [("a-1", 0), ("a-2", 0)]


async def test_a_stopped_lane_stays_stopped_for_what_it_still_gets(kept: Kept) -> None:
    await kept.add("a", 1)
    await kept.add("b", 1)
    kept.box.stop_lane("a", "410")
    await kept.add("a", 2)
    await kept.add("a", 3)
    assert names(await kept.box.due(NOW + 99, 10, ())) == ["b-1"]
    assert await kept.box.next_due({"b"}) is None


async def test_a_fate_is_seen_before_it_is_committed(kept: Kept) -> None:
    ids = [await kept.add(f"l{n}", 1) for n in range(50)]
    for id in ids:
        kept.box.delivered([id])
    assert await kept.box.due(NOW, 100, ()) == []


async def test_dead_letters_are_listed_oldest_first_and_replayed_by_job_or_all(tmp_path: Path) -> None:
    kept = OnSqlite(await SqliteLedger.open(tmp_path / "l.db"))
    for lane in ("a", "b", "c"):
        kept.box.dead(await kept.add(lane, 1), 10, f"{lane} was down")
    listed = await kept.ledger.dead_letters(10)
    assert [(dead.job_id, dead.error, dead.attempts) for dead in listed] == [
        ("a", "a was down", 10),
        ("b", "b was down", 10),
        ("c", "c was down", 10),
    ]
    assert await kept.ledger.replay_dead(["b"], NOW) == 1
    assert await kept.ledger.replay_dead(["b"], NOW) == 0
    assert await kept.ledger.replay_dead([], NOW) == 2
    assert await kept.ledger.dead_letters(10) == []
    await kept.close()


LANES = st.sampled_from(["a", "b", "c"])


class SameAsInMemory(RuleBasedStateMachine):
    """Whatever a notifier does while time goes on, SQLite tells what the outbox in memory tells. (A retry
    moves a whole lane in SQL and its head in memory; once it is due, nobody can tell the difference.)"""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.memory = InMemory()
        self.sqlite = self.do(lambda: _on_sqlite())
        self.ids: dict[int, int] = {}
        self.next: dict[str, int] = {}
        self.now = NOW

    def do(self, what: Callable[[], Any]) -> Any:
        return self.runner.run(what())

    def head(self, lane: str) -> Delivery | None:
        members = [each for each in self.memory.box.pending.values() if each.lane == lane]
        head = min(members, key=lambda each: each.sequence, default=None)
        return head if head is not None and head.next_at <= self.now else None

    @rule(seconds=st.integers(1, 60))
    def time_goes_on(self, seconds: int) -> None:
        self.now += seconds

    @rule(lane=LANES)
    def add(self, lane: str) -> None:
        self.next[lane] = sequence = self.next.get(lane, 0) + 1
        mine = self.do(lambda: self.memory.add(lane, sequence, self.now))
        self.ids[mine] = self.do(lambda: self.sqlite.add(lane, sequence, self.now))

    @rule(lane=LANES, fate=st.sampled_from(["delivered", "retry", "dead", "stop"]), at=st.integers(1, 50))
    def judge(self, lane: str, fate: str, at: int) -> None:
        head = self.head(lane)
        if head is None:
            return
        for box, id in ((self.memory.box, head.id), (self.sqlite.box, self.ids[head.id])):
            self.do(lambda box=box, id=id: _fate(box, id, head, fate, self.now + at))  # type: ignore[misc]

    @rule(lane=LANES)
    def replay(self, lane: str) -> None:
        for id in [dead.id for dead in self.memory.box.dead_letters.values() if dead.lane == lane]:
            self.memory.box.replay(id, self.now)
        self.do(lambda: self.sqlite.ledger.replay_dead([lane], self.now))

    @invariant()
    def both_tell_the_same(self) -> None:
        for now in (self.now, self.now + 25, self.now + 200):
            for skip in ((), ("a",), ("b", "c")):
                mine = self.do(lambda now=now, skip=skip: self.memory.box.due(now, 99, skip))  # type: ignore[misc]
                its = self.do(lambda now=now, skip=skip: self.sqlite.box.due(now, 99, skip))  # type: ignore[misc]
                assert _by_lane(mine) == _by_lane(its)
                soonest = self.do(lambda skip=skip: self.memory.box.next_due(skip))  # type: ignore[misc]
                its_soonest = self.do(lambda skip=skip: self.sqlite.box.next_due(skip))  # type: ignore[misc]
                assert (soonest is None) == (its_soonest is None)
                assert max(soonest or 0.0, self.now) == max(its_soonest or 0.0, self.now)

    def teardown(self) -> None:
        self.do(self.sqlite.close)
        self.runner.close()


async def _on_sqlite() -> OnSqlite:
    ledger = await inline_ledger(":memory:")
    ledger._commits._interval = 0.0
    return OnSqlite(ledger)


async def _fate(box: Outbox, id: int, head: Delivery, fate: str, at: float) -> None:
    match fate:
        case "delivered":
            box.delivered([id])
        case "retry":
            box.retry(id, head.attempts + 1, at, "500")
        case "dead":
            box.dead(id, head.attempts + 1, "500")
        case _:
            box.stop_lane(head.lane, "410")


def _by_lane(deliveries: list[Delivery]) -> dict[str, list[tuple[str, int]]]:
    lanes: dict[str, list[tuple[str, int]]] = {}
    for each in deliveries:
        lanes.setdefault(each.lane, []).append((each.event_id, each.attempts))
    return lanes


SameAsInMemory.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestSameAsInMemory = SameAsInMemory.TestCase
