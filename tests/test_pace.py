"""Pace: even spacing for any arrival of work and any lateness of timers."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pace import SLACK, Pace


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
