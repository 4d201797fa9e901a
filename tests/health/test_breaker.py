"""The breaker: opened by the PBX's own faults, tried after a wait, closed by calls that are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.health.breaker import FAILURES, FIRST_WAIT, LONGEST_WAIT, PROOFS, Breaker, State


def failing(times: int = FAILURES, at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.failed("refused with 500", at, at)
    return breaker


def half_open(at: float = 10.0) -> Breaker:
    breaker = failing(at=at - FIRST_WAIT)
    breaker.probed(None, at)
    assert breaker.state is State.HALF_OPEN
    return breaker


def test_five_failures_in_a_row_open_it_with_the_last_ones_reason() -> None:
    assert failing(4).state is State.CLOSED
    breaker = failing(4)
    breaker.failed("no answer in time", 1.0, 6.0)
    assert breaker.state is State.OPEN
    assert breaker.reason == "5 originates in a row failed, the last: no answer in time"


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker()
    for n in range(100):
        breaker.failed("refused with 503", n, n)
        if n % 4 == 3:
            breaker.succeeded(n, n)
    assert breaker.state is State.CLOSED


def test_it_is_due_for_a_look_after_a_second_and_not_before() -> None:
    breaker = failing(at=100.0)
    assert not breaker.due(100.99)
    assert breaker.due(101.0)


def test_a_look_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now, waits = failing(at=0.0), 0.0, list[float]()
    for _ in range(7):
        waits.append(breaker.until - now)
        now = breaker.until
        breaker.probed("no ARI answers", now)
    assert waits == [1.0, 2.0, 4.0, 8.0, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert breaker.reason == "it does not answer: no ARI answers"


def test_three_calls_that_are_taken_close_it() -> None:
    breaker = half_open(10.0)
    for n in range(PROOFS):
        assert breaker.state is State.HALF_OPEN
        breaker.succeeded(11.0 + n, 11.5 + n)
    assert (breaker.state, breaker.reason) == (State.CLOSED, "")


def test_one_failure_while_it_is_tried_opens_it_again_for_longer() -> None:
    breaker = half_open(10.0)
    breaker.succeeded(10.1, 10.2)
    breaker.failed("refused with 500", 10.3, 10.4)
    assert breaker.state is State.OPEN
    assert breaker.until == pytest.approx(10.4 + 2 * FIRST_WAIT)


def test_what_was_asked_for_before_the_trial_neither_opens_nor_closes_it() -> None:
    breaker = half_open(10.0)
    for _ in range(20):
        breaker.failed("no answer in time", 5.5, 10.5)
        breaker.succeeded(9.9, 10.5)
    assert breaker.state is State.HALF_OPEN


def test_a_look_that_comes_late_changes_nothing_in_a_closed_or_half_open_breaker() -> None:
    for breaker in (Breaker(), half_open()):
        before = breaker.state
        breaker.probed("too late", 99.0)
        assert breaker.state is before


def test_the_wait_begins_from_the_first_again_only_after_half_a_minute_of_calm() -> None:
    def reopened(after: float) -> float:
        breaker = half_open(10.0)
        for _ in range(PROOFS):
            breaker.succeeded(10.0, 10.0)
        for _ in range(FAILURES):
            breaker.failed("refused with 500", 10.0 + after, 10.0 + after)
        return breaker.until - (10.0 + after)

    assert reopened(5.0) == pytest.approx(2 * FIRST_WAIT)
    assert reopened(31.0) == pytest.approx(FIRST_WAIT)


def test_three_short_lived_connections_in_a_row_open_it() -> None:
    breaker = Breaker()
    for n in range(3):
        assert breaker.state is State.CLOSED
        breaker.linked(True, 20.0 * n)
        breaker.linked(False, 20.0 * n + 9.0)
    assert breaker.state is State.OPEN
    assert breaker.reason == "3 connections in a row broke within 10 s"


def test_connections_that_lasted_or_were_never_up_are_no_flapping() -> None:
    breaker = Breaker()
    for n in range(10):
        breaker.linked(True, 100.0 * n)
        breaker.linked(True, 100.0 * n + 1)  # settled anew, not connected anew
        breaker.linked(False, 100.0 * n + (5 if n % 3 else 50))
        breaker.linked(False, 100.0 * n + 60)  # still down, for another reason
    assert breaker.state is State.CLOSED


STEPS = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.sampled_from(["ok", "bad", "probe", "no", "up", "down"])), max_size=80
)


@given(STEPS)
def test_whatever_comes_it_is_open_with_a_reason_and_a_bounded_wait_or_it_takes_calls(
    steps: list[tuple[float, str]],
) -> None:
    breaker, now = Breaker(), 0.0
    for pause, what in steps:
        now += pause
        before = breaker.state
        match what:
            case "ok":
                breaker.succeeded(now, now)
            case "bad":
                breaker.failed("refused with 500", now, now)
            case "probe" | "no" if breaker.due(now):
                breaker.probed("no answer" if what == "no" else None, now)
            case "up" | "down":
                breaker.linked(what == "up", now)
        if breaker.state is State.OPEN:
            assert breaker.reason
            assert breaker.until <= now + LONGEST_WAIT
        else:
            assert (before, breaker.state) != (State.OPEN, State.CLOSED)  # never without a trial


@given(STEPS)
def test_from_any_state_a_node_that_is_well_closes_it(steps: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(), 0.0
    for pause, what in steps:
        now += pause
        if what == "bad":
            breaker.failed("refused with 500", now, now)
    for _ in range(PROOFS + 1):
        now += LONGEST_WAIT
        if breaker.due(now):
            breaker.probed(None, now)
        breaker.succeeded(now, now)
    assert breaker.state is State.CLOSED
