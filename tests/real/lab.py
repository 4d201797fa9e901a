"""A real Asterisk for tests: started by docker/lab.py as an operator would, on ports of its own.

Every test process has its own lab, so that runs side by side never meet. What a killed run has left behind is
cleared away by the next one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
SCRIPT = REPO / "docker" / "lab.py"
NOTHING_FITS = 3  # exit code of lab.py: neither Docker nor a chroot is possible here


class LabUnavailableError(Exception):
    """No lab can be had on this machine. The text says what is missing and the mend."""


class LabFailedError(Exception):
    """The lab should have worked and did not."""


@dataclasses.dataclass(frozen=True)
class LabInfo:
    """A running lab, as lab.json describes it. Paths are on this machine."""

    mode: str
    name: str
    ari_url: str
    ari_username: str
    ari_password_file: Path
    dial: str
    sipp_dial: str
    sip_port: int
    sipp_port: int
    rtp_start: int
    rtp_end: int
    recordings: Path
    ari_recordings: Path
    sounds: Path
    log: Path
    asterisk_version: str
    pid: int | None
    pid_started: str | None
    container: str | None

    @property
    def ari_password(self) -> str:
        return self.ari_password_file.read_text().strip()

    @property
    def ws_url(self) -> str:
        """The events WebSocket, without its query."""
        return self.ari_url.replace("http://", "ws://", 1) + "/events"

    def node_keys(self) -> dict[str, object]:
        """What a `[[pbx]]` section says of it."""
        return {
            "url": self.ari_url,
            "username": self.ari_username,
            "password_file": str(self.ari_password_file),
            "dial": self.dial,
        }

    def dial_string(self, number: str) -> str:
        """What reaches the lab's callee: the last four digits are enough."""
        return self.dial.format(number=f"1202555{number}" if len(number) == 4 else number)

    def recordings_of(self, number: str) -> list[Path]:
        """Recordings of one callee, oldest first."""
        full = f"1202555{number}" if len(number) == 4 else number
        return sorted(self.recordings.glob(f"{full}-*.wav"), key=lambda file: file.stat().st_mtime_ns)


def is_whole(wav: Path) -> bool:
    """Whether a recording is finished: its header tells the length that the file has."""
    data = wav.read_bytes()
    return len(data) > 44 and int.from_bytes(data[40:44], "little") == len(data) - 44


def whole_recording(lab: LabInfo, pattern: str, seconds: float = 10.0) -> Path:
    """The one recording of that name, once it is whole. It blocks."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = list(lab.recordings.glob(pattern))
        if len(found) == 1 and is_whole(found[0]):
            return found[0]
        time.sleep(0.01)
    raise LabFailedError(f"no whole recording {pattern} within {seconds} s in {lab.recordings}")


def wait_for_recording(lab: LabInfo, number: str, before: Collection[Path], seconds: float = 5.0) -> Path:
    """The recording that has come since `before` was listed, once it is whole. It blocks."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        new = [file for file in lab.recordings_of(number) if file not in before]
        if new and is_whole(new[0]):
            return new[0]
        time.sleep(0.01)
    raise LabFailedError(f"no whole recording of {number} within {seconds} s in {lab.recordings}")


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode == NOTHING_FITS:
        raise LabUnavailableError(done.stderr.strip())
    if done.returncode:
        raise LabFailedError(f"lab.py {' '.join(arguments)} exited {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout


def _info(text: str) -> LabInfo:
    fields: dict[str, Any] = json.loads(text)
    for field in dataclasses.fields(LabInfo):
        if field.type == "Path":
            fields[field.name] = Path(fields[field.name])
    return LabInfo(**fields)


def own_name(worker: str = "main") -> str:
    """A lab name that only this process uses."""
    return f"test-{worker}-{os.getpid()}"


def start_lab(name: str) -> LabInfo:
    """Bring up a lab on free ports.

    Raises:
        LabUnavailableError: no lab is possible on this machine.
        LabFailedError: it should have worked.
    """
    _clear_abandoned()
    return _info(_run("up", "--name", name, "--free-ports"))


def stop_lab(name: str) -> None:
    """Take a lab down and leave nothing of it."""
    _run("down", "--name", name, "--purge")


def kill_lab(name: str) -> None:
    """Kill Asterisk as a crash would."""
    _run("kill9", "--name", name)


def freeze_lab(name: str) -> None:
    """Stop Asterisk in its tracks: its sockets stay open and nothing answers."""
    _run("stop", "--name", name)


def thaw_lab(name: str) -> None:
    """Let a frozen Asterisk go on."""
    _run("cont", "--name", name)


def start_lab_again(name: str) -> LabInfo:
    """Start a killed lab with the same ports and password."""
    return _info(_run("start", "--name", name))


def lab_cli(name: str, command: str) -> str:
    """What Asterisk's own command line answers."""
    return _run("cli", "--name", name, "--", command)


def _clear_abandoned() -> None:
    for folder in (REPO / ".lab").glob("test-*-*"):
        found = re.fullmatch(r"test-\w+-(\d+)", folder.name)
        if found and folder.is_dir() and not Path(f"/proc/{found[1]}").exists():
            stop_lab(folder.name)
