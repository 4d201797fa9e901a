"""The queues, played against a model of the ledger in every order that hypothesis can think of."""

import math
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from orchestrator.notify.delivery import Delivery
from orchestrator.notify.lanes import Lanes
from orchestrator.notify.origins import DOWN_AFTER, START

MAX_QUEUED = 12
PER_ORIGIN = 3
IN_FLIGHT = 6
LAST = 4


def delivery(id: int, lane: str, sequence: int, url: str, *, attempts: int = 0, at: float = 0.0) -> Delivery:
    kind = "job.ended" if sequence == LAST else "call.dialing"
    return Delivery(id, f"evt_{id}", lane, sequence, url, kind, b"", attempts, 0.0, at)


def lanes(**changes: int) -> Lanes:
    bounds = {"max_queued": MAX_QUEUED, "per_origin": PER_ORIGIN, "in_flight": IN_FLIGHT} | changes
    return Lanes(lambda url: url, **bounds)


class Delivering(RuleBasedStateMachine):
    """`pending` is the ledger. Nothing may be lost, doubled or overtaken, and no bound exceeded."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = lanes()
        self.now = 0.0
        self.pending: dict[int, Delivery] = {}
        self.made: Counter[str] = Counter()
        self.done: dict[str, list[int]] = {}
        self.flying: dict[str, Delivery] = {}
        self.stopped: set[str] = set()
        self.ledger_due = 0.0

    def lane_of(self, key: str) -> list[Delivery]:
        return sorted((d for d in self.pending.values() if d.lane == key), key=lambda d: d.sequence)

    @rule(number=st.integers(0, 15), count=st.integers(1, 3))
    def commit(self, number: int, count: int) -> None:
        key = f"job-{number}"
        for _ in range(min(count, LAST - self.made[key])):
            self.made[key] += 1
            fresh = delivery(number * 10 + self.made[key], key, self.made[key], f"http://{number % 5}")
            if number == 15:  # a lane may change its receiver on the way
                fresh = replace(fresh, url=f"http://{self.made[key]}")
            if key not in self.stopped:
                self.pending[fresh.id] = replace(fresh, next_at=self.now)
            self.lanes.offer(replace(fresh, next_at=self.now))

    @rule()
    def sweep(self) -> None:
        self.lanes.behind = False
        held = self.lanes.held()
        for key in {d.lane for d in self.pending.values()} - set(held):
            members = self.lane_of(key)
            if members[0].next_at <= self.now and not self.lanes.load(members):
                later = self.lanes.put_off(members[0], self.now)
                assert later > self.now
                self.pending[members[0].id] = replace(members[0], next_at=later)
        held = self.lanes.held()
        heads = [self.lane_of(key)[0] for key in {d.lane for d in self.pending.values()} - set(held)]
        self.ledger_due = min((head.next_at for head in heads), default=math.inf)

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, IN_FLIGHT))):
            taken = self.lanes.take()
            if taken is None:
                return
            assert taken.lane not in self.flying, "two of one lane in flight"
            if taken.lane not in self.stopped:
                assert taken.id == self.lane_of(taken.lane)[0].id, "not the head of its lane"
            self.flying[taken.lane] = taken

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), fate=st.sampled_from(["settled", "rest", "leave", "stop", "down"]))
    def land(self, data: st.DataObject, fate: str) -> None:
        taken = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        heads = self.lanes.land(taken, answered=fate != "down", slow=data.draw(st.booleans()))
        if fate == "settled":
            del self.pending[taken.id]
            self.done.setdefault(taken.lane, []).append(taken.sequence)
            self.lanes.settled(taken)
        elif fate == "stop":
            self.stopped.add(taken.lane)
            for member in self.lane_of(taken.lane):
                del self.pending[member.id]
            self.lanes.leave(taken.lane)
        else:
            self.retry(taken, 5 if fate == "rest" else 60)
        for head in heads:
            if data.draw(st.booleans()):
                self.retry(head, 5)
            else:
                self.lanes.again(head)

    def retry(self, taken: Delivery, wait: float) -> None:
        later = replace(taken, attempts=taken.attempts + 1, next_at=self.now + wait)
        self.pending[taken.id] = later
        if wait <= 30:
            self.lanes.rest(later)
        else:
            self.lanes.leave(taken.lane)
            self.ledger_due = min(self.ledger_due, later.next_at)

    @rule(seconds=st.sampled_from([1.0, 5.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.lanes.wake(self.now)

    @invariant()
    def the_bounds_hold(self) -> None:
        assert 0 <= self.lanes.queued <= MAX_QUEUED
        assert self.lanes.in_flight == len(self.flying) <= IN_FLIGHT
        assert self.lanes.origins <= self.lanes.queued
        assert all(n <= PER_ORIGIN for n in Counter(d.url for d in self.flying.values()).values())

    @invariant()
    def nothing_overtakes(self) -> None:
        for sequences in self.done.values():
            assert sequences == list(range(1, len(sequences) + 1))

    def teardown(self) -> None:
        """Whatever happened, all that is left is delivered, the ledger being read only when it must be."""
        for _ in range(200):
            while (taken := self.lanes.take()) is not None:
                self.flying[taken.lane] = taken
            for taken in list(self.flying.values()):
                del self.flying[taken.lane]
                self.lanes.land(taken, answered=True)
                del self.pending[taken.id]
                self.done.setdefault(taken.lane, []).append(taken.sequence)
                self.lanes.settled(taken)
            self.pass_time(5.0)
            if self.lanes.behind or self.now >= self.ledger_due:
                self.sweep()
        assert not self.pending
        assert self.lanes.queued == self.lanes.origins == self.lanes.in_flight == 0
        self.nothing_overtakes()
        for key, sequences in self.done.items():
            assert key in self.stopped or len(sequences) == self.made[key]


Delivering.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_no_order_of_events_loses_doubles_or_overtakes_anything = Delivering.TestCase


def test_an_offer_that_is_not_next_in_its_lane_is_left_to_the_ledger() -> None:
    queue = lanes()
    assert not queue.offer(delivery(2, "a", 2, "u"))
    assert queue.behind
    assert queue.offer(delivery(1, "a", 1, "u"))


def test_a_lane_stays_known_while_its_job_lives() -> None:
    queue = lanes()
    for sequence in range(1, LAST + 1):
        assert queue.offer(delivery(sequence, "a", sequence, "u"))
        taken = queue.take()
        assert taken is not None
        assert taken.sequence == sequence
        queue.land(taken, answered=True)
        queue.settled(taken)
    assert not queue.behind
    assert queue.origins == 0
    assert not queue.offer(delivery(9, "a", LAST + 1, "u")), "an ended job is forgotten"


def test_receivers_take_turns() -> None:
    queue = lanes(in_flight=100, max_queued=100)
    for n in range(12):
        queue.offer(delivery(n, f"a{n}", 1, "a"))
    for n in range(3):
        queue.offer(delivery(20 + n, f"b{n}", 1, "b"))
    taken = [queue.take() for _ in range(6)]
    assert [one.url for one in taken if one] == ["a", "b"] * 3


def test_a_new_receiver_gets_a_few_slots_and_earns_the_rest() -> None:
    queue = lanes(per_origin=8, in_flight=100, max_queued=100)
    for n in range(40):
        queue.offer(delivery(n, f"a{n}", 1, "a"))
    flying = [queue.take() for _ in range(START)]
    assert queue.take() is None
    for one in flying:
        assert one is not None
        queue.land(one, answered=True)
        queue.settled(one)
    flown = [one for one in (queue.take() for _ in range(20)) if one is not None]
    assert len(flown) == 8
    queue.land(flown[0], answered=False)
    queue.settled(flown[0])
    assert queue.take() is None


def test_receivers_in_trouble_share_half_of_the_slots() -> None:
    queue = lanes(in_flight=10, max_queued=100)
    for n in range(20):
        assert queue.load([delivery(n, f"old{n}", 1, f"r{n}", attempts=1)])
    taken = [one for one in (queue.take() for _ in range(20)) if one is not None]
    assert len(taken) == 5
    for n in range(5):
        assert queue.offer(delivery(50 + n, f"new{n}", 1, f"s{n}"))
        fresh = queue.take()
        assert fresh is not None
        assert fresh.lane == f"new{n}"


def test_a_receiver_that_comes_into_trouble_gives_back_the_slots_it_took_while_sound() -> None:
    queue = lanes(in_flight=10, max_queued=100)
    for n in range(3):
        queue.offer(delivery(n, f"a{n}", 1, "a"))
    for taken in [queue.take() for _ in range(3)]:
        assert taken is not None
        queue.land(taken, answered=False)
        queue.leave(taken.lane)
    for n in range(20):
        queue.load([delivery(100 + n, f"old{n}", 1, f"r{n}", attempts=1)])
    assert len([one for one in (queue.take() for _ in range(20)) if one is not None]) == 5


def test_what_waits_for_a_receiver_that_is_down_is_handed_back() -> None:
    queue = lanes(in_flight=100, max_queued=100)
    for n in range(10):
        queue.offer(delivery(n, f"a{n}", 1, "a"))
    for failure in range(1, DOWN_AFTER + 1):
        taken = queue.take()
        assert taken is not None
        heads = queue.land(taken, answered=False)
        queue.leave(taken.lane)
        assert len(heads) == (0 if failure < DOWN_AFTER else 10 - DOWN_AFTER)
    for head in heads:
        queue.again(head)
    probe = queue.take()
    assert probe is not None
    assert queue.take() is None
    assert queue.land(probe, answered=True) == []
    queue.settled(probe)
    assert queue.take() is not None


def test_what_finds_no_room_comes_back_one_after_another() -> None:
    queue = lanes()
    queue.offer(delivery(1, "a", 1, "u"))
    times = [queue.put_off(delivery(n, f"b{n}", 1, "u"), 100.0) for n in range(3)]
    assert times == sorted(set(times))
    assert 102.0 <= times[0] < times[2] < 102.1
    assert queue.put_off(delivery(9, "c", 1, "unknown"), 100.0) == 102.0


def test_what_gives_way_is_read_from_the_ledger_again() -> None:
    queue = lanes(max_queued=10)
    for n in range(10):
        assert queue.offer(delivery(n, f"a{n}", 1, "ab"[n % 2]))
    before = queue.behind
    assert queue.offer(delivery(20, "c", 1, "c"))
    assert (before, queue.behind) == (False, True)
    assert queue.queued < 10
