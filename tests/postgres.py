"""A PostgreSQL server of the tests' own: in its own folder, on a Unix socket, for as long as they run."""

import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg

_PROGRAMS: Final = "/usr/lib/postgresql/*/bin"
_SETTINGS: Final = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Server:
    """A running server. A crash of the machine would lose data (`fsync` is off), one of the server not."""

    settings: Mapping[str, str] = _SETTINGS

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.ledger: str | None = None
        """A ledger that tests share, one after another."""
        self.made_databases = 0
        self._names = itertools.count(1)

    @classmethod
    def made(cls) -> "Server":
        """Make one and start it. As root it runs as `postgres`: it refuses to be root."""
        folder = Path(tempfile.mkdtemp(prefix="pg-"))
        server = cls(folder)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        os.chmod(folder, 0o711)  # noqa: S103 - the tests' user must reach the socket in it
        subprocess.run(
            [_program("initdb"), "-D", server._data, "-U", "orchestrator", "-A", "trust", "-E", "UTF8",
             "--no-locale", "--no-sync", "--no-instructions"],
            check=True, stdout=subprocess.DEVNULL, **_as_postgres(),
        )  # fmt: skip
        server.start()
        return server

    def url(self, database: str) -> str:
        """The address of one database."""
        return f"postgresql://orchestrator@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}".replace("''", "") for name, value in self.settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._data, "-k", self.folder, *options],
                stdout=log, stderr=log, **_as_postgres(),
            )  # fmt: skip
        until = time.monotonic() + 30
        while subprocess.run(
            [_program("pg_isready"), "-q", "-h", self.folder, "-U", "orchestrator", "-d", "postgres"],
            check=False,
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all sessions, SIGQUIT is as a crash. Sessions' own processes end with it."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def pause(self) -> None:
        """Have it stand still, as a machine does that is overloaded: the server and every session."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `pause`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            os.kill(each, number)

    async def database(self, template: str = "template1") -> str:
        """A new database. Its address."""
        self.made_databases = next(self._names)
        name = f"d{self.made_databases}"
        db = await asyncpg.connect(self.url("postgres"))
        try:
            await db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await db.close()
        return self.url(name)

    def remove(self) -> None:
        """Stop it and leave nothing."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)


def _program(name: str) -> str:
    found = sorted(glob.glob(f"{_PROGRAMS}/{name}")) or [shutil.which(name) or ""]
    if not found[-1]:
        raise RuntimeError(f"{name} is not installed: apt-get install postgresql")
    return found[-1]


def _as_postgres() -> dict[str, Any]:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def programs() -> Sequence[str]:
    """What must be there for all this."""
    return tuple(_program(name) for name in ("initdb", "postgres", "pg_isready"))
