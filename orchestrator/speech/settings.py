"""What an operator may say about speech engines: the section `[speech]`."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Annotated

import msgspec
from msgspec import Meta

from orchestrator.prompts.errors import LanguageInvalid
from orchestrator.prompts.tags import fallbacks
from orchestrator.speech.unfit import is_unfit_for_espeak

ESPEAK = "espeak-ng"
PIPER = "piper"
KOKORO = "kokoro"
BUILT_IN = (KOKORO, PIPER, ESPEAK)
PLACEHOLDERS = ("{voice}", "{language}", "{rate}", "{pitch}", "{output}")

EngineName = Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{1,32}(?![\s\S])")]
VoiceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+\-]{0,63}(?![\s\S])")]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Espeak(_Section, frozen=True, kw_only=True):
    """espeak-ng, a small program of most distributions."""

    program: str = "espeak-ng"


class Piper(_Section, frozen=True, kw_only=True):
    """Piper: neural voices, each a file of its own."""

    program: str = "piper"
    voices: dict[VoiceName, str] = {}
    """Each voice's `.onnx` file by the name it is to have here; its `.onnx.json` lies beside it."""


class Kokoro(_Section, frozen=True, kw_only=True):
    """Kokoro-82M: one model with many voices."""

    model: str | None = None
    voices: str | None = None
    """The file of its voices, `voices-v1.0.bin`."""
    python: str | None = None
    """The Python that has kokoro-onnx; this one when not given."""


class Command(_Section, frozen=True, kw_only=True):
    """Any program that speaks: text in UTF-8 on standard input, WAV on standard output or in `{output}`."""

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The program and its arguments, which may hold `{voice}`, `{language}`, `{rate}` (1 is as usual),
    `{pitch}` (semitones), `{output}`. No shell reads it."""
    languages: tuple[str, ...] = ()
    """The languages that it speaks without a `[speech.languages.…]`."""
    version: str = ""
    """Change it when the program's voice changes: sounds of another version are not used any more."""


class Spoken(_Section, frozen=True, kw_only=True):
    """Which engine speaks a language, and with which voice."""

    engine: EngineName
    voice: VoiceName | None = None


class Speech(_Section, frozen=True, kw_only=True):
    """The engines, and the folder for what they render."""

    enabled: bool = True
    folder: str | None = None
    """Where rendered sounds are kept and the PBX reads them, as its `orchestrator/speech`."""
    max_megabytes: Annotated[int, Meta(ge=1, le=1_000_000)] = 2048
    timeout: Annotated[float, Meta(gt=0, le=120)] = 30.0
    """Seconds that an engine gets for one text."""
    max_characters: Annotated[int, Meta(ge=1, le=5000)] = 1000
    """The longest text."""
    parallel: Annotated[int, Meta(ge=1, le=64)] = 2
    """Texts that are rendered at the same time."""
    espeak: Espeak | None = None
    piper: Piper | None = None
    kokoro: Kokoro | None = None
    commands: dict[EngineName, Command] = {}
    languages: dict[str, Spoken] = {}


def faults_of_speech(speech: Speech) -> Iterator[tuple[str, str]]:
    """What of the section will not do: key and fault."""
    for name, command in speech.commands.items():
        if name in BUILT_IN:
            yield f"commands.{name}", f"`{name}` is an engine of its own; choose another name."
        for part in command.command:
            left = part
            for known in PLACEHOLDERS:
                left = left.replace(known, "")
            if "{" in left or "}" in left:
                said = f"braces are for {', '.join(PLACEHOLDERS)} only."
                yield f"commands.{name}.command", said
        yield from _faults_of_tags(f"commands.{name}.languages", command.languages)
    yield from _faults_of_languages(speech.languages, {*BUILT_IN, *speech.commands})
    if speech.folder is not None and PurePath(speech.folder).name != "speech":
        yield "folder", "must end in `speech`: the PBX plays what is in it as `orchestrator/speech/…`."
    kokoro = speech.kokoro
    if kokoro is not None and (kokoro.model is None) != (kokoro.voices is None):
        yield "kokoro", "needs both: `model` and `voices`."


def _faults_of_languages(languages: Mapping[str, Spoken], engines: set[str]) -> Iterator[tuple[str, str]]:
    yield from _faults_of_tags("languages", tuple(languages))
    for tag, spoken in languages.items():
        if spoken.engine not in engines:
            yield f"languages.{tag}.engine", f"no such engine; there are {', '.join(sorted(engines))}."
        elif spoken.engine == ESPEAK and is_unfit_for_espeak(tag):
            said = "espeak-ng's is not understood by those who speak it; use kokoro, piper or a command."
            yield f"languages.{tag}.engine", said


def _faults_of_tags(at: str, tags: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for tag in tags:
        try:
            next(fallbacks(tag))
        except LanguageInvalid as error:
            yield at, f"{error.what}: {error.mend}."
