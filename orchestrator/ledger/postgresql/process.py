"""Which process somebody is, and whether it is dead for certain.

Of a process on this machine the kernel knows. Of one elsewhere, or in another container, nothing is known but
that it is silent.
"""

import os
import socket
from functools import cache
from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Process(msgspec.Struct, frozen=True):
    """A process. `where` is empty where the system does not say."""

    host: str
    pid: int
    where: str
    """The boot of the machine and the namespace in which `pid` counts."""
    began: str
    """When it was started, as the kernel counts: process ids are used again."""

    def text(self) -> str:
        """As the ledger keeps it."""
        return f"{self.where} {self.pid} {self.began}" if self.where else ""


@cache
def _where() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    # The command, in parentheses, may hold anything; the 20th field after it is `starttime` (proc(5)).
    stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    return stat.rpartition(")")[2].split()[19]


def this_process() -> Process:
    """Who we are."""
    pid = os.getpid()
    try:
        return Process(socket.gethostname(), pid, _where(), _began(pid))
    except OSError:
        return Process(socket.gethostname(), pid, "", "")


def is_dead(text: str) -> bool:
    """Whether the process of that `Process.text` is dead for certain."""
    try:
        where, pid, began = text.split(" ")
    except ValueError:
        return False
    if not where or where != _where():
        return False
    try:
        return _began(int(pid)) != began
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False
