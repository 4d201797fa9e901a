"""Processes as they are seen from outside: what they cost, whether they stand, how they are ended."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
"""Where `python -m bench.…` finds its module."""
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
"""What the benchmarks' webhooks are signed with."""


class Usage(msgspec.Struct, frozen=True):
    """What a process has used, as proc(5) tells it."""

    cpu_seconds: float
    """Of all its threads, in the kernel too."""
    rss_kb: int
    peak_rss_kb: int


TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds: the least CPU that /proc shows."""


def usage(pid: int | None) -> Usage:
    """What the process `pid` has used until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Usage(
        cpu_seconds=ticks * TICK,
        rss_kb=int(status["VmRSS"].split()[0]),
        peak_rss_kb=int(status["VmHWM"].split()[0]),
    )


@contextlib.contextmanager
def process(command: Sequence[str], log: Path, patience: float = 60.0) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the block. What it says goes to `log`. It is told to stop by SIGTERM,
    and killed when it has not after `patience` seconds, or when the block fails."""
    with log.open("wb") as out:
        running = subprocess.Popen(list(command), stdout=out, stderr=out, cwd=ROOT)
    try:
        yield running
        running.send_signal(signal.SIGTERM)
        running.wait(patience)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_ready(listen: str, worker: subprocess.Popen[bytes]) -> None:
    """Wait until the worker that listens there can make calls. Raises RuntimeError after half a minute."""
    until = time.monotonic() + 30
    while time.monotonic() < until and worker.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://{listen}/readyz", timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError("the worker did not become ready; see its log")


def metrics(listen: str) -> str:
    """What the worker that listens there tells Prometheus."""
    with urllib.request.urlopen(f"http://{listen}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text
