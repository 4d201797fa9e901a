"""espeak-ng: understood in many languages, though nobody takes it for a person."""

import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Final

from orchestrator.prompts.tags import fallbacks
from orchestrator.speech.engines import Manner, Plan, file_identity, find_program, missing
from orchestrator.speech.settings import Espeak
from orchestrator.speech.unfit import is_unfit_for_espeak

NAME: Final = "espeak-ng"
INSTALL: Final = "install it (Debian, Ubuntu: apt-get install espeak-ng)"
_WORDS_A_MINUTE: Final = 165  # a little slower than its usual 175: a telephone takes the high notes away
_PREFERRED: Final = {"en": "en-us", "fr": "fr-fr"}  # for tags that are no name of a voice
_PITCHES: Final = ((-5.4, 0), (-4.9, 10), (-3.7, 20), (-2.3, 30), (0.0, 50), (4.7, 80), (6.6, 90), (8.3, 99))
"""Semitones, as measured on version 1.51, and the value of -p that makes them."""
_LIST_TIMEOUT: Final = 10.0


class EspeakNg:
    """The program espeak-ng, asked once which voices it has."""

    name = NAME

    def __init__(self, settings: Espeak, folder: Path) -> None:
        self._asked_for = settings.program
        self._program = find_program(settings.program, folder)
        self._voices: dict[str, str] | None = None

    def found(self) -> str:
        """Where it is. Raises `EngineMissing`."""
        if self._program is None:
            raise missing(f"{NAME} is not here: there is no program {self._asked_for}", INSTALL)
        return self._program

    def plan(self, manner: Manner) -> Plan:
        """Raises `EngineMissing`."""
        program = self.found()
        if is_unfit_for_espeak(manner.language):
            raise missing(
                f"{NAME} speaks {manner.language} so that nobody understands it",
                "use kokoro, piper or a command for it",
            )
        voice = self._voice(program, manner)
        speed = max(80, round(_WORDS_A_MINUTE * manner.rate))
        options = ("-b", "1", "-v", voice, "-s", str(speed), "-p", str(_pitch(manner.pitch)))
        return Plan(
            argv=(program, *options, "--stdin", "--stdout"),
            identity=f"{file_identity(program)} {options}",
            voice=voice,
        )

    def _voice(self, program: str, manner: Manner) -> str:
        voices = self._known(program)
        if manner.voice is not None:
            plain, _, variant = manner.voice.partition("+")
            if (
                is_unfit_for_espeak(plain)
                or plain.lower() not in voices
                or (variant and not variant.isalnum())
            ):
                raise missing(
                    f'{NAME} has no voice "{manner.voice}"', "see which there are: espeak-ng --voices"
                )
            return plain.lower() + (f"+{variant}" if variant else "")
        for tag in fallbacks(manner.language):
            found = tag if tag in voices else _PREFERRED.get(tag, "")
            if tag in _PREFERRED and _PREFERRED[tag] in voices:
                found = _PREFERRED[tag]
            if found in voices:
                return found
        raise missing(f"{NAME} does not speak {manner.language}", "use another engine for it")

    def _known(self, program: str) -> dict[str, str]:
        """Every name that a voice can be asked for by: its languages, and its file's name."""
        if self._voices is None:
            try:
                listed = subprocess.run(
                    [program, "--voices"],
                    capture_output=True,
                    timeout=_LIST_TIMEOUT,
                    check=True,
                    stdin=subprocess.DEVNULL,
                ).stdout.decode("utf-8", "replace")
            except (OSError, subprocess.SubprocessError) as error:
                why = type(error).__name__
                raise missing(f"{program} does not tell its voices ({why})", INSTALL) from None
            self._voices = _read_voices(listed)
        return self._voices


def _pitch(semitones: float) -> int:
    """The value of -p. It reaches from five semitones down to eight up; more is as much as it can."""
    for (low, below), (high, above) in pairwise(_PITCHES):
        if semitones <= high:
            part = max(0.0, (semitones - low) / (high - low))
            return round(below + part * (above - below))
    return _PITCHES[-1][1]


def _read_voices(listed: str) -> dict[str, str]:
    """` 5  en-us  --/M  English_(America)  gmw/en-US  (en 3)` is known as en-us, and also as en-US."""
    found = {}
    for line in listed.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 4:
            found[columns[1].lower()] = columns[4]
            found[columns[4].rpartition("/")[2].lower()] = columns[4]
    return found
