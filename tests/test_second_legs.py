"""Second legs of callbacks: each begins at its turn, on virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import pytest

from orchestrator.call import events as ev
from orchestrator.call.either import callee_waits, just_known
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import Booking
from orchestrator.pace import MISSED
from orchestrator.second_legs import SecondLeg, SecondLegs
from tests.call.callbacks import ANSWER, CALL, TO, Story
from tests.fakes import now
from tests.test_live import virtual


class Shared:
    """A ledger that answers as told: each answer is (seconds until the start, whether it is booked)."""

    def __init__(self, *answers: tuple[float, bool], slow: float = 0.0) -> None:
        self.answers = list(answers)
        self.slow = slow
        self.asked: list[str] = []
        self.known: list[str] = []

    async def book(self, pbx: str, channel: str, at: float) -> Booking:
        self.asked.append(channel)
        wait, booked = self.answers.pop(0)
        await asyncio.sleep(self.slow)
        return Booking(at + wait, booked)

    def made(self, channel: str, at: float) -> None:
        self.known.append(channel)


@contextlib.asynccontextmanager
async def legs(ledger: Shared, pace: Callable[[], float] = lambda: 0.0) -> AsyncIterator[SecondLegs]:
    made = SecondLegs("ast1", cast("Ledger", ledger), now, pace)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()


async def begun(each: SecondLegs, *channels: str) -> list[tuple[str, float]]:
    """When each began, in seconds from now."""
    since, found, all_ = now(), list[tuple[str, float]](), asyncio.Event()

    def begin(channel: str) -> None:
        found.append((channel, now() - since))
        if len(found) == len(channels):
            all_.set()

    for channel in channels:
        each.dial(SecondLeg(channel, lambda: True, partial(begin, channel)))
    await all_.wait()
    return found


def about(*expected: tuple[str, float]) -> Any:
    return [(channel, pytest.approx(at, abs=0.01)) for channel, at in expected]


@virtual
async def test_each_begins_when_its_start_has_come_in_the_order_in_which_they_were_asked_for() -> None:
    ledger = Shared((0.5, True), (0.2, True))
    async with legs(ledger) as each:
        assert await begun(each, "a", "b") == about(("a", 0.5), ("b", 0.7))


@virtual
async def test_where_no_start_is_to_be_had_the_ledger_is_asked_again_when_it_says() -> None:
    ledger = Shared((0.3, False), (0.1, True))
    async with legs(ledger) as each:
        assert await begun(each, "a") == about(("a", 0.4))
    assert ledger.asked == ["a", "a"]


@virtual
async def test_a_start_that_was_missed_is_booked_anew() -> None:
    ledger = Shared((0.1, True), (0.3, True), slow=0.1 + 2 * MISSED)
    async with legs(ledger) as each:
        assert len(await begun(each, "a")) == 1
    assert ledger.asked == ["a", "a"]


@virtual
async def test_the_workers_own_pace_comes_first() -> None:
    async with legs(Shared((0.0, True), (0.0, True)), lambda: 0.25) as each:
        assert await begun(each, "a", "b") == about(("a", 0.25), ("b", 0.5))


def on_hook(since: list[str], channel: str) -> SecondLeg:
    """One whose caller has hung up, or will, when the channel is in `since`."""
    return SecondLeg(channel, lambda: channel not in since, lambda: since.append(f"{channel} began"))


@virtual
async def test_one_whose_caller_has_hung_up_takes_no_start() -> None:
    ledger, gone, taken = Shared((0.0, True)), ["a"], list[float]()

    def pace() -> float:
        taken.append(now())
        return 0.0

    async with legs(ledger, pace) as each:
        each.dial(on_hook(gone, "a"))
        assert len(await begun(each, "b")) == 1
    assert (ledger.asked, ledger.known, gone, len(taken)) == (["b"], [], ["a"], 1)


@virtual
async def test_a_start_that_was_booked_is_given_back_when_the_caller_hangs_up_before_it() -> None:
    ledger, gone = Shared((0.5, True), (0.0, True)), list[str]()
    async with legs(ledger) as each:
        each.dial(on_hook(gone, "a"))
        asyncio.get_running_loop().call_later(0.2, gone.append, "a")
        assert len(await begun(each, "b")) == 1
    assert (ledger.asked, ledger.known, gone) == (["a", "b"], ["a"], ["a"])


@virtual
async def test_for_one_whose_caller_hangs_up_the_ledger_is_not_asked_again() -> None:
    ledger, gone = Shared((0.3, False), (0.0, True)), list[str]()
    async with legs(ledger) as each:
        each.dial(on_hook(gone, "a"))
        asyncio.get_running_loop().call_later(0.2, gone.append, "a")
        assert len(await begun(each, "b")) == 1
    assert (ledger.asked, gone) == (["a", "b"], ["a"])


def known(story: Story, *events: ev.CallEvent) -> list[str | None]:
    found = []
    for event in events:
        before = story.it
        found.append(just_known(before, story.feed(event).it))
    return found


def test_of_each_leg_it_is_known_once_what_became_of_its_originate() -> None:
    story = Story()
    assert known(story, *ANSWER) == [CALL, None, None, None]
    callee = [ev.OfCallee(event) for event in (ev.Accepted(), ev.Ringing(), ev.Answered())]
    assert known(story, *callee) == [TO, None, None]


def test_a_leg_that_is_lost_may_come_until_the_pbx_says_otherwise() -> None:
    lost, alive = ev.OriginateLost("unconfirmed"), ev.Alive(ringing=True, up=False, ready=False)
    assert known(Story(), lost, alive, ev.Answered()) == [None, CALL, None]
    assert known(Story().answered(), ev.OfCallee(lost), ev.OfCallee(ev.Gone())) == [None, TO]


def test_a_leg_that_is_hung_up_before_it_was_confirmed_may_come_until_it_has_ended() -> None:
    assert known(Story(), ev.CancelRequested(), ev.Ended(16)) == [None, CALL]
    assert known(Story().answered(), ev.CancelRequested(), ev.OfCallee(ev.Ended(16))) == [None, TO]


def test_a_leg_whose_request_never_left_will_never_come() -> None:
    unsent = ev.OriginateLost("not_sent")
    assert known(Story(), unsent) == [CALL]
    assert known(Story().answered(), ev.OfCallee(unsent)) == [TO]


def test_a_callee_waits_to_be_dialled_until_it_is_or_its_caller_has_gone() -> None:
    story = Story(commits=False)
    assert not callee_waits(story.it)
    story.answered()
    assert callee_waits(story.it)
    assert not callee_waits(story.feed(*story.held_back).it)
    gone = Story(commits=False).answered().feed(ev.Ended(16))
    assert not callee_waits(gone.it)
