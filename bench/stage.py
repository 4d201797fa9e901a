"""The worker, a virtual PBX and a receiver, each a process of its own, watched from outside."""

import asyncio
import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.outside import SECRET, free_port, metrics, process, wait_ready
from orchestrator import setup
from orchestrator.clock import steady_clock
from orchestrator.config import Config, load_config
from orchestrator.intake.accept import accept
from orchestrator.ledger.records import NewJob
from orchestrator.ledger.sqlite import SqliteLedger, connect
from orchestrator.ledger.views import counts

Face = Literal["ari", "esl"]

DIGITS = '<speak><say-as interpret-as="digits">{{ code }}</say-as></speak>\n'
HOLD = """<speak>
  <s>Hello.</s> <s>Your verification code is</s>
  <say-as interpret-as="digits">{{ code }}</say-as> <audio src="hold"/> <s>Goodbye.</s>
</speak>
"""
"""What is said by default, and a long silence."""
_DIAL = {"ari": "PJSIP/{number}@lab", "esl": "sofia/gateway/lab/{number}"}
_NODE = """
[[pbx]]
name = "virtual{n}"
app = "bench{n}"
kind = "{kind}"
url = "{url}"
password = "virtual"
dial = "{dial}"
max_cps = {max_cps}
max_calls = {max_calls}
"""
_AT_ONCE = 500
ORCHESTRATOR = ("-m", "orchestrator")
"""The interpreter's arguments that run the command line."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How the stage is set."""

    face: Face
    webhooks: bool = True
    max_cps: float
    max_calls: int
    nodes: int = 1
    """As how many nodes the worker drives the one virtual PBX. Each pulls jobs for itself."""
    speed: float
    """Seconds of the virtual PBX in one second."""
    hold: float = 1.0
    """Seconds that the sound `hold` lasts."""
    more: str = ""
    """What else the worker's configuration says."""


class Stage(msgspec.Struct, frozen=True):
    """What stands. `got` is written when the receiver has been told to stop."""

    config: Config
    worker: subprocess.Popen[bytes]
    pbx: subprocess.Popen[bytes]
    receiver: subprocess.Popen[bytes]
    control: str
    listen: str
    got: Path

    def check(self) -> None:
        """Raises RuntimeError when one of the processes is no more."""
        for name in ("worker", "pbx", "receiver"):
            found: subprocess.Popen[bytes] = getattr(self, name)
            if found.poll() is not None:
                raise RuntimeError(f"the {name} ended by itself with {found.returncode}; see its log")

    def live(self) -> int:
        """How many calls live, by the worker's own word; up to a second old."""
        found = re.findall(r"orchestrator_live_calls\{[^}]*\} ([0-9.]+)", metrics(self.listen))
        return sum(int(float(count)) for count in found)


@contextlib.contextmanager
def stage(plan: Plan, folder: Path, runner: Sequence[str] = ORCHESTRATOR) -> Iterator[Stage]:
    """Set the stage in `folder`. `runner` are interpreter arguments that run the worker's command line, such
    as under a profiler."""
    folder.mkdir(parents=True)
    port, listen, got = free_port(), f"127.0.0.1:{free_port()}", folder / "webhooks.log"
    _write_sounds(folder, plan.hold)
    with contextlib.ExitStack() as stack:
        pbx = stack.enter_context(process(_pbx_command(plan, folder), folder / "pbx.log"))
        where = _wait_addresses(pbx, folder / "pbx.log")
        command = [sys.executable, "-m", "bench.receiver", str(port), str(got)]
        receiver = stack.enter_context(process(command, folder / "receiver.log"))
        config = load_config(_configure(plan, folder, where[plan.face], port, listen), {})
        command = [sys.executable, *runner, "run", "-c", str(folder / "worker.toml")]
        worker = stack.enter_context(process(command, folder / "worker.log"))
        wait_ready(listen, worker)
        yield Stage(config, worker, pbx, receiver, where["control"], listen, got)


def jobs(config: Config, count: int, fields: Mapping[str, Any]) -> list[NewJob]:
    """Accepted jobs to callees that ring for a second, answer, and stay on."""
    clock = steady_clock()
    rules = setup.rules(config, setup.load_prompts(config), setup.load_seal(config))
    return [
        accept(
            msgspec.json.encode({"to": f"+1{200 + n % 800}5550100", "code": "493817", **fields}),
            rules,
            clock(),
            os.urandom(10),
        )
        for n in range(count)
    ]


async def submit(config: Config, accepted: Sequence[NewJob]) -> None:
    """Put the jobs into the worker's ledger, as the command line does: beside the worker."""
    ledger = await SqliteLedger.open(setup.ledger_path(config))
    try:
        for start in range(0, len(accepted), _AT_ONCE):
            await ledger.submit(accepted[start : start + _AT_ONCE])
    finally:
        await ledger.close()


@contextlib.contextmanager
def reading(config: Config) -> Iterator[sqlite3.Connection]:
    """The worker's ledger, to be read from."""
    with contextlib.closing(connect(setup.ledger_path(config))) as db:
        yield db


async def all_told(on: Stage, webhooks: bool, patience: float = 600.0) -> None:
    """Wait until every job has ended and every notification has arrived, the call records among them.

    Raises RuntimeError when that takes longer than `patience` seconds."""
    until = time.monotonic() + patience
    with reading(on.config) as db:
        while True:
            found = counts(db)
            records = db.execute("SELECT count(*) FROM calls WHERE cdr_sent = 0").fetchone()[0]
            if not any(found.values()) and not (records and webhooks):
                return
            on.check()
            if time.monotonic() > until:
                raise RuntimeError(f"this is still not over: {found}, {records} call records")
            await asyncio.sleep(0.2)


def _pbx_command(plan: Plan, folder: Path) -> list[str]:
    config = folder / "pbx.toml"
    config.write_text(
        f"""
[[pbx]]
name = "virtual"
kind = "virtual"
url = "http://127.0.0.1:0/ari"
dial = "{_DIAL["ari"]}"
[pbx.virtual]
speed = {plan.speed}
library = ["{folder / "library"}"]
keep_heard = 0
"""
    )
    faces = ["--ari", "127.0.0.1:0", "--esl", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    return [sys.executable, *ORCHESTRATOR, "virtual-pbx", "-c", str(config), *faces, "--json"]


def _wait_addresses(pbx: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """Where the virtual PBX is: the first line that it prints."""
    until = time.monotonic() + 30
    while time.monotonic() < until and pbx.poll() is None:
        line, end, _ = log.read_bytes().partition(b"\n")
        if end:
            return msgspec.json.decode(line, type=dict[str, str])
        time.sleep(0.05)
    raise RuntimeError("the virtual PBX does not stand; see its log")


def _of_node(plan: Plan) -> dict[str, Any]:
    return {
        "kind": "asterisk" if plan.face == "ari" else "freeswitch",
        "dial": _DIAL[plan.face],
        "max_cps": plan.max_cps / plan.nodes,
        "max_calls": -(-plan.max_calls // plan.nodes),
    }


def _configure(plan: Plan, folder: Path, url: str, port: int, listen: str) -> Path:
    nodes = "".join(_NODE.format(n=n, url=url, **_of_node(plan)) for n in range(plan.nodes))
    notify = f'[notify]\nurl = "http://127.0.0.1:{port}/events"\nsecret = "{SECRET}"' if plan.webhooks else ""
    path = folder / "worker.toml"
    path.write_text(
        f"""
[worker]
name = "bench"
log_level = "warning"
[ledger]
url = "sqlite:///ledger.db"
{nodes}
[http]
listen = "{listen}"
{notify}
[prompts]
templates = "templates"
library = ["library"]
{plan.more}
"""
    )
    return path


def _write_sounds(folder: Path, hold: float) -> None:
    (folder / "templates").mkdir()
    (folder / "templates" / "digits.ssml").write_text(DIGITS)
    (folder / "templates" / "hold.ssml").write_text(HOLD)
    sounds = folder / "library" / "en"
    sounds.mkdir(parents=True)
    with wave.open(str(sounds / "hold.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * int(8000 * hold)) + (1000).to_bytes(2, "little") * 80)
