"""A disk that can be filled: for root a small file system of its own, else a limit on how files may grow."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

PREFIX: Final = "orchestrator-chaos-"
MOUNTED: Final = re.compile(rf"^{PREFIX}(\d+) (\S+) tmpfs ", re.MULTILINE)


class Disk(Protocol):
    """Where the ledger lies."""

    folder: Path

    def fill(self, pids: Iterable[int]) -> None:
        """From now on nothing more can be written, by these processes at least."""
        ...

    def free(self, pids: Iterable[int]) -> None:
        """Make room again."""
        ...


class Tmpfs:
    """A file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, pids: Iterable[int]) -> None:
        with self._ballast.open("wb") as file:
            for _ in range(100):
                room = os.statvfs(self.folder)
                free = room.f_bavail * room.f_frsize
                if free == 0:
                    return
                with contextlib.suppress(OSError):  # others write meanwhile
                    os.posix_fallocate(file.fileno(), file.tell(), free)
                file.seek(0, os.SEEK_END)

    def free(self, pids: Iterable[int]) -> None:
        self._ballast.unlink(missing_ok=True)


class Limited:
    """An ordinary folder. Filled, no file may grow beyond what the ledger's largest one has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, pids: Iterable[int]) -> None:
        largest = max((file.stat().st_size for file in self.folder.iterdir()), default=0)
        self._limit(pids, largest)

    def free(self, pids: Iterable[int]) -> None:
        self._limit(pids, None)

    def _limit(self, pids: Iterable[int], size: int | None) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


@contextlib.contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A disk for the ledger in `folder`, for as long as the block runs."""
    folder.mkdir(parents=True)
    if os.getuid() != 0:
        yield Limited(folder)
        return
    unmount_abandoned()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", f"{PREFIX}{os.getpid()}"]
    done = subprocess.run([*mount, str(folder)], capture_output=True, check=False)
    if done.returncode:  # root, but not allowed to mount
        yield Limited(folder)
        return
    try:
        yield Tmpfs(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def unmount_abandoned() -> None:
    """Unmount what a run that was killed has left behind."""
    for pid, where in MOUNTED.findall(Path("/proc/mounts").read_text()):
        if not Path(f"/proc/{pid}").exists() and where.startswith(tempfile.gettempdir()):
            subprocess.run(["umount", "--lazy", where], check=False)
