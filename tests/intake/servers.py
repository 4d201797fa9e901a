"""Real queue servers on free ports, each with its data in a folder of its own, killed and started again at
will. Every process is a child of ours, and gone when the block ends."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

Kind = Literal["redis", "amqp", "nats"]
BEGINS = {
    "redis": b"Ready to accept connections",
    "amqp": b"Server startup complete",
    "nats": b"Server is ready",
}
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
NEEDED = {"redis": "redis-server", "amqp": RABBITMQ, "nats": "nats-server"}


def missing(kind: str) -> str | None:
    """The program that a server of this kind needs and that is not there."""
    program = NEEDED.get(kind)
    return program if program is not None and shutil.which(program) is None else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server. What was written before `kill` is there after `start`."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        scheme = {"redis": "redis", "amqp": "amqp", "nats": "nats"}[kind]
        guest = "guest:guest@" if kind == "amqp" else ""
        self.url = f"{scheme}://{guest}127.0.0.1:{self.port}" + ("/" if kind == "amqp" else "")
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._beside: subprocess.Popen[bytes] | None = None
        self._environment = dict(os.environ)
        folder.mkdir(parents=True)
        if kind == "amqp":
            self._prepare_rabbitmq()

    def start(self, seconds: float = 60.0) -> None:
        """Start it, and wait until it serves."""
        began = self._log.stat().st_size if self._log.exists() else 0
        self._process = self._spawn(self._command())
        until = time.monotonic() + seconds
        while BEGINS[self.kind] not in self._log.read_bytes()[began:]:
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(
                    f"{self.kind} did not start:\n{self._log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.02)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, with all its children: as a crash would, or by the signal given."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and what runs beside it."""
        self.kill()
        if self._beside is not None:
            self._beside.kill()
            self._beside.wait()

    def _command(self) -> Sequence[str]:
        port, folder = str(self.port), str(self.folder)
        if self.kind == "redis":
            return (
                "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", folder, "--save", "",
                "--appendonly", "yes",
            )  # fmt: skip
        if self.kind == "nats":
            return ("nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", folder)
        return (RABBITMQ,)

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,
            )

    def _prepare_rabbitmq(self) -> None:
        """A node with its own name server (epmd), cookie, database and ports."""
        epmd, dist = free_port(), free_port()
        folder = self.folder.resolve()
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            "log.console.level = info\nvm_memory_high_watermark.absolute = 2GB\n"
        )
        settings: Mapping[str, str] = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"intake{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(dist),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._environment |= settings
        # In the foreground: left to itself the node would leave one behind as a daemon.
        self._beside = self._spawn(("epmd", "-port", str(epmd), "-address", "127.0.0.1"))


@contextlib.contextmanager
def serving(kind: Kind, folder: Path) -> Iterator[Server]:
    """A server, until the block ends."""
    server = Server(kind, folder)
    try:
        server.start()
        yield server
    finally:
        server.close()
