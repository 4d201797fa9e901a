"""Quality: a collapse is told from chance, from the night, and from the other nodes' troubles."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.health.quality import (
    ENOUGH,
    LEAST_FACTOR,
    MAX_AGE,
    PAST,
    WINDOW,
    Collapse,
    Quality,
    Trend,
    trend,
)

ALONE = Trend()


def calls(quality: Quality, count: int, answers: float, *, fails: float = 0.0, delay: float = 1.0) -> None:
    """So many calls, of which these parts are answered and fail, evenly mixed."""
    for n in range(count):
        answered = int((n + 1) * answers) > int(n * answers)
        failed = not answered and int((n + 1) * fails) > int(n * fails)
        quality.add(0.0, answered, failed, None if failed else delay)


def known(answers: float = 0.5, *, fails: float = 0.0, delay: float = 1.0) -> Quality:
    """A node with a past of 500 such calls."""
    quality = Quality()
    calls(quality, 500, answers, fails=fails, delay=delay)
    return quality


def found(quality: Quality, others: Trend = ALONE) -> Collapse:
    collapse = quality.judge(others, 0.0)
    assert collapse is not None
    return collapse


def test_a_node_whose_answers_collapse_keeps_as_much_as_is_still_answered_and_says_why() -> None:
    quality = known(0.5)
    assert quality.judge(ALONE, 0.0) is None
    calls(quality, WINDOW, 0.1)
    collapse = found(quality)
    assert collapse.what == "answers"
    assert collapse.factor == pytest.approx(0.2, abs=0.02)
    assert collapse.reason == "it answers 10% of the last 60 calls, and 50% were to be expected"


def test_a_smaller_fall_is_no_collapse() -> None:
    quality = known(0.5)
    calls(quality, WINDOW, 0.3)
    assert quality.judge(ALONE, 0.0) is None


def test_a_fall_that_all_nodes_show_is_nobodys_collapse() -> None:
    nodes = [known(0.5), known(0.6), known(0.4)]
    for node, share in zip(nodes, (0.15, 0.17, 0.12), strict=True):
        calls(node, WINDOW, share)
    for node in nodes:
        others = trend(other for other in nodes if other is not node)
        assert node.judge(others, 0.0) is None
        assert node.judge(ALONE, 0.0) is not None


def test_a_fall_that_one_node_alone_shows_is_its_own_though_the_others_answer_less_by_nature() -> None:
    bad, other = known(0.6), known(0.15)
    calls(bad, WINDOW, 0.15)
    calls(other, WINDOW, 0.15)
    assert found(bad, trend([other])).reason.endswith("; the other nodes do not show it")
    assert other.judge(trend([bad]), 0.0) is None


def test_too_few_calls_show_nothing() -> None:
    fresh = Quality()
    calls(fresh, ENOUGH - 1, 0.0, fails=1.0)
    assert fresh.judge(ALONE, 0.0) is None
    young = Quality()
    calls(young, PAST, 0.9)
    calls(young, WINDOW - 1, 0.0)
    assert young.judge(ALONE, 0.0) is None


def test_failures_in_the_network_cut_the_share_by_as_much_as_they_have_grown() -> None:
    quality = known(0.5, fails=0.05)
    calls(quality, WINDOW, 0.5, fails=0.7)
    collapse = found(quality)
    assert collapse.what == "failures"
    assert collapse.factor == pytest.approx(0.7, abs=0.05)
    assert "failed in the network" in collapse.reason


def test_ringing_that_takes_four_times_as_long_cuts_the_share_to_a_quarter() -> None:
    quality = known(0.5, delay=1.0)
    calls(quality, WINDOW, 0.5, delay=4.0)
    collapse = found(quality)
    assert collapse.what == "delay"
    assert collapse.factor == pytest.approx(0.25, abs=0.01)
    assert collapse.reason == "it takes 4.0 s until the far end rings, and 1.0 s were to be expected"


def test_ringing_that_takes_milliseconds_more_is_no_collapse_and_one_long_wait_makes_no_average() -> None:
    quick = known(0.5, delay=0.01)
    calls(quick, WINDOW, 0.5, delay=0.2)
    assert quick.judge(ALONE, 0.0) is None
    one = known(0.5, delay=1.0)
    one.add(0.0, True, False, 3600.0)
    assert one.judge(ALONE, 0.0) is None


def test_ringing_that_takes_longer_everywhere_is_nobodys_collapse() -> None:
    nodes = [known(0.5, delay=1.0), known(0.5, delay=2.0)]
    calls(nodes[0], WINDOW, 0.5, delay=4.0)
    calls(nodes[1], WINDOW, 0.5, delay=8.0)
    assert nodes[0].judge(trend([nodes[1]]), 0.0) is None


def test_failures_that_all_show_are_nobodys_collapse() -> None:
    nodes = [known(0.5), known(0.5)]
    for node in nodes:
        calls(node, WINDOW, 0.25, fails=0.6)
        calls(node, WINDOW, 0.25, fails=0.6)
    assert nodes[0].judge(trend([nodes[1]]), 0.0) is None


def test_once_collapsed_it_must_be_clearly_better_to_count_as_well() -> None:
    quality = known(0.5)
    calls(quality, WINDOW, 0.1)
    found(quality)
    calls(quality, WINDOW, 0.33)
    assert found(quality).factor == pytest.approx(0.72, abs=0.05)
    calls(quality, WINDOW, 0.45)
    assert quality.judge(ALONE, 0.0) is None
    calls(quality, WINDOW, 0.33)  # what did not end the collapse does not begin one
    assert quality.judge(ALONE, 0.0) is None


def test_a_node_that_got_no_calls_for_a_quarter_of_an_hour_is_forgiven() -> None:
    quality = known(0.5)
    calls(quality, WINDOW, 0.0)
    assert quality.judge(ALONE, MAX_AGE) is not None
    assert quality.judge(ALONE, MAX_AGE + 1) is None


def test_what_stays_bad_becomes_what_is_expected() -> None:
    quality = known(0.5)
    calls(quality, WINDOW, 0.1)
    found(quality)
    calls(quality, 4000, 0.1)
    assert quality.judge(ALONE, 0.0) is None


def test_of_nodes_that_are_not_known_yet_nothing_is_concluded() -> None:
    assert trend([]) == ALONE
    assert trend([Quality()]) == ALONE


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 0.95), st.floats(0.0, 0.3))
def test_chance_alone_is_hardly_ever_a_collapse(seed: int, answers: float, fails: float) -> None:
    """Two hours of a steady node, looked at after every tenth call."""
    random, quality, alarms = Random(seed), Quality(), 0
    for n in range(3000):
        answered = random.random() < answers
        failed = not answered and random.random() < fails
        quality.add(0.0, answered, failed, random.expovariate(1.0))
        if n % 10 == 0:
            alarms += quality.judge(ALONE, 0.0) is not None
    assert alarms <= 15


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.one_of(st.none(), st.floats(0.0, 1e6))), max_size=400
    ),
    st.floats(0.0, 3.0),
    st.floats(-1.0, 1.0),
    st.floats(0.0, 50.0),
)
def test_for_any_calls_the_factor_is_a_part_above_nothing(
    samples: list[tuple[bool, bool, float | None]], answers: float, failures: float, delay: float
) -> None:
    quality = Quality()
    for n, (answered, failed, rang) in enumerate(samples):
        quality.add(float(n), answered, failed, rang)
        if n % 20 == 0:
            collapse = quality.judge(Trend(answers, failures, delay, 1), float(n))
            assert collapse is None or LEAST_FACTOR <= collapse.factor <= 1.0
