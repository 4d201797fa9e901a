"""The virtual PBX as a whole: one switch, its faces and its control, listening for as long as a block
runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random

import msgspec
from aiohttp import web

from orchestrator.clock import Clock
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.server import AriServer
from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.clips import Clips
from orchestrator.pbx.virtual.control import Control
from orchestrator.pbx.virtual.dice import Dice
from orchestrator.pbx.virtual.esl.face import EslFace
from orchestrator.pbx.virtual.esl.server import EslServer
from orchestrator.pbx.virtual.faults import NONE, Faults
from orchestrator.pbx.virtual.options import Virtual, address
from orchestrator.pbx.virtual.switch import Limits, Switch
from orchestrator.pbx.virtual.timeline import LoopTimeline

Address = tuple[str, int]

DEFAULT_PASSWORD = "virtual"  # noqa: S105 - of a tool for tests, on loopback


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the virtual PBX is like. A port of 0 means any free one; a face without an address is not
    there."""

    ari: Address | None = ("127.0.0.1", 0)
    esl: Address | None = None
    control: Address | None = None
    username: str = "orchestrator"
    password: str = DEFAULT_PASSWORD
    folders: tuple[Path, ...] = ()
    """Folders of sounds, as a switch has one: a folder for each language in it."""
    mounts: Mapping[str, tuple[Path, ...]] = {}
    """Folders of sounds that stand under a name, such as `orchestrator`."""
    trunks: tuple[str, ...] = ()
    """The endpoints behind the `@` of a dial string; none: any."""
    callees: Mapping[str, Callee] = {}
    """Callees of one's own, by number or last digits, before the lab's."""
    recordings: Path | None = None
    """The folder in which recordings of the ESL face become files, as FreeSWITCH writes them; not given:
    none do."""
    speed: float = 1.0
    """Seconds of the switch in one second on the wall."""
    keep_heard: int = 100
    """Of how many calls it is kept what the callee heard, live ones not counted; 0: of none at all."""
    faults: Faults = NONE
    seed: int = 1


def settings_of(
    virtual: Virtual, mounts: Mapping[str, tuple[Path, ...]], username: str, password: str
) -> Settings:
    """The settings that an operator's words mean. Where its faces listen is not among them.

    Raises ValueError for an address that is none.
    """
    return Settings(
        ari=None,
        control=None if virtual.control is None else address(virtual.control),
        username=username,
        password=password,
        mounts=mounts,
        trunks=virtual.trunks,
        callees=virtual.callees,
        speed=virtual.speed,
        keep_heard=virtual.keep_heard,
        faults=virtual.faults,
        seed=virtual.seed,
    )


class VirtualPbx:
    """A running virtual PBX."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.dice = Dice(NONE, Random(settings.seed))  # noqa: S311 - chance, no secret
        self.dice.set(settings.faults)
        timeline = LoopTimeline(asyncio.get_running_loop(), clock(), settings.speed)
        self.switch = Switch(
            timeline,
            Clips(settings.folders, settings.mounts),
            callees=settings.callees,
            limits=lambda: Limits(calls=self.dice.faults.max_calls, per_second=self.dice.faults.max_cps),
            keep_heard=settings.keep_heard,
        )
        self.ari = AriFace(self.switch, Random(), trunks=settings.trunks)  # noqa: S311 - ids, no secret
        self.ari_server = AriServer(self.ari, self.dice, settings.username, settings.password)
        self.esl = EslFace(
            self.switch,
            Random(),  # noqa: S311
            trunks=settings.trunks,
            recordings=settings.recordings,
        )
        self.esl_server = EslServer(self.esl, self.dice, settings.password)
        self.ari_address: Address | None = None
        self.esl_address: Address | None = None
        self._http: list[web.Server] = []

        self.control = Control(self)
        self.control_address: Address | None = None

    @property
    def control_url(self) -> str:
        """Where the control is, such as `http://127.0.0.1:8099`."""
        return f"http://{_host_port(self.control_address, 'control')}"

    @property
    def esl_url(self) -> str:
        """Where ESL is, such as `esl://127.0.0.1:8021`."""
        return f"esl://{_host_port(self.esl_address, 'esl')}"

    @property
    def ari_url(self) -> str:
        """Where ARI is, such as `http://127.0.0.1:8088/ari`."""
        return f"http://{_host_port(self.ari_address, 'ari')}/ari"

    def addresses(self) -> dict[str, str]:
        """Where it can be reached, by face."""
        found = {}
        if self.ari_address is not None:
            found["ari"] = self.ari_url
        if self.esl_address is not None:
            found["esl"] = self.esl_url
        if self.control_address is not None:
            found["control"] = self.control_url
        return found

    def heard(self, call: str) -> bytes:
        """What the callee of a call heard from its answer on: 16-bit PCM at 8000 Hz.

        Raises KeyError when nothing is known of it.
        """
        leg, ended = self.switch.legs.get(call), self.switch.ended.get(call)
        if leg is not None and leg.ear is not None:
            return leg.ear.pcm(self.switch.timeline.now())
        if leg is None and ended is not None and ended.ear is not None:
            return ended.ear.pcm(ended.ended_at)
        raise KeyError(call)

    def drop(self) -> int:
        """Break every connection off, as a network that fails loudly. How many there were."""
        broken = 0
        for server in self._http:
            for connection in list(server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
                    broken += 1
        return broken + self.esl_server.cut_all()

    def restart(self) -> None:
        """Forget every call and break every connection off, as a switch that was killed and started again."""
        self.ari.forget()
        self.esl.forget()
        self.switch.forget()
        self.drop()


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: Clock) -> AsyncIterator[VirtualPbx]:
    """A virtual PBX that listens until the block ends. `clock` gives the time of day.

    Raises OSError when an address cannot be listened on.
    """
    pbx = VirtualPbx(settings, clock)
    async with contextlib.AsyncExitStack() as stack:
        if settings.ari is not None:
            server = web.Server(pbx.ari_server.handle, handler_cancellation=True, access_log=None)
            pbx._http.append(server)
            pbx.ari_address = await stack.enter_async_context(listening(server, settings.ari))
        if settings.esl is not None:
            pbx.esl_address = await stack.enter_async_context(pbx.esl_server.listening(settings.esl))
        if settings.control is not None:
            control = web.Server(pbx.control.handle, access_log=None)
            pbx.control_address = await stack.enter_async_context(listening(control, settings.control))
        try:
            yield pbx
        finally:
            pbx.restart()


def _host_port(address: Address | None, face: str) -> str:
    if address is None:
        raise RuntimeError(f"this virtual PBX has no {face}; give `{face}` an address")
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def listening(server: web.Server, address: Address) -> AsyncIterator[Address]:
    """An HTTP server on an address; the one it really has."""
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address[0], address[1], reuse_address=True, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield str(host), int(port)
    finally:
        await runner.cleanup()
