"""`bench/steady.py`: what it makes of its tries."""

import pytest

from bench.steady import look, slowdown


def test_a_machine_that_is_always_as_fast_is_not_slowed_down() -> None:
    assert slowdown([2.0, 2.0, 2.0]) == 1.0


def test_a_slow_moment_counts_by_its_share() -> None:
    assert slowdown([2.0, 2.0, 2.0, 4.0]) == pytest.approx(1.25)


def test_a_look_tries_at_least_once() -> None:
    tries = look(0.0)
    assert len(tries) >= 1
    assert min(tries) > 0
