"""Reading digits back from a recording: what the tests of whole calls stand on."""

import random
from pathlib import Path

import numpy as np
import pytest

from orchestrator.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from orchestrator.audio.wav import write_wav
from tests.audio_decode import Found, Samples, decode_digits, digit_sounds, find_sounds, load

SOUNDS = Path(__file__).parents[2] / "orchestrator" / "sounds"
each_language = pytest.mark.parametrize("language", ["en", "zh"])


def codes(count: int, seed: int) -> list[str]:
    """Random codes of six digits, a digit repeated in every other one."""
    chosen = random.Random(seed)
    found = []
    for number in range(count):
        digits = chosen.choices("0123456789", k=6)
        if number % 2:
            place = chosen.randrange(1, 6)
            digits[place] = digits[place - 1]
        found.append("".join(digits))
    return found


def pcm(samples: Samples) -> bytes:
    return np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def call(language: str, code: str) -> Samples:
    """What a callee hears, twice: the phrase, a pause, the digits."""
    lead = load(SOUNDS / language / "phrases" / "your-verification-code-is.wav")
    digits = [load(SOUNDS / language / "digits" / f"{digit}.wav") for digit in code]
    play = [np.zeros(4000), lead, np.zeros(2400), *digits]
    return np.concatenate(play + play)


def shifted(samples: Samples, part: float) -> Samples:
    """Later by a part of a sample, as a switch's own clock may have it."""
    spectrum = np.fft.rfft(samples)
    turns = np.fft.rfftfreq(len(samples)) * part
    return np.fft.irfft(spectrum * np.exp(-2j * np.pi * turns), len(samples))


def phrases(language: str) -> dict[str, Samples]:
    return {path.stem: load(path) for path in (SOUNDS / language / "phrases").glob("your-*.wav")}


def text(found: list[Found]) -> str:
    return "".join(digit for _, digit, _ in found)


@each_language
@pytest.mark.parametrize("code", codes(50, seed=20))
def test_every_code_is_read_back_twice_through_mu_law(language: str, code: str) -> None:
    heard = decode_ulaw(encode_ulaw(pcm(call(language, code))))
    found = decode_digits(heard, digit_sounds(SOUNDS / language), phrases=phrases(language))
    assert text(found) == code * 2
    assert min(score for _, _, score in found) > 0.95


@each_language
@pytest.mark.parametrize("code", codes(4, seed=21))
def test_noise_a_shift_and_a_law_do_not_hide_a_digit(language: str, code: str) -> None:
    heard = shifted(call(language, code), 0.5) * 0.5
    speech = np.sqrt(np.mean(heard[heard != 0] ** 2))
    noise = np.random.default_rng(1).normal(0, speech / 10, len(heard))  # 20 dB below
    recording = decode_alaw(encode_alaw(pcm(heard + noise)))
    assert text(decode_digits(recording, digit_sounds(SOUNDS / language))) == code * 2


@each_language
def test_phrases_alone_hold_no_digit(language: str) -> None:
    spoken = [load(path) for path in sorted((SOUNDS / language / "phrases").glob("*.wav"))]
    assert decode_digits(np.concatenate(spoken), digit_sounds(SOUNDS / language)) == []


def test_the_digits_of_one_language_are_not_heard_in_the_other() -> None:
    assert decode_digits(call("en", "0123456789"), digit_sounds(SOUNDS / "zh")) == []
    assert decode_digits(call("zh", "0123456789"), digit_sounds(SOUNDS / "en")) == []


@each_language
def test_a_digit_that_was_not_played_whole_is_not_found(language: str) -> None:
    cut = load(SOUNDS / language / "digits" / "7.wav")[:1200]
    heard = np.concatenate([np.zeros(800), cut, np.zeros(8000)])
    assert decode_digits(heard, digit_sounds(SOUNDS / language)) == []


def test_the_time_of_a_digit_is_where_its_sound_begins() -> None:
    heard = np.concatenate([np.zeros(8000), load(SOUNDS / "en" / "digits" / "6.wav")])
    (found,) = decode_digits(heard, digit_sounds(SOUNDS / "en"))
    assert found.time == pytest.approx(1.0, abs=0.02)
    assert found.score == pytest.approx(1.0)


def test_a_digit_within_a_found_phrase_does_not_count() -> None:
    digits = digit_sounds(SOUNDS / "en")
    phrase = np.concatenate([load(SOUNDS / "en" / "phrases" / "hello.wav"), digits["3"], digits["9"]])
    heard = np.concatenate([phrase, np.zeros(800), digits["5"]])
    assert text(decode_digits(heard, digits)) == "395"
    assert text(decode_digits(heard, digits, phrases={"lead": phrase})) == "5"


def test_phrases_are_found_with_their_places() -> None:
    hello = load(SOUNDS / "en" / "phrases" / "hello.wav")
    goodbye = load(SOUNDS / "en" / "phrases" / "goodbye.wav")
    heard = np.concatenate([goodbye, np.zeros(4000), hello, goodbye])
    found = find_sounds(heard, {"hello": hello, "goodbye": goodbye})
    assert [name for _, name, _ in found] == ["goodbye", "hello", "goodbye"]


def test_a_recording_is_read_from_a_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", pcm(call("en", "493817")))
    digits = digit_sounds(SOUNDS / "en")
    assert text(decode_digits(tmp_path / "call.wav", digits)) == "493817" * 2
    assert text(decode_digits(str(tmp_path / "call.wav"), digits)) == "493817" * 2


def test_silence_and_a_recording_shorter_than_any_digit_hold_none() -> None:
    digits = digit_sounds(SOUNDS / "en")
    assert decode_digits(np.zeros(80_000), digits) == []
    assert decode_digits(np.zeros(10), digits) == []


def test_a_sound_too_short_to_tell_is_refused() -> None:
    with pytest.raises(ValueError, match="would match by chance"):
        find_sounds(np.zeros(8000), {"click": np.ones(80)})
