"""SIPp as the callee of the benchmark: it answers every call and stays on until the caller hangs up."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SCENARIO = Path(__file__).with_name("uas.xml")


@dataclasses.dataclass(frozen=True)
class FarEnd:
    """A running SIPp."""

    port: int
    pid: int
    statistics: Path

    def totals(self) -> dict[str, int]:
        """Calls so far: `incoming`, `current`, `successful`, `failed`, `retransmissions`; up to 1 s old."""
        with self.statistics.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        columns = {
            "incoming": "IncomingCall(C)",
            "current": "CurrentCall",
            "successful": "SuccessfulCall(C)",
            "failed": "FailedCall(C)",
            "retransmissions": "Retransmissions(C)",
        }
        return {name: int(rows[-1][column]) if rows else 0 for name, column in columns.items()}


@contextlib.contextmanager
def far_end(
    port: int,
    folder: Path,
    ring_ms: int = 100,
    most_calls: int = 2000,
    scenario: Path = SCENARIO,
    more: Sequence[str] = (),
) -> Iterator[FarEnd]:
    """Run SIPp on a loopback port until the block ends.

    Args:
        port: UDP port, the lab's `sipp_port`.
        folder: where its statistics go.
        ring_ms: how long it rings before it answers.
        most_calls: how many calls it may hold at once.
        scenario: what it does with a call.
        more: further arguments of SIPp.

    Raises:
        RuntimeError: SIPp is not installed, or did not start.
    """
    program = shutil.which("sipp")
    if program is None:
        raise RuntimeError("sipp is not installed; mend: apt-get install sip-tester")
    folder.mkdir(parents=True, exist_ok=True)
    statistics = folder / "sipp.csv"
    statistics.unlink(missing_ok=True)
    # What Asterisk plays goes to a socket that is open but never read: the kernel drops it quietly, where a
    # closed port would have it answer each packet with an ICMP error.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, (folder / "sipp.log").open("wb") as log:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sink.bind(("127.0.0.1", 0))
        command = [program, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-nostdin"]
        command += [
            "-d",
            str(ring_ms),
            "-l",
            str(most_calls),
            "-key",
            "sink_port",
            str(sink.getsockname()[1]),
        ]
        command += [
            "-trace_stat",
            "-stf",
            str(statistics),
            "-fd",
            "1",
            "-buff_size",
            "1048576",
            "-skip_rlimit",
            *more,
        ]
        with subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder
        ) as process:
            try:
                _wait_listening(process, port, folder / "sipp.log")
                yield FarEnd(port, process.pid, statistics)
            finally:
                process.kill()


def _wait_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < until:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.05)
    raise RuntimeError(
        f"sipp did not start on port {port}; it said:\n{log.read_text(errors='replace')[-600:]}"
    )
