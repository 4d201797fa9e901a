"""The folder of rendered sounds: whole files only, bounded in size, safe for live jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.speech.cache import KEPT, Cache, CacheUnusable

NOW = 1_800_000_000.0
SECOND = bytes(16_000)
SIZE = 44 + 16_000 + 8_000


class Time:
    """A clock that a test moves."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


def name(number: int) -> str:
    return f"{number:032x}"


def cache(folder: Path, clock: Time, seconds: int) -> Cache:
    made = Cache(folder / "speech", ("wav", "ulaw"), seconds * SIZE, clock)
    made.check()
    return made


def test_what_was_asked_for_least_lately_goes_first(tmp_path: Path, clock: Time) -> None:
    sounds = cache(tmp_path, clock, seconds=10)
    for number in range(10):
        sounds.store(name(number), SECOND)
        clock.now += 60
    clock.now += KEPT - 300
    assert sounds.find(name(0)) == 1000  # which makes it the last one to go
    clock.now += 600
    sounds.store(name(10), SECOND)
    assert [number for number in range(11) if sounds.find(name(number)) is None] == [1, 2]
    assert len(list((tmp_path / "speech").glob("*.ulaw"))) == 9


def test_nothing_that_a_live_job_may_need_goes_even_when_the_folder_is_full(
    tmp_path: Path, clock: Time
) -> None:
    sounds = cache(tmp_path, clock, seconds=3)
    for number in range(3):
        sounds.store(name(number), SECOND)
    clock.now += KEPT - 1
    with pytest.raises(CacheUnusable, match=r"full .* raise speech.max_megabytes"):
        sounds.store(name(3), SECOND)
    assert [sounds.find(name(number)) for number in range(3)] == [1000, 1000, 1000]
    assert sounds.find(name(3)) is None


@pytest.mark.parametrize("broken", ["cut short", "empty", "an encoding missing", "encodings of two lengths"])
def test_a_sound_that_is_not_whole_is_none(tmp_path: Path, clock: Time, broken: str) -> None:
    sounds = cache(tmp_path, clock, seconds=10)
    sounds.store(name(1), SECOND)
    wav = tmp_path / f"speech/{name(1)}.wav"
    match broken:
        case "cut short":
            wav.write_bytes(wav.read_bytes()[:-400])
        case "empty":
            wav.write_bytes(b"")
        case "an encoding missing":
            wav.with_suffix(".ulaw").unlink()
        case _:
            wav.with_suffix(".ulaw").write_bytes(b"x")
    assert sounds.find(name(1)) is None
    assert sounds.store(name(1), SECOND) == 1000
    assert sounds.find(name(1)) == 1000


def test_what_a_dead_process_left_is_cleared_away_and_other_files_are_not(
    tmp_path: Path, clock: Time
) -> None:
    sounds = cache(tmp_path, clock, seconds=2)
    left = tmp_path / f"speech/.{name(7)}.wav.part-0a0b0c0d"
    left.write_bytes(b"half")
    mine = tmp_path / "speech/mine.wav"
    mine.write_bytes(bytes(10 * SIZE))
    clock.now = left.stat().st_mtime + 7200
    sounds.store(name(1), SECOND)
    assert not left.exists()
    assert mine.exists()


def test_the_folder_is_made_below_a_folder_of_sounds_and_nowhere_else(tmp_path: Path, clock: Time) -> None:
    cache(tmp_path / "orchestrator", clock, seconds=1)
    assert (tmp_path / "orchestrator/speech").stat().st_mode & 0o777 == 0o755
    with pytest.raises(CacheUnusable, match=r"No such file or directory; make it"):
        cache(tmp_path / "no/sounds/here", clock, seconds=1)
