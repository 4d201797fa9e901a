"""An engine of one's own: a small Python program that beeps, and tells how often it was run."""

from __future__ import annotations

import hmac
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.speech import SpeechEngine, open_engine
from orchestrator.speech.settings import Command, Speech

BEEP = """
import array, math, os, pathlib, sys, wave
folder = pathlib.Path(__file__).parent
text = sys.stdin.buffer.read()
(folder / f"run-{os.getpid()}").write_bytes(text)
exec((folder / "also.py").read_text())
rate = 16000
tone = array.array("h", [round(9000 * math.sin(at / rate * 6.283 * 440)) for at in range(rate // 2)])
with wave.open(sys.argv[1] if len(sys.argv) > 1 else sys.stdout.buffer, "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(bytes(6400) + tone.tobytes() + bytes(6400))
"""


class Beeper:
    """The program, and the engine that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sounds = folder / "sounds" / "speech"
        self.program = folder / "beep"
        self.program.write_text(f"#!{sys.executable} -S\n{BEEP}")
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        (folder / "sounds").mkdir()
        self.does("")

    def does(self, code: str) -> None:
        """What the program does besides: Python code."""
        (self.folder / "also.py").write_text(code)

    @property
    def texts(self) -> list[str]:
        """What it was given to say, one text a run."""
        return [path.read_text("utf-8") for path in self.folder.glob("run-*")]

    def engine(self, command: tuple[str, ...] = (), **settings: Any) -> SpeechEngine:
        """The engine, speaking English with this program."""
        beep = Command(command=(str(self.program), *command), languages=("en",))
        made = open_engine(
            Speech(commands={"beep": beep}, **settings),
            folder=self.sounds,
            formats=("wav", "ulaw", "alaw"),
            fingerprint=fingerprint,
            root=self.folder,
        )
        assert made is not None
        return made


def fingerprint(content: bytes) -> bytes:
    """As a worker's seal makes it."""
    return hmac.digest(b"k" * 32, content, "sha256")


@pytest.fixture
def beeper(tmp_path: Path) -> Beeper:
    return Beeper(tmp_path)


OpenEspeak = Callable[..., SpeechEngine]


@pytest.fixture
def open_espeak(tmp_path: Path) -> OpenEspeak:
    """Engines as they are found on this machine."""

    def opened(settings: Speech | None = None) -> SpeechEngine:
        made = open_engine(
            settings or Speech(),
            folder=tmp_path / "speech",
            formats=("wav",),
            fingerprint=fingerprint,
            root=tmp_path,
        )
        assert made is not None
        return made

    return opened
