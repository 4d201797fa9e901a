"""Workers on one shared ledger: all of them work, each under a name of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.real.lab import REPO

Process = subprocess.Popen[bytes]
LOOK: Final = 0.02
UNREACHABLE: Final = 3
"""Exit code of a worker that is started while PostgreSQL is down."""


class SharedCrew:
    """Started as an operator would, killed and stopped by `which`: a number from 0 up to 1 that picks one."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._alive: dict[str, Process] = {}
        self._started = 0
        self.kills = 0
        self.stops = 0
        self.stop_codes: list[int] = []
        self.ended_alone = 0
        """How often a worker ended by itself, not killed and not told to."""
        self.unreachable = 0
        """How often one that was started said that the ledger cannot be reached, and ended."""

    def __len__(self) -> int:
        return len(self._alive)

    def spawn(self, name: str = "") -> None:
        """Start one more worker, under `name` or a new one."""
        if not name:
            self._started += 1
            name = f"w{self._started}"
        with (self._folder / f"{name}.log").open("ab") as log:
            self._alive[name] = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", "run", "-c", str(self._config)],
                stdout=log,
                stderr=log,
                cwd=REPO,
                env={**os.environ, "ORCHESTRATOR__WORKER__NAME": name},
            )

    async def kill(self, which: float) -> str:
        """kill -9 one; its name."""
        name, process = self._pick(which)
        process.kill()
        await _gone(process, 10)
        self.kills += 1
        return name

    async def stop(self, which: float, seconds: float) -> str:
        """SIGTERM one, and wait until it has let go of its calls; its name."""
        name, process = self._pick(which)
        process.terminate()
        await self._ended(process, seconds)
        self.stops += 1
        return name

    def restart_ended(self) -> None:
        """Start those again that have ended by themselves, as systemd would."""
        for name, process in tuple(self._alive.items()):
            if process.poll() is not None:
                del self._alive[name]
                if process.returncode == UNREACHABLE:
                    self.unreachable += 1
                else:
                    self.ended_alone += 1
                self.spawn(name)

    async def stop_all(self, seconds: float) -> None:
        """Tell all to stop at the same time. Who does not is killed."""
        for process in self._alive.values():
            process.terminate()
        for process in self._alive.values():
            await self._ended(process, seconds)
        self.end()

    def end(self) -> None:
        """Nothing of it is left."""
        for process in self._alive.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        self._alive.clear()

    async def begun(self, seconds: float) -> bool:
        """Whether all can make calls, waiting for that for a while."""
        until = time.monotonic() + seconds
        while not all(b"pbx_ready" in self._said(name) for name in self._alive):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LOOK)
        return True

    def _said(self, name: str) -> bytes:
        return (self._folder / f"{name}.log").read_bytes()

    def _pick(self, which: float) -> tuple[str, Process]:
        name = sorted(self._alive)[int(which * len(self._alive))]
        return name, self._alive.pop(name)

    async def _ended(self, process: Process, seconds: float) -> None:
        self.stop_codes.append(process.returncode if await _gone(process, seconds) else -1)
        if process.poll() is None:
            process.kill()
            process.wait()


async def _gone(process: Process, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(LOOK)
    return True
