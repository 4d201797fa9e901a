"""The shipped sounds: whole, alike in every format, equally loud, and told apart by ear and machine."""

import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest

from orchestrator.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from orchestrator.audio.wav import read_wav, seconds
from tests.audio_decode import Samples, digit_sounds, load, stripped

SOUNDS = Path(__file__).parents[2] / "orchestrator" / "sounds"
LANGUAGES = sorted(path.parent.name for path in SOUNDS.glob("*/language.toml"))
SILENCES_MS = (100, 200, 300, 400, 500, 1000, 2000, 5000)
FORMATS = (".wav", ".ulaw", ".alaw")
TEMPLATES = (
    "code",
    "notice",
    "gate",
    "callback-connecting",
    "callback-recorded",
    "callback-ending",
    "callback-busy",
    "callback-no-answer",
    "callback-unreachable",
)


def table(language: str) -> dict[str, Any]:
    return tomllib.loads((SOUNDS / language / "language.toml").read_text(encoding="utf-8"))


def names(language: str) -> set[str]:
    found = table(language)
    kinds = ("digits", "characters", "numbers", "phrases")
    return {name for kind in kinds for name in found[kind].values()}


EVERY_SOUND = [SOUNDS / language / name for language in LANGUAGES for name in sorted(names(language))]
each_language = pytest.mark.parametrize("language", LANGUAGES)
each_sound = pytest.mark.parametrize("sound", EVERY_SOUND, ids=lambda path: str(path.relative_to(SOUNDS)))


def active_db(samples: Samples) -> float:
    """RMS of the 20 ms frames that are at most 25 dB softer than the loudest, dB of full scale."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    power = np.mean(frames**2, axis=1)
    return float(10 * np.log10(np.mean(power[power > power.max() / 10**2.5])))


def test_english_and_mandarin_are_shipped() -> None:
    assert {"en", "zh"} <= set(LANGUAGES)


@each_language
def test_a_language_says_who_speaks_and_under_which_licence(language: str) -> None:
    found = table(language)
    assert found["tag"] == language
    assert found["name"]
    assert found["voice"]
    assert "Apache-2.0" in found["licence"]


@each_language
def test_every_digit_and_every_letter_has_a_sound(language: str) -> None:
    found = table(language)
    assert list(found["digits"]) == list("0123456789")
    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") <= set(found["characters"])


@each_sound
def test_a_sound_fills_whole_packets_so_that_what_is_played_after_it_is_not_shifted(sound: Path) -> None:
    assert len(sound.with_suffix(".ulaw").read_bytes()) % 160 == 0


@each_sound
def test_the_three_formats_hold_the_same_audio(sound: Path) -> None:
    pcm = read_wav(sound.with_suffix(".wav"))
    ulaw, alaw = (sound.with_suffix(suffix).read_bytes() for suffix in (".ulaw", ".alaw"))
    assert len(ulaw) == len(alaw) == len(pcm) // 2
    assert ulaw == encode_ulaw(pcm)
    assert alaw == encode_alaw(pcm)
    for heard in (decode_ulaw(ulaw), decode_alaw(alaw)):
        error = load(heard) - load(pcm)
        assert 10 * np.log10(np.mean(load(pcm) ** 2) / np.mean(error**2)) > 33  # dB, G.711's own noise


@each_sound
def test_a_sound_is_as_loud_as_all_others_and_never_clipped(sound: Path) -> None:
    samples = load(sound.with_suffix(".wav"))
    assert active_db(samples) == pytest.approx(-20, abs=1)
    assert 20 * np.log10(np.max(np.abs(samples))) <= -2.9
    assert abs(float(np.mean(samples))) < 0.002


@each_sound
def test_a_sound_starts_at_once_and_without_a_click(sound: Path) -> None:
    samples = load(sound.with_suffix(".wav"))
    onset = np.flatnonzero(np.abs(samples) > 10 ** (-46 / 20))[0] / 8000
    assert onset <= 0.1
    for edge in (samples[:2], samples[-2:]):
        assert np.max(np.abs(edge)) < 0.01
    assert 0.2 < seconds(read_wav(sound.with_suffix(".wav"))) < 4


@each_language
def test_a_pause_follows_every_digit_and_letter(language: str) -> None:
    found = table(language)
    assert 200 <= found["digit_gap_ms"] <= 400
    for name in {*found["digits"].values(), *found["characters"].values()}:
        tail = load(SOUNDS / language / f"{name}.wav")[-found["digit_gap_ms"] * 8 :]
        assert not tail.any()


@each_language
def test_no_digit_sounds_like_another(language: str) -> None:
    sounds = {digit: stripped(sound) for digit, sound in digit_sounds(SOUNDS / language).items()}
    for one, other in combinations(sounds, 2):
        long, short = sorted((sounds[one], sounds[other]), key=len, reverse=True)
        scale = np.sqrt(np.sum(long**2) * np.sum(short**2))
        assert np.max(np.abs(np.correlate(long, short, "full"))) / scale < 0.6, (one, other)


@pytest.mark.parametrize("milliseconds", SILENCES_MS)
def test_a_silence_is_silent_and_as_long_as_its_name(milliseconds: int) -> None:
    path = SOUNDS / "silence" / str(milliseconds)
    assert read_wav(path.with_suffix(".wav")) == bytes(16 * milliseconds)
    assert path.with_suffix(".ulaw").read_bytes() == b"\xff" * 8 * milliseconds
    assert path.with_suffix(".alaw").read_bytes() == b"\xd5" * 8 * milliseconds


@each_language
@pytest.mark.parametrize(("play", "plays"), [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_each_play_of_the_code_prompt_says_the_code_once_and_only_known_phrases(
    language: str, play: int, plays: int
) -> None:
    source = (SOUNDS / language / "templates" / "code.ssml").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    ssml = environment.from_string(source).render(code="4711", play=play, plays=plays)
    root = read_xml(ssml)
    assert [text for tag, text in root if tag == "say-as"] == ["4711"]
    phrases = {" ".join(phrase.split()).casefold() for phrase in table(language)["phrases"]}
    said = [text for tag, text in root if tag == "s"]
    assert {" ".join(text.split()).strip(".。!,:").casefold() for text in said} <= phrases
    greets, parts = said[0].startswith(("Hello", "您好")), said[-1].startswith(("Goodbye", "再见"))
    assert (greets, parts) == (play == 1, play == plays)


def read_xml(document: str) -> list[tuple[str, str]]:
    """The elements of a well-formed document, with their text, in order."""
    from xml.parsers.expat import ParserCreate

    found: list[tuple[str, str]] = []
    parser = ParserCreate()

    def start(tag: str, _: dict[str, str]) -> None:
        found.append((tag, ""))

    def text(data: str) -> None:
        tag, so_far = found[-1]
        found[-1] = (tag, so_far + data)

    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    parser.Parse(document, True)
    return [(tag, data.strip()) for tag, data in found]


def test_no_stray_file_lies_among_the_sounds() -> None:
    expected = {SOUNDS / "README.md"}
    stems = EVERY_SOUND + [SOUNDS / "silence" / str(milliseconds) for milliseconds in SILENCES_MS]
    stems.append(SOUNDS / "tone" / "beep")
    expected |= {stem.with_suffix(suffix) for stem in stems for suffix in FORMATS}
    for language in LANGUAGES:
        expected |= {SOUNDS / language / "language.toml"}
        expected |= {SOUNDS / language / "templates" / f"{name}.ssml" for name in TEMPLATES}
    assert {path for path in SOUNDS.rglob("*") if path.is_file()} == expected


def test_all_sounds_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in SOUNDS.rglob("*") if path.is_file()) < 16_000_000
