"""The worker processes: started as an operator would, killed as nobody would."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from tests.real.lab import REPO

Process = subprocess.Popen[bytes]
LOOK = 0.02
AGAIN = 0.3
"""Seconds until a worker that ended by itself is started again, as systemd would."""


class Crew:
    """One worker has the ledger, the others stand by. Each has a name of its own."""

    def __init__(self, config: Path, ledger: Path, listen: str, folder: Path) -> None:
        self._config = config
        self._ledger = ledger
        self._listen = listen
        self._folder = folder
        self._alive: dict[str, Process] = {}
        self._armed: tuple[str, str] | None = None
        self._woken = ""
        self._started = 0
        self.kills = 0
        self.kills_at: dict[str, int] = {}
        self.yielded = 0
        """How often a worker woke up, found another in its place, and ended."""
        self.ended_alone = 0
        """How often a worker ended by itself otherwise, not killed and not told to."""

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._alive.values()]

    def __len__(self) -> int:
        return len(self._alive)

    def spawn(self, point: str = "", nth: int = 1) -> None:
        """Start one more worker; with `point` it kills itself there."""
        program = ["tests.chaos.launcher", f"{point}:{nth}"] if point else ["orchestrator"]
        self._started += 1
        name = f"w{self._started}"
        with (self._folder / f"{name}.log").open("wb") as log:
            self._alive[name] = subprocess.Popen(
                [sys.executable, "-m", *program, "run", "-c", str(self._config)],
                stdout=log,
                stderr=log,
                cwd=REPO,
                env={**os.environ, "ORCHESTRATOR__WORKER__NAME": name},
            )
        if point:
            self._armed = (name, point)

    async def kill(self) -> bool:
        """kill -9 the one that has the ledger; one that is to die by itself is left to that, and another dies
        for it. Whether the one that died had the ledger."""
        owner = await self._owner()
        armed = self._armed[0] if self._armed is not None else None
        name = next((name for name in (owner, *self._alive) if name in self._alive and name != armed), None)
        if name is None:
            return False
        await self._bury(name, "random")
        return name == owner

    async def await_death(self, seconds: float) -> bool:
        """Until the worker that was started with a point has killed itself; after `seconds` it is killed.
        Whether it had the ledger."""
        if self._armed is None:
            return False
        name, point = self._armed
        process = self._alive[name]
        itself = await self.gone(process, seconds) and process.returncode == -signal.SIGKILL
        worked = itself or await self._owner() == name
        self._armed = None
        await self._bury(name, point if itself else "random")
        return worked

    async def stand_by(self, seconds: float) -> None:
        """Until each has found its place: it works, or it stands by."""
        for _ in range(int(seconds / LOOK)):
            if all(self._has_begun(name) for name in self._alive):
                return
            await asyncio.sleep(LOOK)

    def _has_begun(self, name: str) -> bool:
        said = (self._folder / f"{name}.log").read_bytes()
        return b"worker_standing_by" in said or b"worker_starting" in said

    async def freeze(self) -> None:
        """SIGSTOP the one that has the ledger."""
        name = await self._owner()
        if name is not None:
            self._alive[name].send_signal(signal.SIGSTOP)
            self._woken = name

    def thaw(self) -> None:
        """Let the frozen one go on. When another has the ledger by now, it ends, and is started again."""
        if self._woken in self._alive:
            self._alive[self._woken].send_signal(signal.SIGCONT)

    def restart_ended(self) -> None:
        """Start those again that have ended by themselves."""
        for name, process in tuple(self._alive.items()):
            if process.poll() is not None and (self._armed is None or self._armed[0] != name):
                del self._alive[name]
                if name == self._woken:
                    self.yielded += 1
                else:
                    self.ended_alone += 1
                self.spawn()

    async def ready(self, http: aiohttp.ClientSession) -> bool:
        """Whether the worker says that it can make calls."""
        try:
            async with http.get(f"http://{self._listen}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def stop(self, seconds: float) -> list[int]:
        """Tell all to stop, the one that works last; their exit codes. Who does not is killed."""
        codes, owner = [], await self._owner()
        for name in sorted(self._alive, key=lambda name: name == owner):
            process = self._alive[name]
            process.terminate()
            codes.append(process.returncode if await self.gone(process, seconds) else -1)
        self.end()
        return codes

    def end(self) -> None:
        """Nothing of it is left."""
        for process in self._alive.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        self._alive.clear()

    async def gone(self, process: Process, seconds: float) -> bool:
        """Whether it has ended, waiting for that for a while."""
        until = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LOOK)
        return True

    async def _bury(self, name: str, how: str) -> None:
        process = self._alive.pop(name)
        if process.poll() is None:
            process.kill()
            await self.gone(process, 10)
        self.kills += 1
        self.kills_at[how] = self.kills_at.get(how, 0) + 1

    async def _owner(self) -> str | None:
        """The worker that has the ledger; while it is not known, the one that lives longest."""
        name = await asyncio.to_thread(_read_owner, self._ledger)
        return name if name in self._alive else next(iter(self._alive), None)


def _read_owner(ledger: Path) -> str | None:
    try:
        db = sqlite3.connect(ledger, timeout=1.0)
        try:
            row = db.execute("SELECT worker FROM lease").fetchone()
        finally:
            db.close()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])
