"""Kokoro-82M (kokoro-onnx): the best understood, and the only one of these that speaks Mandarin well."""

import importlib.util
import sys
import zipfile
from pathlib import Path
from typing import Final

from orchestrator.speech.engines import Manner, Plan, file_identity, find_program, missing
from orchestrator.speech.settings import Kokoro

NAME: Final = "kokoro"
INSTALL: Final = "pip install 'call-orchestrator[speech-kokoro]'"
VOICES: Final = {
    "en": "af_heart",
    "zh": "zf_xiaoxiao",
    "es": "ef_dora",
    "fr": "ff_siwis",
    "hi": "hf_alpha",
    "it": "if_sara",
    "pt": "pf_dora",
}
"""The voice of each language when none is asked for. Japanese is left out: its readings want a dictionary."""
_LETTERS: Final = {"en": "ab", "zh": "z", "es": "e", "fr": "f", "hi": "h", "it": "i", "pt": "p"}
_SPEAKS: Final = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "p": "pt-br"}
_CHILD: Final = Path(__file__).with_name("kokoro_child.py")


class KokoroOnnx:
    """The package kokoro-onnx, in this Python or another one, with a model and its voices in files."""

    name = NAME

    def __init__(self, settings: Kokoro, folder: Path) -> None:
        self._model = folder / Path(settings.model).expanduser() if settings.model else None
        self._voices = folder / Path(settings.voices).expanduser() if settings.voices else None
        self._asked_for = settings.python
        self._python = find_program(settings.python, folder) if settings.python else sys.executable
        self._names: frozenset[str] | None = None

    def found(self) -> str:
        """Where its model is. Raises `EngineMissing`."""
        return str(self._parts()[1])

    def _parts(self) -> tuple[str, Path, Path]:
        """Its Python, model and voices. Raises `EngineMissing`."""
        if self._model is None or self._voices is None:
            raise missing(f"{NAME} has no model configured", "set [speech.kokoro] model and voices")
        for file in (self._model, self._voices):
            if not file.is_file():
                raise missing(f"{NAME}: there is no file {file}", "correct [speech.kokoro]")
        if self._python is None:
            raise missing(f"{NAME}: there is no program {self._asked_for}", "correct [speech.kokoro] python")
        if self._asked_for is None and importlib.util.find_spec("kokoro_onnx") is None:
            raise missing(f"{NAME} is not here: no package kokoro-onnx", INSTALL)
        return self._python, self._model, self._voices

    def plan(self, manner: Manner) -> Plan:
        """Raises `EngineMissing`."""
        python, model, voices = self._parts()
        if manner.pitch:
            raise missing(
                f"{NAME} cannot change the pitch", "take pitch out of <prosody>, or use espeak-ng there"
            )
        voice = self._voice(manner, voices)
        language = _SPEAKS.get(voice[0], "zh")
        if language == "zh" and self._asked_for is None and importlib.util.find_spec("misaki") is None:
            raise missing(f"{NAME} speaks no Mandarin without the package misaki[zh]", INSTALL)
        return Plan(
            argv=(
                python, "-I", str(_CHILD), str(model), str(voices), voice, language,
                f"{manner.rate:g}",
            ),
            identity=f"{file_identity(model, voices)} {voice} {manner.rate:g}",
            voice=voice,
        )  # fmt: skip

    def _voice(self, manner: Manner, file: Path) -> str:
        family = manner.language.lower().partition("-")[0]
        if family not in VOICES:
            raise missing(f"{NAME} does not speak {manner.language}", "use another engine for it")
        if self._names is None:
            try:
                with zipfile.ZipFile(file) as voices:
                    self._names = frozenset(name.removesuffix(".npy") for name in voices.namelist())
            except (OSError, zipfile.BadZipFile):
                raise missing(f"{NAME}: {file} is no file of voices", "get voices-v1.0.bin again") from None
        voice = manner.voice or VOICES[family]
        if voice not in self._names or voice[0] not in _LETTERS[family]:
            raise missing(
                f'{NAME} has no voice "{voice}" of {manner.language}',
                "name another one in [speech.languages] or <voice>",
            )
        return voice
