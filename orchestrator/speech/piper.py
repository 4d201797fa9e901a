"""Piper (piper-tts): neural voices, near to a person's, a third of a second a sentence and one to load."""

import shutil
import sys
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.prompts.tags import fallbacks
from orchestrator.speech.engines import Manner, Plan, file_identity, find_program, missing
from orchestrator.speech.settings import Piper

NAME: Final = "piper"
INSTALL: Final = "pip install 'call-orchestrator[speech-piper]'"
_MAX_CONFIG: Final = 1 << 20


class _Tongue(msgspec.Struct, frozen=True):
    code: str = ""


class _Espeak(msgspec.Struct, frozen=True):
    voice: str = ""


class _VoiceFile(msgspec.Struct, frozen=True):
    """`<voice>.onnx.json`: the language as `en_US`; older files have espeak's name of it alone."""

    language: _Tongue = _Tongue()
    espeak: _Espeak = _Espeak()


class PiperTts:
    """The program `piper`, and the voice files that the configuration names."""

    name = NAME

    def __init__(self, settings: Piper, folder: Path) -> None:
        self._asked_for = settings.program
        self._program = find_program(settings.program, folder)
        if self._program is None and "/" not in settings.program:
            # Beside our own Python, where pip puts it, though that folder need not be in PATH.
            self._program = shutil.which(settings.program, path=str(Path(sys.executable).parent))
        self._voices = {
            name: folder / Path(file).expanduser() for name, file in sorted(settings.voices.items())
        }

    def found(self) -> str:
        """Where it is, and its voices. Raises `EngineMissing`."""
        self._need_voices()
        program = self._found_program()
        for name in self._voices:
            self._tags(name)
        return f"{program}; voices {', '.join(self._voices)}"

    def plan(self, manner: Manner) -> Plan:
        """Raises `EngineMissing`."""
        self._need_voices()
        program = self._found_program()
        if manner.pitch:
            raise missing(
                f"{NAME} cannot change the pitch", "take pitch out of <prosody>, or use espeak-ng there"
            )
        voice = self._voice(manner)
        file = self._voices[voice]
        # Its own random numbers make each rendering a little different, which the cache hides.
        options = ("--length-scale", f"{1 / manner.rate:.3f}", "--sentence-silence", "0.25")
        return Plan(
            argv=(program, "-m", str(file), *options, "-f", "-"),
            identity=f"{file_identity(program, file)} {options}",
            voice=voice,
        )

    def _need_voices(self) -> None:
        if not self._voices:
            raise missing(
                f"{NAME} has no voice configured",
                'name one: [speech.piper] voices = {joe = "en_US-joe-medium.onnx"}',
            )

    def _found_program(self) -> str:
        if self._program is None:
            raise missing(f"{NAME} is not here: there is no program {self._asked_for}", INSTALL)
        return self._program

    def _voice(self, manner: Manner) -> str:
        if manner.voice is not None:
            if manner.voice not in self._voices:
                raise missing(f'{NAME} has no voice "{manner.voice}"', "add it to [speech.piper] voices")
            self._tags(manner.voice)
            return manner.voice
        wanted = list(fallbacks(manner.language))
        for tag in wanted:
            for name in self._voices:
                if tag in self._tags(name):
                    return name
        raise missing(
            f"{NAME} has no voice for {manner.language}", "add one to [speech.piper] voices, or use another"
        )

    def _tags(self, name: str) -> list[str]:
        """The tags of a voice's language: en-us and en. Raises `EngineMissing` for an unfit file."""
        file = self._voices[name]
        described = Path(f"{file}.json")
        if not file.is_file():
            raise missing(f"{NAME}: there is no voice file {file}", f"correct [speech.piper] voices.{name}")
        try:
            if described.stat().st_size > _MAX_CONFIG:
                raise missing(f"{NAME}: {described} is too large", "get it again")
            about = msgspec.json.decode(described.read_bytes(), type=_VoiceFile)
        except (OSError, msgspec.DecodeError):
            raise missing(
                f"{NAME}: {described} cannot be read", "put the voice's .onnx.json beside its .onnx"
            ) from None
        tag = (about.language.code or about.espeak.voice).replace("_", "-").lower()
        return [tag, tag.partition("-")[0]]
