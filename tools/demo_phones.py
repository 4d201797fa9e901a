"""What the demonstration calls: the callee of a real Asterisk, or that of the virtual PBX in the worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from docker import instance
from orchestrator.cli.install import install_sounds
from orchestrator.config import Config
from orchestrator.pbx.places import FORMATS
from orchestrator.setup import load_prompts

CALLEE = "+12025550100"
RECORDING_SECONDS = 5.0
NOTHING_FITS = 3
"""Exit code of the lab where neither Docker nor a chroot is possible."""


class Phone(Protocol):
    """What rings, and what was heard there."""

    def node(self) -> str:
        """The keys of its `[[pbx]]` section, as an operator would write them."""

    def prepare(self, config: Config) -> None:
        """Whatever it takes before the call."""

    async def heard(self) -> Path | None:
        """The WAV of this call, once it is whole. Asked while the worker still runs."""


class AsteriskPhone:
    """The callee of a lab: it records what it hears."""

    def __init__(self, lab: instance.Lab) -> None:
        self._lab = lab
        self._before = self._recordings()

    def node(self) -> str:
        lab = self._lab
        return f"""\
name = "ast1"
url = {json.dumps(lab.ari_url)}
username = {json.dumps(lab.ari_username)}
password_file = {json.dumps(lab.ari_password_file)}
dial = {json.dumps(lab.dial)}
"""

    def prepare(self, config: Config) -> None:
        """Put the sounds where Asterisk reads them."""
        install_sounds(load_prompts(config), Path(self._lab.sounds) / "orchestrator", FORMATS)

    async def heard(self) -> Path | None:
        until = time.monotonic() + RECORDING_SECONDS
        while time.monotonic() < until:
            new = [wav for wav in self._recordings() if wav not in self._before]
            if new:
                data = new[-1].read_bytes()
                if len(data) > 44 and int.from_bytes(data[40:44], "little") == len(data) - 44:
                    return new[-1]
            await asyncio.sleep(0.05)
        return None

    def _recordings(self) -> list[Path]:
        folder = Path(self._lab.recordings)
        return sorted(folder.glob(f"{CALLEE[1:]}-*.wav"), key=lambda wav: wav.stat().st_mtime_ns)


class VirtualPhone:
    """The callee of the virtual PBX, which runs in the worker: its control tells what was heard."""

    def __init__(self, folder: Path, control_port: int) -> None:
        self._folder = folder
        self._control = f"127.0.0.1:{control_port}"

    def node(self) -> str:
        return f"""\
name = "virtual"
kind = "virtual"
url = "http://127.0.0.1:0/ari"
dial = "PJSIP/{{number}}@lab"
virtual = {{ control = "{self._control}" }}
"""

    def prepare(self, config: Config) -> None:
        """It has the sounds that come along."""

    async def heard(self) -> Path | None:
        try:
            data = await asyncio.to_thread(self._fetch)
        except (urllib.error.URLError, ConnectionError):
            return None
        path = self._folder / "heard.wav"
        path.unlink(missing_ok=True)
        # The code is in it: nobody else is to hear it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
        return path

    def _fetch(self) -> bytes:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://{self._control}/calls", timeout=5) as answer:
            call = json.load(answer)[-1]["id"]
        with direct.open(f"http://{self._control}/calls/{call}/heard.wav", timeout=5) as answer:
            data: bytes = answer.read()
        return data


@contextlib.contextmanager
def phone_of(
    lab: AbstractContextManager[instance.Lab] | None,
    folder: Path,
    control_port: int,
    say: Callable[[str], None],
) -> Iterator[Phone]:
    """What is called: a real Asterisk's callee, or where there can be none the virtual PBX's."""
    with contextlib.ExitStack() as stack:
        phone: Phone | None = None
        if lab is not None:
            try:
                phone = AsteriskPhone(stack.enter_context(lab))
            except instance.LabError as error:
                if error.exit_code != NOTHING_FITS:
                    raise
                say(f"NO REAL ASTERISK CAN BE HAD HERE: {error}")
        if phone is None:
            say("calling on the VIRTUAL PBX instead: the same worker, adapter and sounds, but no telephony")
            phone = VirtualPhone(folder, control_port)
        yield phone
