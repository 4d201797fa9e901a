"""What an answer means, as a table."""

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.notify.schedule import (
    BACKOFF,
    LAST,
    PATIENCE,
    Answered,
    Dead,
    Delivered,
    Failed,
    Response,
    RetryAt,
    Stop,
    decide,
    parse_retry_after,
    put_back,
)

NOW = 1_800_000_000.0


def decision(attempts: int, response: Response, age: float = 0.0, random: float = 0.0) -> object:
    return decide(attempts, age, response, NOW, lambda: random)


@pytest.mark.parametrize("status", range(200, 300))
@pytest.mark.parametrize("attempts", [0, 9])
def test_every_2xx_is_success(attempts: int, status: int) -> None:
    assert decision(attempts, Answered(status)) == Delivered()


def test_410_stops_the_job() -> None:
    assert isinstance(decision(0, Answered(410)), Stop)
    assert isinstance(decision(9, Answered(410)), Stop)


OTHERS = [
    Failed("no answer"),
    *(Answered(s) for s in (301, 302, 304, 307, 400, 401, 404, 429, 500, 503, 599)),
]


@pytest.mark.parametrize("response", OTHERS, ids=repr)
@pytest.mark.parametrize(("attempts", "wait"), list(enumerate(BACKOFF)))
def test_anything_else_is_tried_again_after_the_next_step(
    attempts: int, wait: float, response: Response
) -> None:
    verdict = decision(attempts, response, age=1e6)
    assert isinstance(verdict, RetryAt)
    assert (verdict.at, verdict.attempts) == (NOW + wait, attempts + 1)
    later = decision(attempts, response, age=1e6, random=0.999999)
    assert isinstance(later, RetryAt)
    assert NOW + wait * 1.199 < later.at <= NOW + wait * 1.2


def test_the_last_attempt_is_made_when_a_receiver_that_was_down_for_a_day_may_be_back() -> None:
    age = sum(BACKOFF[:8])
    verdict = decision(8, Failed("no answer"), age=age)
    assert isinstance(verdict, RetryAt)
    assert age + verdict.at - NOW == LAST


@pytest.mark.parametrize("response", OTHERS, ids=repr)
def test_the_tenth_failure_is_the_last(response: Response) -> None:
    verdict = decision(9, response)
    assert isinstance(verdict, Dead)
    assert verdict.attempts == 10


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 1),
        ("999999999", 86400),
        ("9" * 400, 86400),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 1),
        (formatdate(NOW + 10**7, usegmt=True), 86400),
        (format_datetime(datetime.fromtimestamp(NOW + 60, UTC)).replace("+0000", "-0000"), 60),
    ],
)
def test_retry_after_is_kept_within_bounds_and_uses_up_no_attempt(
    status: int, header: str, wait: float
) -> None:
    verdict = decision(9, Answered(status, header))
    assert isinstance(verdict, RetryAt)
    assert (verdict.at, verdict.attempts) == (NOW + wait, 9)


def test_a_receiver_that_only_ever_says_retry_after_uses_up_attempts_after_a_day() -> None:
    verdict = decision(3, Answered(429, "1"), age=PATIENCE)
    assert isinstance(verdict, RetryAt)
    assert (verdict.at, verdict.attempts) == (NOW + BACKOFF[3], 4)


@pytest.mark.parametrize("status", [301, 400, 500])
def test_retry_after_means_nothing_elsewhere(status: int) -> None:
    assert decision(0, Answered(status, "120")) == decision(0, Answered(status))


@pytest.mark.parametrize("header", ["", "soon", "-5", "1.5", "١٢", "Mon, 99 Foo 2026 99:99:99 GMT", "0x10"])
def test_a_retry_after_that_makes_no_sense_is_ignored(header: str) -> None:
    assert parse_retry_after(header, NOW) is None
    assert decision(0, Answered(429, header)) == decision(0, Answered(429))


@given(st.text(max_size=60))
def test_no_retry_after_whatever_breaks_the_schedule(header: str) -> None:
    verdict = decision(0, Answered(503, header))
    assert isinstance(verdict, RetryAt)
    assert NOW + 1 <= verdict.at <= NOW + 86400


@given(
    st.integers(0, 12),
    st.floats(0, 1e7),
    st.one_of(
        st.builds(Answered, st.integers(100, 599), st.none() | st.integers(0, 10**9).map(str)),
        st.builds(Failed, st.text()),
    ),
    st.floats(0, 1, exclude_max=True),
)
def test_no_retry_is_sooner_than_a_second_or_later_than_a_day(
    attempts: int, age: float, response: Response, random: float
) -> None:
    verdict = decide(attempts, age, response, NOW, lambda: random)
    if isinstance(verdict, RetryAt):
        assert NOW + 1 <= verdict.at <= NOW + 86400
        assert attempts <= verdict.attempts <= attempts + 1


def test_what_is_put_back_untried_keeps_to_the_schedule_but_never_dies() -> None:
    for attempts, wait in enumerate(BACKOFF):
        verdict = put_back(attempts, "down", 1e6, NOW, lambda: 0.0)
        assert verdict == RetryAt(NOW + wait, attempts + 1, "down")
    assert put_back(9, "down", 1e6, NOW, lambda: 0.0) is None
