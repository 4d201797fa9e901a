"""Side (b): the same calls through the whole worker: durable ledger, signed webhooks to a local receiver.

The worker is a process of its own (`orchestrator run`), measured from outside.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import msgspec

from bench.outside import SECRET, free_port, metrics, usage, wait_ready
from orchestrator import setup
from orchestrator.call import events as ev
from orchestrator.clock import steady_clock
from orchestrator.config import Config, load_config
from orchestrator.intake.accept import accept
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.queries import read_journal
from orchestrator.ledger.sqlite import SqliteLedger, connect
from tests.real.lab import LabInfo

TEMPLATE = '<speak><say-as interpret-as="digits">{{ code }}</say-as></speak>\n'


class Run(msgspec.Struct, frozen=True):
    """What the run measured. Times in ms where the name says so."""

    completed: int
    failed: int
    undelivered: int
    notifications: int
    seconds: float
    cpu_ms_per_call: float
    stasis_to_play_ms: dict[float, int]
    """How many calls' first play was written within so many ms of the reading of their StasisStart."""
    play_accepted_ms: list[float]
    """From the reading of StasisStart until Asterisk had answered the play request."""
    event_to_webhook_ms: list[float]
    peak_rss_mb: float


def run(lab: LabInfo, calls: int, concurrent: int, cps: float, folder: Path, profile: bool = False) -> Run:
    """Make `calls` calls through a worker that lives in `folder`, `concurrent` at once at most.

    CPU is counted from the moment when the worker is ready: its start is not a call's cost.
    """
    port, listen = free_port(), f"127.0.0.1:{free_port()}"
    config = load_config(_configure(lab, concurrent, cps, folder, port, listen), {})
    got = folder / "webhooks.log"
    receiver = subprocess.Popen([sys.executable, "-m", "bench.receiver", str(port), str(got)])
    command = [sys.executable, "-m", "orchestrator", "run", "-c", str(folder / "orchestrator.toml")]
    if profile:
        command[1:1] = ["-m", "cProfile", "-o", str(folder / "worker.prof")]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_ready(listen, worker)
        before = usage(worker.pid)
        asyncio.run(_submit_and_wait(config, calls, worker))
        after = usage(worker.pid)
        reactions = _reactions(listen)
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    finally:
        for process in (worker, receiver):
            if process is worker and process.poll() is None:
                process.kill()
        receiver.terminate()
        receiver.wait(10)
    cpu = after.cpu_seconds - before.cpu_seconds
    return _measure(config, got, cpu, after.peak_rss_kb / 1024, calls, reactions)


def _configure(lab: LabInfo, concurrent: int, cps: float, folder: Path, port: int, listen: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "digits.ssml").write_text(TEMPLATE)
    path = folder / "orchestrator.toml"
    path.write_text(
        f"""
[worker]
name = "bench"
log_level = "warning"
[ledger]
url = "sqlite:///ledger.db"
[[pbx]]
name = "lab"
url = "{lab.ari_url}"
username = "{lab.ari_username}"
password_file = "{lab.ari_password_file}"
dial = "{lab.sipp_dial}"
max_cps = {cps}
max_calls = {concurrent}
[http]
listen = "{listen}"
[notify]
url = "http://127.0.0.1:{port}/events"
secret = "{SECRET}"
[prompts]
templates = "templates"
"""
    )
    return path


def _reactions(listen: str) -> dict[float, int]:
    """The worker's histogram of its own reaction: bucket (ms) to the calls within it."""
    found = re.findall(r'reaction_seconds_bucket\{le="([^"]+)",pbx="lab"\} ([0-9.]+)', metrics(listen))
    return {1000 * float(bound): int(float(count)) for bound, count in found}


async def _submit_and_wait(config: Config, calls: int, worker: subprocess.Popen[bytes]) -> None:
    clock = steady_clock()
    rules = setup.rules(config, setup.load_prompts(config), setup.load_seal(config))
    ledger = await SqliteLedger.open(setup.ledger_path(config))
    try:
        jobs = [
            accept(
                msgspec.json.encode(
                    {
                        "to": f"+1201555{n:04d}",
                        "code": "4938",
                        "template": "digits",
                        "plays": 1,
                        "expires_in": 600,
                    }
                ),
                rules,
                clock(),
                os.urandom(10),
            )
            for n in range(calls)
        ]
        await ledger.submit(jobs)
        await _all_over(ledger, worker)
    finally:
        await ledger.close()


async def _all_over(ledger: Ledger, worker: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 600
    while time.monotonic() < until:
        counts = await ledger.counts()
        if not any(counts.get(name) for name in ("jobs_queued", "jobs_active", "outbox_pending")):
            return
        if worker.poll() is not None:
            raise RuntimeError(f"the worker ended by itself with {worker.returncode}; see its log")
        await asyncio.sleep(0.5)
    raise RuntimeError("the calls did not end within ten minutes")


def _measure(
    config: Config, got: Path, cpu: float, rss: float, calls: int, reactions: dict[float, int]
) -> Run:
    db = connect(setup.ledger_path(config))
    completed = db.execute("SELECT count(*) FROM jobs WHERE outcome = 'completed'").fetchone()[0]
    undelivered = db.execute("SELECT count(*) FROM outbox WHERE state <> 'delivered'").fetchone()[0]
    to_play, first, last = list[float](), float("inf"), 0.0
    for (call,) in db.execute("SELECT id FROM calls").fetchall():
        at = {type(entry.event): entry.at for entry in read_journal(db, call)}
        first, last = min(first, at[ev.Planned]), max(last, *at.values())
        if ev.Ready in at and ev.PlayStarted in at:
            to_play.append(1000 * (at[ev.PlayStarted] - at[ev.Ready]))
    db.close()
    to_webhook = []
    lines = got.read_bytes().split(b"\n")
    for line in lines:
        at_text, _, body = line.partition(b" ")
        event = msgspec.json.decode(body)
        if event["type"] != "cdr":
            happened = msgspec.convert(event["time"], datetime).timestamp()
            to_webhook.append(1000 * (float(at_text) - happened))
    return Run(
        completed=completed,
        failed=calls - completed,
        undelivered=undelivered + max(0, 5 * completed - len(to_webhook)),
        notifications=len(lines),
        seconds=last - first,
        cpu_ms_per_call=1000 * cpu / calls,
        stasis_to_play_ms=reactions,
        play_accepted_ms=to_play,
        event_to_webhook_ms=to_webhook,
        peak_rss_mb=rss,
    )
