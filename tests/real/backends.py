"""The four PBXs that the call path is tested on: one fixture, `backend`, for all.

| backend             | what it is                                                     |
|---------------------|----------------------------------------------------------------|
| asterisk-websocket  | a real Asterisk, requests over the events' WebSocket           |
| asterisk-http       | the same, requests over HTTP                                   |
| virtual-ari         | the virtual PBX as an Asterisk                                 |
| virtual-esl         | the virtual PBX as a FreeSWITCH                                |

A real FreeSWITCH is not among them: no package of it can be had. Its recordings are replayed in
tests/pbx/esl.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from time import time

import pytest

from orchestrator.pbx.ari.adapter import AriPbx
from orchestrator.pbx.ari.settings import AriSettings, Transport
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.port import Pbx, Sink
from orchestrator.testing import VirtualPbxThread, settings_with
from tests.real.lab import LabInfo

NAMES = ("asterisk-websocket", "asterisk-http", "virtual-ari", "virtual-esl")


@dataclasses.dataclass(frozen=True)
class Backend:
    """A PBX with the lab's callees, and how to reach it."""

    name: str
    url: str
    username: str
    password: str
    dial: str
    sounds: Path
    """Its folder of sounds."""
    transport: Transport = "auto"
    recordings: Path = Path("/var/lib/freeswitch/recordings/orchestrator")
    """Where a FreeSWITCH writes recordings."""
    virtual: VirtualPbxThread | None = None

    @property
    def esl(self) -> bool:
        """Whether it is a FreeSWITCH."""
        return self.url.startswith("esl:")

    def node_keys(self) -> dict[str, object]:
        """What a `[[pbx]]` section says of it."""
        keys: dict[str, object] = {"url": self.url, "password": self.password, "dial": self.dial}
        if self.esl:
            return {**keys, "kind": "freeswitch", "recordings": str(self.recordings)}
        return {**keys, "username": self.username, "transport": self.transport}

    def adapter(self, app: str, sink: Sink, prefix: str, dial: str = "") -> Pbx:
        """The adapter for it, with every wait made short."""
        if self.esl:
            return EslPbx(
                EslSettings(
                    name="lab",
                    url=self.url,
                    password=self.password,
                    app=app,
                    dial=dial or self.dial,
                    sounds_folder=prefix,
                    recordings_folder=str(self.recordings),
                    ping_interval=0.5,
                    request_timeout=2.0,
                    backoff_base=0.05,
                    backoff_cap=0.2,
                ),
                sink,
                clock=time,
                random=Random(1),
            )
        return AriPbx(
            AriSettings(
                name="lab",
                url=self.url,
                username=self.username,
                password=self.password,
                app=app,
                dial=dial or self.dial,
                transport=self.transport,
                sounds_prefix=prefix,
                ping_interval=0.5,
                request_timeout=2.0,
                backoff_base=0.05,
                backoff_cap=0.2,
            ),
            sink,
            clock=time,
            random=Random(1),
        )


@contextlib.contextmanager
def opened(name: str, lab: Callable[[], LabInfo], folder: Path) -> Iterator[Backend]:
    """The backend of this name, running. `lab` is asked for a real Asterisk only where one is needed."""
    if name.startswith("asterisk"):
        real = lab()
        transport: Transport = "http" if name.endswith("http") else "websocket"
        yield Backend(
            name, real.ari_url, real.ari_username, real.ari_password, real.dial, real.sounds, transport
        )
        return
    sounds = folder / "sounds"
    sounds.mkdir()
    recordings = folder / "recordings"
    settings = settings_with(folders=(sounds,), trunks=("lab",), mounts={}, recordings=recordings)
    with VirtualPbxThread(settings) as virtual:
        if name == "virtual-esl":
            url, dial = virtual.esl_url, "sofia/gateway/lab/{number}"
        else:
            url, dial = virtual.ari_url, "PJSIP/{number}@lab"
        yield Backend(
            name,
            url,
            settings.username,
            settings.password,
            dial,
            sounds,
            recordings=recordings,
            virtual=virtual,
        )
    shutil.rmtree(sounds)


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """One of the four."""

    def lab() -> LabInfo:
        found: LabInfo = request.getfixturevalue("lab")
        return found

    with opened(request.param, lab, tmp_path) as found:
        yield found
