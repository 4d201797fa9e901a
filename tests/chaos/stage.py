"""What a run plays on: configuration, callees, receiver, and the folder that the judge reads in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.sipp.far_end import FarEnd, far_end
from tests.real.lab import LabInfo

SCENARIO = Path(__file__).with_name("callees.xml")
RINGS = "rings.tsv"
"""SIPp's own log of every message it got and sent."""
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
TEMPLATE = '<speak><say-as interpret-as="digits">{{ code }}</say-as></speak>\n'
NOTIFY_TIMEOUT = 2.0
QUIET: Final = 8.0
"""Seconds in which the last channels must have gone from Asterisk."""


def write_config(
    folder: Path,
    lab: LabInfo,
    *,
    ledger: Path,
    ari_url: str,
    notify_url: str,
    listen: str,
    max_calls: int = 500,
    max_cps: float = 100.0,
    more: str = "",
) -> Path:
    """A configuration in `folder`; `more` stands in its section [worker]."""
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "templates" / "digits.ssml").write_text(TEMPLATE)
    path = folder / "orchestrator.toml"
    path.write_text(
        f"""
[worker]
name = "chaos"
{more}
[ledger]
url = "sqlite:///{ledger}"
[[pbx]]
name = "lab"
url = "{ari_url}"
username = "{lab.ari_username}"
password_file = "{lab.ari_password_file}"
app = "chaos-{os.getpid()}-{folder.name}"
dial = "{lab.sipp_dial}"
max_cps = {max_cps}
max_calls = {max_calls}
[http]
listen = "{listen}"
[notify]
url = "{notify_url}"
secret = "{SECRET}"
timeout = {NOTIFY_TIMEOUT}
cdr_interval = 0.5
per_receiver = 64
[prompts]
templates = {json.dumps(str(folder / "templates"))}
"""
    )
    return path


@contextlib.contextmanager
def callees(lab: LabInfo, folder: Path) -> Iterator[FarEnd]:
    """SIPp as every callee, its message log in `folder`."""
    log = folder / RINGS
    more = ("-trace_shortmsg", "-shortmessage_file", str(log))
    with far_end(lab.sipp_port, folder, most_calls=20_000, scenario=SCENARIO, more=more) as far:
        yield far


def free_port() -> int:
    """A TCP port that nobody uses just now, and that the kernel gives to nobody's outgoing connection while a
    worker that listens there is dead."""
    for port in random.sample(range(15_000, 20_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free TCP port between 15000 and 19999")


def copy_ledger(source: Path, target: Path) -> None:
    """A ledger as it is now, whoever has it open."""
    with (
        contextlib.closing(sqlite3.connect(source)) as db,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        db.backup(copy)


async def channels_left(lab: LabInfo) -> list[Any]:
    """What Asterisk still has, asked of itself, when its last channels had time to go."""
    until = time.monotonic() + QUIET
    auth = aiohttp.encode_basic_auth(lab.ari_username, lab.ari_password)
    async with aiohttp.ClientSession(headers={"Authorization": auth}) as http:
        while True:
            async with http.get(f"{lab.ari_url}/channels") as answer:
                channels: list[Any] = await answer.json()
            if not channels or time.monotonic() > until:
                return channels
            await asyncio.sleep(0.25)
