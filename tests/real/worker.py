"""A whole worker as an operator runs it, in front of a real lab: its own process, ledger and receiver.

The receiver checks every signature with the public `standardwebhooks` package before it believes a word.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from orchestrator.prompts import packaged_root
from tests.real.backends import Backend
from tests.real.lab import LabInfo

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
Event = dict[str, Any]
Far = LabInfo | Backend
"""What a worker calls through."""


def free_port() -> int:
    """A TCP port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Receiver:
    """Takes notifications, verified and in the order in which they came."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.bodies: list[bytes] = []
        self._news = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = Webhook(SECRET).verify(body, dict(self.headers.items()))
                with receiver._news:
                    receiver.bodies.append(body)
                    receiver.events.append(event)
                    receiver._news.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, enough: Callable[[list[Event]], bool], seconds: float) -> None:
        """Wait until what came is `enough`."""
        with self._news:
            if not self._news.wait_for(lambda: enough(self.events), seconds):
                got = [(event["type"], event.get("subject")) for event in self.events]
                raise AssertionError(f"not enough within {seconds} s; got {got}")

    def of(self, job: str) -> list[Event]:
        """A job's notifications, in the order in which they came."""
        with self._news:
            return [event for event in self.events if event.get("subject") == job]

    def cdrs(self) -> list[dict[str, Any]]:
        """Every call record that came."""
        with self._news:
            batches = [event["data"]["records"] for event in self.events if event["type"] == "cdr"]
        return [record for batch in batches for record in batch]


@dataclasses.dataclass
class House:
    """A running worker with all that belongs to it."""

    folder: Path
    config: Path
    receiver: Receiver
    process: subprocess.Popen[bytes]
    listen: str

    def orchestrator(
        self, *arguments: str, input: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line with this configuration."""
        command = [sys.executable, "-m", "orchestrator", *arguments, "-c", str(self.config)]
        return subprocess.run(
            command, input=input, capture_output=True, text=True, check=False, timeout=timeout
        )

    def submit(self, jobs: Sequence[dict[str, Any]]) -> list[str]:
        """Submit jobs as JSON lines; their ids."""
        done = self.orchestrator("submit", "-", input="\n".join(json.dumps(job) for job in jobs))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def wait_ended(self, jobs: Sequence[str], seconds: float = 60) -> None:
        """Wait until each job's verdict and each call's record were received."""
        wanted = set(jobs)

        def over(events: list[Event]) -> bool:
            ended = {event["subject"] for event in events if event["type"] == "job.ended"}
            records = sum(len(event["data"]["records"]) for event in events if event["type"] == "cdr")
            hung_up = sum(event["type"] == "call.hangup" for event in events)
            return wanted <= ended and records >= hung_up

        self.receiver.wait(over, seconds)

    def stop(self) -> int:
        """Ask the worker to stop, as systemd would; its exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now, 0 when it has none yet."""
        with urllib.request.urlopen(f"http://{self.listen}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        wanted = name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")
        found = (line.rpartition(" ") for line in text.splitlines())
        return next((float(value) for series, _, value in found if series == wanted), 0.0)

    @property
    def log(self) -> str:
        """All that the worker has printed."""
        return (self.folder / "worker.log").read_text(errors="replace")


def install_sounds(lab: Far) -> None:
    """Put the package's sounds where this lab's Asterisk reads them."""
    shutil.copytree(packaged_root(), lab.sounds / "orchestrator", dirs_exist_ok=True)


def write_config(
    lab: Far | tuple[Far, Far], folder: Path, notify_url: str, listen: str, **pbx: object
) -> Path:
    """A configuration for one lab or two, in `folder`; `pbx` overrides keys of their [[pbx]] sections. A
    folder `templates` in there is the operator's own."""
    labs = {"lab": lab[0], "second": lab[1]} if isinstance(lab, tuple) else {"lab": lab}
    nodes = (line for name, lab in labs.items() for line in _node(name, lab, listen, pbx))
    path = folder / "orchestrator.toml"
    path.write_text(
        "\n".join(
            [
                "[worker]",
                'name = "test"',
                *nodes,
                "[notify]",
                f'url = "{notify_url}"',
                f'secret = "{SECRET}"',
                "cdr_interval = 0.5",
                "[http]",
                f'listen = "{listen}"',
                *(("[prompts]", 'templates = "templates"') if (folder / "templates").is_dir() else ()),
            ]
        )
        + "\n"
    )
    return path


def _node(name: str, lab: Far, listen: str, pbx: Mapping[str, object]) -> list[str]:
    settings: dict[str, object] = {
        "name": name,
        **lab.node_keys(),
        "app": f"orchestrator-{os.getpid()}-{listen.rpartition(':')[2]}",
        "max_cps": 50,
        "max_calls": 200,
        "caller_ids": ["+12025550199"],
        **pbx,
    }
    return ["[[pbx]]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]


@contextlib.contextmanager
def worker_on(lab: Far, folder: Path, second: Far | None = None, **pbx: object) -> Iterator[House]:
    """A worker on this lab, and on a `second` one, ready to dial, until the block ends."""
    labs = lab if second is None else (lab, second)
    for each in (lab, second):
        if each is not None:
            install_sounds(each)
    listen = f"127.0.0.1:{free_port()}"
    with Receiver() as receiver, (folder / "worker.log").open("wb") as log:
        config = write_config(labs, folder, receiver.url, listen, **pbx)
        command = [sys.executable, "-m", "orchestrator", "run", "-c", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        house = House(folder, config, receiver, process, listen)
        try:
            wait_ready(house)
            yield house
            if process.poll() is None:
                assert house.stop() == 0, house.log
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_ready(house: House, seconds: float = 20) -> None:
    """Wait until the worker says that it can make calls."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and house.process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://{house.listen}/readyz", timeout=2).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"the worker did not become ready:\n{house.log}")
