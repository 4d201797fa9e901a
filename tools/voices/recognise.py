"""Would a person understand it? How many random codes a speech recogniser writes down exactly."""

import random
import re
import tomllib
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel

from orchestrator.audio.g711 import decode_ulaw
from tools.voices.kokoro import Samples

CODES = 20
_LINE_NOISE_DB = -60.0  # a telephone line is never digitally silent
_EXAMPLES = {"en": "4 9 3 8 1 7", "zh": "四九三八一七"}  # shows how to write digits down
_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WORDS = {
    word: str(value) for words in (_ENGLISH, "零一二三四五六七八九") for value, word in enumerate(words)
}


def understood(sounds: Path, language: str, model_folder: Path, seed: int) -> int:
    """Print and return how many of 20 codes, every other one with a repeated digit, come out exactly."""
    model = WhisperModel(str(model_folder), device="cpu", compute_type="int8", cpu_threads=1)
    exact = 0
    for code in _codes(seed):
        segments, _ = model.transcribe(
            _played(sounds / language, code),
            language=language,
            beam_size=1,  # wider beams like to leave out repeated digits
            temperature=0.0,
            initial_prompt=_EXAMPLES.get(language),
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        text = "".join(segment.text for segment in segments)
        exact += _digits(text) == code
        print(f"{language} {code} {'ok' if _digits(text) == code else text[:60]}", flush=True)
    print(f"{language}: {exact} of {CODES} exact")
    return exact


def _codes(seed: int) -> list[str]:
    chosen = random.Random(seed)
    found = []
    for number in range(CODES):
        digits = chosen.choices("0123456789", k=6)
        if number % 2:
            place = chosen.randrange(1, 6)
            digits[place] = digits[place - 1]
        found.append("".join(digits))
    return found


def _played(folder: Path, code: str) -> Samples:
    """What a callee's telephone plays."""
    with (folder / "language.toml").open("rb") as file:
        table = tomllib.load(file)
    lead = next(name for name in table["phrases"].values() if name.endswith("/your-verification-code-is"))
    parts = [(folder / f"{lead}.ulaw").read_bytes(), b"\xff" * 8 * 300]
    parts += [(folder / f"{table['digits'][digit]}.ulaw").read_bytes() for digit in code]
    return as_heard(np.frombuffer(decode_ulaw(b"".join(parts)), dtype="<i2") / 32768)


def as_heard(played: Samples) -> Samples:
    """Between 200 and 500 ms of an idle line, with its noise, at the 16 kHz that the recogniser takes."""
    pcm = np.concatenate([np.zeros(1600), played, np.zeros(4000)])
    noise = np.random.default_rng(1).normal(0, 10 ** (_LINE_NOISE_DB / 20), len(pcm))
    spectrum = np.fft.rfft(pcm + noise)
    return (2 * np.fft.irfft(spectrum, 2 * len(pcm))).astype(np.float32)


def _digits(text: str) -> str:
    """The digits of a transcript, however they are written."""
    found = re.findall("|".join([*_WORDS, "[0-9]"]), text.lower())
    return "".join(_WORDS.get(word, word) for word in found)
