"""The demonstration: a real Asterisk, a worker, a receiver, one call, watched live. `make demo` runs it.

Where no real Asterisk can be had, it calls on the virtual PBX, and says so.

Brings up a lab of its own, and takes down whatever it brought up, however it ends. Exits 0 only when the call
was completed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import datetime
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[0] = str(REPO)
# While modules load there is nothing to stop, and Ctrl-C need not show where it struck.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from rich.console import Console  # noqa: E402

from docker import instance, life  # noqa: E402 - only now is the repository on the path
from orchestrator.cli.call import play_lengths  # noqa: E402
from orchestrator.cli.calling import Display, place  # noqa: E402
from orchestrator.cli.fail import explain  # noqa: E402
from orchestrator.cli.plain import PlainLines  # noqa: E402
from orchestrator.cli.screen import Screen  # noqa: E402
from orchestrator.config import load_config  # noqa: E402
from tools.demo_phones import CALLEE, Phone, phone_of  # noqa: E402
from tools.demo_receiver import Event, receiving  # noqa: E402

CALLER = "+12025550199"
READY_SECONDS = 20.0


class DemoError(Exception):
    """The demonstration cannot go on. The text says why, and the mend."""


@dataclasses.dataclass(frozen=True)
class Files:
    """Where everything of one demonstration lies."""

    folder: Path

    @property
    def config(self) -> Path:
        """The worker's configuration."""
        return self.folder / "orchestrator.toml"

    @property
    def log(self) -> Path:
        """The worker's log."""
        return self.folder / "worker.log"


class Told:
    """The notifications that came, as short lines: what each says, and how long after its event it came."""

    def __init__(self, aloud: bool) -> None:
        self._aloud = aloud
        self.lines: list[str] = []

    def take(self, event: Event) -> None:
        """Note one."""
        data = event["data"]
        after = max(0.0, time.time() - datetime.datetime.fromisoformat(event["time"]).timestamp())
        number = f"#{data['sequence']}" if "sequence" in data else f"{len(data['records'])} call"
        what = f"{event['type']} {number}"
        said = f": {data['outcome']}" if "outcome" in data else ""
        self.lines.append(f"              ✉ {what + said:<32} signed, {after * 1000:.0f} ms later")
        if self._aloud:
            print(f"  receiver: {what}{said} (signed, {after * 1000:.0f} ms later)", flush=True)


def say(text: str) -> None:
    """What is being done, for whoever waits."""
    print(f"· {text}", flush=True)


def is_up(name: str) -> bool:
    """Whether this lab runs."""
    known = instance.read(name)
    return known is not None and life.is_alive(known)


@contextlib.contextmanager
def lab_up(name: str) -> Iterator[instance.Lab]:
    """A running lab. One that was up before stays up."""
    was_up = is_up(name)
    say("bringing up Asterisk (a minute or two the first time, a second later on)")
    try:
        yield life.up(name, free_ports=not was_up)
    finally:
        if was_up:
            say(f"lab {name} was up before, and stays up")
        else:
            # Nobody in a hurry is to leave an Asterisk behind: Ctrl-C is not heard until it is down.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            say("taking Asterisk down")
            life.down(name)
            if is_up(name):
                raise DemoError(
                    f"lab {name} is still up; take it down: python3 docker/lab.py down --name {name}"
                )
            signal.signal(signal.SIGINT, before)


def free_port() -> int:
    """A port of the loopback that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_config(files: Files, phone: Phone, listen: str, receiver: str, secret: str) -> None:
    """A configuration as an operator would write it."""
    text = f"""\
[worker]
name = "demo"
[ledger]
url = "sqlite:///ledger.db"
[[pbx]]
{phone.node()}caller_ids = ["{CALLER}"]
[http]
listen = "{listen}"
[notify]
url = "{receiver}"
secret = "{secret}"
cdr_interval = 0.5
"""
    files.config.unlink(missing_ok=True)
    with os.fdopen(os.open(files.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)


@contextlib.asynccontextmanager
async def working(files: Files, listen: str) -> AsyncIterator[None]:
    """A worker as a process of its own, ready to call; it has drained and ended when the block is left."""
    with files.log.open("wb") as log:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator", "run", "-c", str(files.config)),
            stdout=log,
            stderr=log,
            cwd=REPO,
            start_new_session=True,  # Ctrl-C is ours: the worker drains when we say so
        )
    try:
        await ready(worker, f"http://{listen}/readyz", files)
        yield
    finally:
        if worker.returncode is None:
            worker.terminate()
            try:
                async with asyncio.timeout(10):
                    await worker.wait()
            except TimeoutError:
                worker.kill()
                await worker.wait()


async def ready(worker: asyncio.subprocess.Process, url: str, files: Files) -> None:
    """Wait until the worker can make calls."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and worker.returncode is None:
        try:
            await asyncio.to_thread(lambda: direct.open(url, timeout=2).close())
        except (urllib.error.URLError, ConnectionError):
            await asyncio.sleep(0.05)
        else:
            return
    raise DemoError(f"the worker did not become ready:\n{files.log.read_text(errors='replace')[-1500:]}")


def near(path: Path) -> Path:
    """The path as short as it can be written from here."""
    path = path.resolve()
    here = Path.cwd().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path


async def call(files: Files, phone: Phone, language: str, on_terminal: bool) -> int:
    """Start worker and receiver, call, and say where the recording lies. The exit code."""
    config = load_config(files.config)
    port = config.notify.url.rsplit(":", 1)[1].split("/")[0] if config.notify.url else "0"
    listen = config.http.listen if config.http else ""
    told = Told(aloud=not on_terminal)
    job: dict[str, Any] = {
        "to": CALLEE,
        "code": f"{secrets.randbelow(1_000_000):06}",
        "language": language,
        "variables": {},
    }
    screen = Screen(
        Console(highlight=False), play_lengths(config, json.dumps(job).encode()), lambda: told.lines
    )
    display: Display = screen if on_terminal else PlainLines()
    async with receiving(config.notify.secret or "", int(port), told.take):
        say("starting the worker and a receiver of notifications")
        async with working(files, listen):
            say(f"calling {CALLEE}, the lab's callee, with a random code\n")
            with contextlib.closing(screen):
                code = await place(config, json.dumps(job).encode(), display)
            wav = await phone.heard()
    print()
    if wav is not None:
        print(f"What the callee heard, {(wav.stat().st_size - 44) / 16000:.1f} s; hear it with:")
        players = ("aplay", "paplay", "ffplay", "play")
        print(f"  {next((name for name in players if shutil.which(name)), 'aplay')} {near(wav)}")
    print(f"The worker's configuration and log: {near(files.config)}, {near(files.log)}\n")
    return code


def run(name: str, folder: Path, language: str, virtual: bool) -> int:
    """The whole demonstration. The exit code."""
    began = time.monotonic()
    files = Files(folder)
    folder.mkdir(exist_ok=True)
    for old in folder.glob("ledger.db*"):
        old.unlink()
    lab = None if virtual else lab_up(name)
    with phone_of(lab, folder, free_port(), say) as phone:
        listen, receiver = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}/events"
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        write_config(files, phone, listen, receiver, secret)
        say("installing the sounds")
        phone.prepare(load_config(files.config))
        code = asyncio.run(call(files, phone, language, sys.stdout.isatty()))
    say(f"all of it took {time.monotonic() - began:.1f} s; nothing is left running")
    return code


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    # SIGTERM and SIGHUP unwind like Ctrl-C, so that what was brought up is taken down.
    raise KeyboardInterrupt(signum)


def main(argv: list[str] | None = None) -> int:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="demo.py", description="One call, end to end, on a real Asterisk.")
    parser.add_argument("--name", default="demo", help="the lab's name (default: demo)")
    parser.add_argument("--folder", type=Path, default=REPO / ".demo", help="where its files go (.demo)")
    parser.add_argument("--virtual", action="store_true", help="on the virtual PBX, whatever there is")
    parser.add_argument("--language", default="en", help="en or zh (default: en)")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return run(arguments.name, arguments.folder, arguments.language, arguments.virtual)
    except KeyboardInterrupt:
        print("\ndemo: interrupted; what was started has been stopped", file=sys.stderr)
        return 130
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except instance.LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        known = explain(error)
        if known is None:
            raise
        print(f"demo: {known.message}", file=sys.stderr)
        return known.exit_code


if __name__ == "__main__":
    sys.exit(main())
