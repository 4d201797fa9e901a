"""What systemd is told, and when."""

import asyncio
import configparser
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Worker
from orchestrator.systemd import keep_alive, tell, watchdog_seconds

UNIT = Path(__file__).parents[1] / "systemd" / "orchestrator.service"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def test_each_line_is_told_in_one_datagram(manager: socket.socket) -> None:
    tell("READY=1", "STATUS=working", environ={"NOTIFY_SOCKET": manager.getsockname()})
    assert manager.recv(1024) == b"READY=1\nSTATUS=working"


def test_an_abstract_socket_is_reached_by_its_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"orchestrator-{os.getpid()}"
        sock.bind("\0" + name)
        sock.settimeout(10)
        tell("READY=1", environ={"NOTIFY_SOCKET": "@" + name})
        assert sock.recv(1024) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    tell("READY=1", environ=environ)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_is_meant_for_this_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(environ) == seconds


async def test_a_loop_that_turns_shows_it_several_times_within_the_watchdogs_patience(
    manager: socket.socket,
) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000"}
    task = asyncio.create_task(keep_alive(environ))
    for _ in range(3):
        assert await asyncio.to_thread(manager.recv, 1024) == b"WATCHDOG=1"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_the_unit_gives_a_drain_its_time_and_starts_again_whatever_happened() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert float(service["TimeoutStopSec"]) >= 2 * Worker().drain_timeout + 10
    assert service["Restart"] == "always"
    assert service["NoNewPrivileges"] == "yes"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "orchestrator.service"
    copy.write_text(UNIT.read_text().replace("/opt/orchestrator/bin/orchestrator", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert "orchestrator.service" not in done.stderr, done.stderr
