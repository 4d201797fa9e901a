"""Waits between connections. Tier: unit, randomness given by hand."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pbx.backoff import full_jitter, stay_away


@given(st.integers(0, 10_000), st.integers())
def test_a_wait_grows_to_its_cap_and_no_further(attempt: int, seed: int) -> None:
    wait = full_jitter(attempt, 0.25, 10.0, Random(seed))
    assert 0.0 <= wait <= min(10.0, 0.25 * 2.0 ** min(attempt, 100))


def test_waits_are_spread_over_the_whole_range() -> None:
    random = Random(1)
    waits = [full_jitter(9, 0.25, 10.0, random) for _ in range(1000)]
    assert min(waits) < 0.5
    assert max(waits) > 9.5


@given(st.integers())
def test_staying_away_lasts_at_least_half_of_what_is_said(seed: int) -> None:
    assert 15.0 <= stay_away(30.0, Random(seed)) <= 30.0
