"""Pace: even spacing for any arrival of work and any lateness of timers; halved by overload, and climbing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pace import HOLD, LEAST, SLACK, Pace


@given(
    st.floats(0.1, 1000.0),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 0.004)), min_size=2, max_size=60),
)
def test_no_stretch_of_starts_is_faster_than_the_pace(
    per_second: float, work: list[tuple[float, float]]
) -> None:
    pace, now, starts = Pace(per_second), 1_800_000_000.0, list[float]()
    for idle, lateness in work:
        now += idle if idle > 1.0 else 0.0
        now += pace.wait(now)
        now += lateness
        pace.take(now)
        starts.append(now)
    gap = 1.0 / per_second
    slack = max(gap / 10, SLACK) + 1e-5
    for i, first in enumerate(starts):
        for j in range(i + 1, len(starts)):
            assert starts[j] - first >= (j - i) * gap - slack


def test_late_timers_do_not_slow_it_down() -> None:
    pace, now = Pace(50.0), 0.0
    for _ in range(500):
        now += pace.wait(now) + 0.001
        pace.take(now)
    assert now < 500 / 50 + 0.05


def test_the_first_start_waits_for_nothing_and_the_second_for_a_whole_gap() -> None:
    pace = Pace(4.0)
    assert pace.wait(100.0) == 0.0
    pace.take(100.0)
    assert pace.wait(100.0) == 0.25
    assert pace.wait(200.0) == 0.0


def test_a_cut_halves_the_rate_at_once_and_holds_it_for_two_seconds() -> None:
    pace = Pace(20.0)
    assert pace.rate(99.0) == 20.0
    assert pace.cut(100.0)
    assert [pace.rate(at) for at in (100.0, 101.0, 102.0)] == [10.0, 10.0, 10.0]


def test_after_the_hold_the_rate_climbs_by_a_twentieth_of_the_full_a_second_and_no_higher() -> None:
    pace = Pace(20.0)
    pace.cut(100.0)
    assert [pace.rate(at) for at in (103.0, 107.0, 111.0, 112.0, 500.0)] == [11.0, 15.0, 19.0, 20.0, 20.0]


def test_cuts_within_the_hold_count_as_one_and_later_ones_halve_what_was_reached() -> None:
    pace = Pace(16.0)
    assert pace.cut(0.0)
    assert not pace.cut(1.9)
    assert pace.rate(2.0) == 8.0
    assert pace.cut(2.0)
    assert pace.rate(2.0) == 4.0
    assert pace.cut(9.0)  # five seconds of climbing had made it 8 again
    assert pace.rate(9.0) == pytest.approx(4.0)


def test_a_node_that_took_nothing_begins_with_a_quarter_and_is_full_again_in_seventeen_seconds() -> None:
    pace = Pace(40.0)
    pace.begin_again(50.0)
    assert (pace.rate(50.0), pace.rate(52.0), pace.rate(62.0), pace.rate(67.0)) == (10.0, 10.0, 30.0, 40.0)


def test_the_gap_to_the_next_start_is_that_of_the_rate_and_of_the_share() -> None:
    pace = Pace(10.0)
    pace.cut(0.0)
    pace.take(0.0)
    assert pace.wait(0.0) == pytest.approx(0.2)
    pace.take(0.2, 0.25)
    assert pace.wait(0.2) == pytest.approx(0.8)


@given(
    st.floats(0.1, 1000.0),
    st.lists(st.tuples(st.floats(0.0, 10.0), st.sampled_from(["cut", "again", "look"])), max_size=60),
)
def test_the_rate_is_never_above_the_full_one_nor_below_the_least_and_only_cuts_lower_it(
    per_second: float, steps: list[tuple[float, str]]
) -> None:
    pace, now, before = Pace(per_second), 1000.0, per_second
    for pause, what in steps:
        now += pause
        if what == "look":
            assert pace.rate(now) >= before - 1e-9
        elif what == "cut":
            whole = pace.rate(now)
            if pace.cut(now):
                assert pace.rate(now) == max(whole / 2, per_second * LEAST)
        else:
            pace.begin_again(now)
        before = pace.rate(now)
        assert per_second * LEAST <= before <= per_second


@given(st.floats(1.0, 200.0), st.integers(0, 8))
def test_after_any_number_of_cuts_the_rate_is_full_again_within_a_climb(per_second: float, cuts: int) -> None:
    pace = Pace(per_second)
    for n in range(cuts):
        assert pace.cut(n * HOLD)
    assert pace.rate(cuts * HOLD + 20.0) == per_second
