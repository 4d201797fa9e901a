"""One lab by name: where its files lie, which ports it has, what lab.json says of it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
HOME = REPO / ".lab"

# Asterisk's user when root starts it. Outside the ranges of adduser, Debian and systemd, so that it is
# nobody else on this machine.
LAB_UID = 60900

RTP_BLOCK = 4000  # two ports a leg and two legs a call on the loop: 1,000 calls


class LabError(Exception):
    """The lab could not do what was asked. The text says what, and the mend; exit_code what to exit with."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclasses.dataclass(frozen=True)
class Ports:
    """Ports of one lab. The defaults are those written in asterisk-conf/."""

    ari: int = 8088
    sip: int = 5060
    rtp_start: int = 10000
    rtp_end: int = 19999
    sipp: int = 5070


@dataclasses.dataclass(frozen=True)
class Lab:
    """What lab.json holds: all that a client of a running lab needs to know."""

    mode: str
    name: str
    ari_url: str
    ari_username: str
    ari_password_file: str
    dial: str
    sipp_dial: str
    sip_port: int
    sipp_port: int
    rtp_start: int
    rtp_end: int
    recordings: str
    ari_recordings: str
    sounds: str
    log: str
    asterisk_version: str
    pid: int | None
    pid_started: str | None
    container: str | None

    @property
    def ports(self) -> Ports:
        ari = int(self.ari_url.rsplit(":", 1)[1].split("/")[0])
        return Ports(ari, self.sip_port, self.rtp_start, self.rtp_end, self.sipp_port)


@dataclasses.dataclass(frozen=True)
class Paths:
    """The folder of one lab, mounted piece by piece where Asterisk expects each piece."""

    root: Path

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def sounds(self) -> Path:
        return self.root / "sounds"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def varlib(self) -> Path:
        return self.root / "varlib"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def recordings(self) -> Path:
        return self.spool / "monitor"

    @property
    def ari_recordings(self) -> Path:
        return self.spool / "recording"

    @property
    def password(self) -> Path:
        return self.root / "ari_password"

    @property
    def state(self) -> Path:
        return self.root / "lab.json"

    @property
    def digest(self) -> Path:
        return self.root / "config.sha256"

    def writable(self) -> tuple[Path, ...]:
        """What Asterisk itself writes to."""
        return (self.spool, self.recordings, self.ari_recordings, self.varlib, self.log, self.run)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def paths_of(name: str) -> Paths:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name):
        raise LabError(f"lab name {name!r}: use 1-32 of a-z 0-9 _ -", 2)
    return Paths(HOME / name)


def read(name: str) -> Lab | None:
    """The lab as lab.json tells it, or None. Whether it still runs is another question."""
    try:
        return Lab(**json.loads(paths_of(name).state.read_text()))
    except FileNotFoundError:
        return None


def write(lab: Lab) -> None:
    write_private(paths_of(lab.name).state, json.dumps(dataclasses.asdict(lab), indent=2) + "\n")


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write whole or not at all, never readable by others, not even for a moment."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
        out.write(text)
    part.rename(path)


@contextlib.contextmanager
def locked(what: str) -> Iterator[None]:
    """Hold .lab/WHAT.lock, so that starts side by side wait for each other. Freed when the process ends."""
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{what}.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another lab command to finish ({what}) ...")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def all_labs() -> list[Lab]:
    names = sorted(found.parent.name for found in HOME.glob("*/lab.json"))
    return [lab for lab in map(read, names) if lab is not None]


def is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(name: str) -> Ports:
    """Ports that nobody has now and no other lab was given. Call it with the lock "ports" held."""
    others = (file for file in HOME.glob("*/ports.json") if file.parent.name != name)
    claimed = [Ports(**json.loads(file.read_text())) for file in others]
    taken = {port for other in claimed for port in (other.ari, other.sip, other.sipp)}
    # Below the range that the kernel hands out by itself, and clear of the defaults.
    candidates = iter(range(20000, 21000))

    def take(kind: socket.SocketKind) -> int:
        for port in candidates:
            if port not in taken and is_free(port, kind):
                return port
        raise LabError("no free port between 20000 and 20999; mend: take down labs (lab.py status)")

    ari, sip, sipp = take(socket.SOCK_STREAM), take(socket.SOCK_DGRAM), take(socket.SOCK_DGRAM)
    blocks = [21000 + RTP_BLOCK * n for n in range(10)]
    used = {other.rtp_start for other in claimed}
    start = next((block for block in blocks if block not in used), blocks[-1])
    return Ports(ari, sip, start, start + RTP_BLOCK - 1, sipp)
