"""One node's health: what each fate of an originate and each end of a call means to it."""

import pytest

from orchestrator.call import events as ev
from orchestrator.call.facts import Over
from orchestrator.call.outcome import Outcome
from orchestrator.call.state import Call
from orchestrator.health.breaker import State
from orchestrator.health.node import MANY, STALL, TRIAL, NodeHealth, Slowed
from orchestrator.health.quality import WINDOW, Trend

FAILS = [
    ev.Refused(500, "Allocation failed"),
    ev.Refused(503, "x"),
    ev.Refused(401, "x"),
    ev.Refused(404, "x"),
]


class Rig:
    """A node whose originates are asked and settled by hand."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.node = NodeHealth("a", 2.0, 16.0, self.took.append)
        self.now = 100.0
        self.slowed: list[Slowed] = []
        self._n = 0

    def dial(self, event: ev.CallEvent, seconds: float = 0.01, *, connected: bool = True) -> None:
        self._n += 1
        self.node.asked(f"c{self._n}", self.now)
        self.now += seconds
        slowed = self.node.settled(f"c{self._n}", event, connected, self.now)
        self.slowed += [slowed] if slowed is not None else []

    def ended(self, outcome: Outcome, cause: int | None, sip: int | None = None, **call: float) -> None:
        times = {"dialed_at": self.now - 2.0} | call
        over = Over(self.now, outcome, "", cause, sip, 0.0, 0.0, 0, None, True)
        slowed = self.node.over(Call(id="c", **times), over)  # type: ignore[arg-type]
        self.slowed += [slowed] if slowed is not None else []

    @property
    def state(self) -> State:
        return self.node.breaker.state

    @property
    def rate(self) -> float:
        return self.node.pace.rate(self.now)

    def half_open(self) -> None:
        for _ in range(5):
            self.dial(ev.Refused(500, "x"))
        self.now = self.node.breaker.until
        self.node.breaker.probed(None, self.now)


@pytest.mark.parametrize("event", FAILS, ids=lambda event: event.status)
def test_refusals_that_are_the_pbxs_own_open_the_breaker(event: ev.Refused) -> None:
    rig = Rig()
    for _ in range(5):
        rig.dial(event)
    assert rig.state is State.OPEN
    assert (rig.node.limit(rig.now), rig.node.health(rig.now)) == (0, 0.0)
    assert str(event.status) in rig.node.breaker.reason


@pytest.mark.parametrize(
    "event", [ev.Refused(400, "unfit"), ev.Refused(429, "x")], ids=lambda event: event.status
)
def test_refusals_of_one_call_or_for_the_pace_open_no_breaker(event: ev.Refused) -> None:
    rig = Rig()
    for _ in range(50):
        rig.dial(event)
    assert rig.state is State.CLOSED


def test_originates_without_an_answer_open_it_but_not_those_that_a_lost_connection_took_along() -> None:
    rig = Rig()
    for _ in range(50):
        rig.dial(ev.OriginateLost("unconfirmed"), connected=False)
        rig.dial(ev.OriginateLost("not_sent"), connected=False)
    assert rig.node.limit(rig.now) == MANY
    for _ in range(5):
        rig.dial(ev.OriginateLost("unconfirmed"), 5.0)
    assert rig.state is State.OPEN
    assert rig.slowed == []


def test_calls_that_are_busy_unanswered_or_declined_open_no_breaker() -> None:
    rig = Rig()
    for outcome, cause in ((Outcome.BUSY, 17), (Outcome.NO_ANSWER, 19), (Outcome.REJECTED, 21)):
        for _ in range(100):
            rig.dial(ev.Accepted())
            rig.ended(outcome, cause)
    assert rig.state is State.CLOSED
    assert rig.rate == 16.0


def test_an_end_or_a_ring_that_overtakes_the_answer_proves_that_the_pbx_took_the_call() -> None:
    rig = Rig()
    for event in (ev.Accepted(), ev.Ringing(), ev.Ended(17), ev.Ready()):
        for _ in range(4):
            rig.dial(ev.Refused(500, "x"))
        rig.dial(event)
    assert rig.state is State.CLOSED


def test_calls_that_somebody_cancelled_or_that_were_taken_up_say_nothing() -> None:
    rig = Rig()
    for event in (ev.CancelRequested(), ev.TimerFired("ring"), ev.Gone()):
        rig.dial(event)
    assert rig.took == []
    assert rig.node.settled("never asked here", ev.Accepted(), True, rig.now) is None
    rig.dial(ev.Accepted(), 0.25)
    rig.dial(ev.Refused(500, "x"), 0.5)
    assert rig.took == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_for_overload_halves_the_pace_once_and_again_after_the_hold(status: int) -> None:
    rig = Rig()
    rig.dial(ev.Refused(status, "x"))
    rig.dial(ev.Refused(status, "x"))
    assert rig.rate == 8.0
    assert rig.slowed == [Slowed(f"it refuses calls with {status}")]
    rig.now += 2.0
    rig.dial(ev.Accepted())
    rig.dial(ev.Refused(status, "x"))
    assert rig.rate == pytest.approx(4.0, abs=0.1)


def test_requests_that_pile_up_unsent_halve_the_pace() -> None:
    rig = Rig()
    rig.dial(ev.OriginateLost("not_sent"))
    assert rig.rate == 8.0


def test_answers_that_take_more_than_a_second_on_average_halve_the_pace_and_one_slow_answer_does_not() -> (
    None
):
    rig = Rig()
    rig.dial(ev.Accepted(), 4.0)
    assert rig.rate == 16.0
    for _ in range(10):
        rig.dial(ev.Accepted(), 0.01)
    for _ in range(8):
        rig.dial(ev.Accepted(), 1.5)
    assert rig.slowed
    assert "1.0 s to answer an originate" in rig.slowed[0].reason


def test_a_trunk_that_is_congested_for_a_fifth_of_the_calls_halves_the_pace() -> None:
    rig = Rig()
    for _ in range(12):
        rig.ended(Outcome.NO_ANSWER, 19, 480)
    rig.ended(Outcome.CONGESTED, 34, 503)
    rig.ended(Outcome.CONGESTED, 42)
    assert rig.slowed == []
    rig.ended(Outcome.CONGESTED, 34)
    assert rig.slowed == [Slowed("its trunk was congested for 3 of the last 15 calls")]
    assert rig.rate == 8.0


def test_congestion_of_a_few_destinations_or_of_another_kind_does_not() -> None:
    rig = Rig()
    for n in range(200):
        rig.ended(Outcome.CONGESTED, 34) if n % 6 == 0 else rig.ended(Outcome.BUSY, 17)
        rig.ended(Outcome.UNREACHABLE, 27)
    assert (rig.slowed, rig.rate) == ([], 16.0)


def test_no_more_is_asked_while_originates_wait_for_a_second_and_nothing_answers() -> None:
    rig = Rig()
    node = rig.node
    node.asked("one", 100.0)
    node.asked("two", 100.5)
    assert node.limit(100.0 + STALL) == MANY
    assert node.limit(100.1 + STALL) == 0
    node.settled("two", ev.Accepted(), True, 102.0)  # one hangs, but others are answered
    assert node.limit(102.0 + STALL) == MANY
    assert node.limit(102.1 + STALL) == 0
    node.settled("one", ev.OriginateLost("unconfirmed"), True, 105.0)
    assert node.limit(200.0) == MANY


def test_while_it_is_tried_it_gets_one_call_at_a_time_and_then_begins_with_a_quarter() -> None:
    rig = Rig()
    rig.half_open()
    node = rig.node
    assert (node.limit(rig.now), node.health(rig.now)) == (1, TRIAL)
    node.asked("trial", rig.now)
    assert node.limit(rig.now) == 0
    node.settled("trial", ev.Accepted(), True, rig.now)
    assert node.limit(rig.now) == 1
    rig.dial(ev.Accepted())
    rig.dial(ev.Accepted())
    assert (rig.state, node.limit(rig.now)) == (State.CLOSED, MANY)
    assert (rig.rate, node.health(rig.now)) == (4.0, 0.25)


def test_one_failure_while_it_is_tried_gives_it_nothing_again() -> None:
    rig = Rig()
    rig.half_open()
    rig.dial(ev.OriginateLost("unconfirmed"), 5.0)
    assert (rig.state, rig.node.limit(rig.now)) == (State.OPEN, 0)


def test_its_health_is_what_its_calls_and_its_pace_leave_of_it() -> None:
    rig = Rig()
    for _ in range(300):
        rig.ended(Outcome.COMPLETED, 16, answered_at=rig.now - 1.0)
    for _ in range(WINDOW):
        rig.ended(Outcome.UNREACHABLE, 27)
    rig.node.judge(Trend(), rig.now)
    assert rig.node.factor() == pytest.approx(0.1)
    assert rig.node.health(rig.now) == pytest.approx(0.1)
    rig.dial(ev.Refused(503, "x"))
    assert rig.node.health(rig.now) == pytest.approx(0.05)
    assert rig.state is State.CLOSED


def test_calls_that_the_pbx_never_took_or_whose_end_nobody_saw_say_nothing_of_their_quality() -> None:
    rig = Rig()
    for _ in range(300):
        rig.ended(Outcome.COMPLETED, 16, answered_at=rig.now - 1.0)
    for _ in range(WINDOW):
        rig.ended(Outcome.FAILED, None)
        rig.ended(Outcome.CANCELLED, 16)
        over = Over(rig.now, Outcome.FAILED, "", 21, None, 0.0, 0.0, 0, "network", True)
        rig.node.over(Call(id="c"), over)
    rig.node.judge(Trend(), rig.now)
    assert rig.node.factor() == 1.0
