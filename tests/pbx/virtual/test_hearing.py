"""What is heard: mixing against the plain sum, sample by sample."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.hearing import Ear, Room, Sounding
from tests.pbx.virtual.world import samples_in, write_sound

STEP = 1 / 8000

sample = st.integers(-32768, 32767)
sound = st.tuples(st.integers(0, 40), st.lists(sample, min_size=1, max_size=20), st.integers(0, 30))
"""When it begins, what it is, and after how many samples it is cut off."""


def clip_of(samples: list[int]) -> Clip:
    pcm = b"".join(each.to_bytes(2, "little", signed=True) for each in samples)
    return Clip("", len(samples), pcm=pcm)


@settings(max_examples=300)
@given(st.lists(sound, max_size=6), st.integers(0, 60))
def test_what_sounds_together_is_added_and_clipped(
    sounds: list[tuple[int, list[int], int]], until: int
) -> None:
    ear = Ear(0.0)
    expected = [0] * until
    events: list[tuple[int, int, Sounding]] = []
    for begun, samples, lasts in sounds:
        sounding = Sounding(clip_of(samples), begun * STEP)
        events += [(begun, 0, sounding), (begun + lasts, 1, sounding)]
    for at, what, sounding in sorted(events, key=lambda event: event[:2]):
        (ear.begin, ear.finish)[what](sounding, at * STEP)
    # Spans are mixed in the order in which they began; each sum is clipped as it is made.
    for begun, samples, lasts in sorted(sounds, key=lambda each: each[0]):
        for n, value in enumerate(samples[:lasts]):
            if begun + n < until:
                expected[begun + n] = max(-32768, min(32767, expected[begun + n] + value))
    assert samples_in(ear.pcm(until * STEP)) == expected


def test_an_ear_that_opens_in_the_middle_hears_the_rest() -> None:
    sounding = Sounding(clip_of(list(range(1, 11))), 0.0)
    ear = Ear(4 * STEP)
    ear.begin(sounding, 4 * STEP)
    assert samples_in(ear.pcm(14 * STEP)) == [5, 6, 7, 8, 9, 10, 0, 0, 0, 0]


def test_a_file_is_read_when_it_is_listened_to() -> None:
    with TemporaryDirectory() as folder:
        path = write_sound(Path(folder), "a", [1, 2, 3])
        ear = Ear(0.0)
        ear.begin(Sounding(Clip(str(path), 3, 1), 0.0), 0.0)
        assert samples_in(ear.pcm(3 * STEP)) == [1, 2, 3]
    gone = Ear(0.0)
    gone.begin(Sounding(Clip(str(path), 3, 2), 0.0), 0.0)
    assert samples_in(gone.pcm(3 * STEP)) == [0, 0, 0]


def test_in_a_room_everybody_hears_the_others() -> None:
    room = Room()
    ears = {name: Ear(0.0) for name in ("a", "b")}
    for name, ear in ears.items():
        room.enter(name, ear, 0.0)
    room.begin(Sounding(clip_of([3, 3]), 0.0), "a", 0.0)
    everybody = Sounding(clip_of([4, 4]), 0.0)
    room.begin(everybody, "nobody", 0.0)
    assert samples_in(ears["a"].pcm(2 * STEP)) == [4, 4]
    assert samples_in(ears["b"].pcm(2 * STEP)) == [7, 7]
    room.leave("a", STEP)
    assert samples_in(ears["b"].pcm(2 * STEP)) == [7, 4]
    room.finish(everybody, STEP)
    assert samples_in(ears["b"].pcm(2 * STEP)) == [7, 0]
