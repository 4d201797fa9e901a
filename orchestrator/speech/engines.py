"""What each engine needs, which languages it speaks well enough, and the command line of one text.

Every engine is a program of its own. A plan holds no text: that goes to the program's standard input.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from orchestrator.prompts.errors import EngineMissing
from orchestrator.speech.settings import Espeak, Kokoro, Piper, Speech


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a text is to be spoken. `rate`: 1 is as usual; `pitch` in semitones."""

    language: str
    voice: str | None = None
    rate: float = 1.0
    pitch: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a program speaks it: its arguments, what it needs around it, and what its sound depends on."""

    argv: tuple[str, ...]
    identity: str
    """Changes whenever the same text would sound different: the program, the voice, the manner."""
    voice: str
    environment: Mapping[str, str] = {}


class Program(Protocol):
    """One engine."""

    @property
    def name(self) -> str:
        """As the configuration calls it."""

    def found(self) -> str:
        """What was found of it, for the operator. Raises `EngineMissing`, with the mend."""

    def plan(self, manner: Manner) -> Plan:
        """How it speaks in this manner. Raises `EngineMissing`: it is not here, does not speak the language
        well enough, has no such voice, or cannot change its rate or pitch."""


def missing(what: str, mend: str) -> EngineMissing:
    """The error of an engine that cannot be had."""
    return EngineMissing(what, mend)


def find_program(name: str, folder: Path) -> str | None:
    """The full path of a program: one with a slash starts at `folder`, any other is looked for in PATH."""
    if "/" in name:
        return shutil.which(str(folder / Path(name).expanduser()))
    return shutil.which(name)


def file_identity(*paths: str | Path) -> str:
    """Changes when one of these files is replaced."""
    found = []
    for path in paths:
        try:
            status = Path(path).resolve().stat()
            found.append(f"{path}:{status.st_size}:{status.st_mtime_ns}")
        except OSError:
            found.append(f"{path}:-")
    return "|".join(found)


def programs(speech: Speech, folder: Path) -> tuple[Program, ...]:
    """Every engine, the better ones first. Paths start at `folder`."""
    from orchestrator.speech.command import CommandLine
    from orchestrator.speech.espeak import EspeakNg
    from orchestrator.speech.kokoro import KokoroOnnx
    from orchestrator.speech.piper import PiperTts

    own: Sequence[Program] = [
        CommandLine(name, command, folder) for name, command in sorted(speech.commands.items())
    ]
    return (
        *own,
        KokoroOnnx(speech.kokoro or Kokoro(), folder),
        PiperTts(speech.piper or Piper(), folder),
        EspeakNg(speech.espeak or Espeak(), folder),
    )
