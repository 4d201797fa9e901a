"""The course of each of the lab's numbers on the virtual switch, to the millisecond."""

from pathlib import Path

import pytest

from orchestrator.pbx.virtual.callees import LAB, NOBODY, Callee, callee_of
from orchestrator.pbx.virtual.hearing import Room
from orchestrator.pbx.virtual.switch import IdTaken, Limits, TooFast, TooManyLegs
from tests.pbx.virtual.world import World, samples_in, write_sound

COURSES = {
    "0100": [(0.002, "rang ringing"), (1.002, "answered up")],
    "0101": [(0.002, "refused 17 486")],
    "0102": [(0.002, "rang ringing"), (30.0, "timed out")],
    "0103": [(0.002, "refused 21 603")],
    "0104": [(0.002, "refused 1 404")],
    "0105": [(0.002, "answered up"), (1.502, "left 16")],
    "0106": [(0.002, "answered up"), (2.202, "pressed 1")],
    "0107": [(0.002, "sounded early"), (2.002, "answered up")],
    "0108": [(0.002, "answered up")],
    "0109": [(0.002, "refused 34 503")],
    "0110": [(0.002, "answered up")],
    "0111": [
        (0.002, "answered up"),
        (2.202, "pressed 4"),
        (2.554, "pressed 2"),
        (2.906, "pressed #"),
    ],
    "0112": [(0.002, "answered up")],
    "0113": [(0.002, "rang ringing"), (1.002, "answered up")],
    "0199": [(0.002, "refused 1 404")],
}


@pytest.mark.parametrize(("number", "course"), COURSES.items())
def test_each_number_takes_its_course(number: str, course: list[tuple[float, str]]) -> None:
    world = World()
    leg = world.dial(f"1202555{number}")
    world.timeline.advance(60)
    assert world.diary.told == course
    ended = course[-1][1].startswith(("refused", "left", "timed"))
    assert leg.alive is not ended
    assert ("leg" in world.switch.legs) is not ended


def test_the_lab_has_all_the_numbers_that_are_tested() -> None:
    assert set(LAB) == set(COURSES) - {"0199"}


@pytest.mark.parametrize("number", ["999", "abc", "", "+", "12025560100", "120255501000"])
def test_any_other_number_does_not_exist(number: str) -> None:
    assert callee_of(number, {}) is NOBODY


def test_a_number_of_ones_own_counts_by_its_longest_ending() -> None:
    own = {"0100": Callee(cause=17), "5550100": Callee(cause=21), "13035550100": Callee(cause=34)}
    assert callee_of("+13035550100", own).cause == 34
    assert callee_of("14045550100", own).cause == 21
    assert callee_of("14045560100", own).cause == 17
    assert callee_of("14045550101", own) is LAB["0101"]


def test_an_id_is_taken_only_while_its_leg_lives() -> None:
    world = World()
    leg = world.dial("12025550110")
    with pytest.raises(IdTaken):
        world.dial("12025550110")
    world.switch.end(leg, 16)
    world.dial("12025550110")


def test_what_ended_does_nothing_any_more() -> None:
    world = World()
    leg = world.dial("12025550105")
    world.timeline.advance(1)
    world.switch.end(leg, 16)
    world.timeline.advance(60)
    assert world.diary.told == [(0.002, "answered up")]
    assert leg.ended_at == pytest.approx(1_000_000_001.0)


def test_no_more_legs_live_than_may() -> None:
    world = World(limits=Limits(calls=2))
    for n in range(2):
        world.dial("12025550110", f"leg{n}")
    with pytest.raises(TooManyLegs):
        world.dial("12025550110", "one-more")


def test_no_more_legs_begin_in_a_second_than_may() -> None:
    world = World(limits=Limits(per_second=3))
    for second in range(2):
        for n in range(3):
            world.dial("12025550110", f"leg{second}-{n}")
        with pytest.raises(TooFast):
            world.dial("12025550110", "one-more")
        world.timeline.advance(1)


def test_a_callee_can_be_moved_by_hand() -> None:
    world = World()
    leg = world.dial("12025550102")
    world.timeline.advance(1)
    world.switch.answer(leg)
    world.switch.press(leg, "12")
    world.timeline.advance(60)
    world.switch.hang_up_callee(leg)
    assert [what for _, what in world.diary.told] == [
        "rang ringing",
        "answered up",
        "pressed 1",
        "pressed 2",
        "left 16",
    ]


def test_a_callee_that_is_made_to_hang_up_while_it_rings_refuses() -> None:
    world = World()
    leg = world.dial("12025550102")
    world.timeline.advance(1)
    world.switch.hang_up_callee(leg, 17)
    assert world.diary.told[-1] == (1.0, "refused 17 486")


def test_who_is_in_a_bridge_hears_the_other_and_not_himself(tmp_path: Path) -> None:
    write_sound(tmp_path, "hello", [5] * 8000)
    talks = Callee(says="hello")
    world = World(tmp_path, callees={"1": talks}, keep_heard=10)
    first, second = world.dial("1", "first"), world.dial("12025550110", "second")
    world.timeline.advance(0.502)
    room = Room()
    world.switch.enter(first, room)
    world.switch.enter(second, room)
    world.timeline.advance(1)
    for leg in (first, second):
        world.switch.end(leg, 16)
    heard = {leg: world.switch.ended[leg] for leg in ("first", "second")}
    ears = {leg: each.ear for leg, each in heard.items()}
    assert ears["first"] is not None
    assert ears["second"] is not None
    assert set(samples_in(ears["first"].pcm(heard["first"].ended_at))) == {0}
    samples = samples_in(ears["second"].pcm(heard["second"].ended_at))
    assert samples.count(5) == 4000
    assert samples.index(5) == 4000


def test_a_callee_says_one_sound_after_another_and_all_of_it_again(tmp_path: Path) -> None:
    write_sound(tmp_path, "one", [5] * 800)
    write_sound(tmp_path, "two", [7] * 400)
    world = World(tmp_path, callees={"1": Callee(says="one&missing&two", says_again=0.5)})
    leg = world.dial("1")
    world.timeline.advance(0.002)
    ear = world.switch.listen(leg)
    world.timeline.advance(1.0)
    said = [5] * 800 + [7] * 400
    assert samples_in(ear.pcm(world.timeline.now())) == [*said, *[0] * 4000, *said, *[0] * 1600]
    world.switch.end(leg, 16)
    world.timeline.advance(1.0)
    assert samples_in(ear.pcm(world.timeline.now()))[8000:] == [0] * 8000


def test_only_so_many_ended_calls_are_kept() -> None:
    world = World(keep_heard=2)
    for n in range(3):
        world.switch.end(world.dial("12025550110", f"leg{n}"), 16)
    assert list(world.switch.ended) == ["leg1", "leg2"]
    world = World(keep_heard=0)
    world.switch.end(world.dial("12025550110"), 16)
    assert not world.switch.ended
