"""A node of `kind = "virtual"`: the virtual PBX runs in here, and is driven over real sockets like any
other."""

from collections.abc import Callable, Collection, Sequence

from orchestrator.clock import Clock
from orchestrator.pbx.errors import PbxConfigError, PbxUnreachable
from orchestrator.pbx.port import Link, Pbx, Request, Sink, SoundCheck
from orchestrator.pbx.virtual.pbx import Settings, VirtualPbx, running

Connect = Callable[[VirtualPbx], Pbx]
"""Makes the adapter of a virtual PBX that listens."""


class VirtualNode:
    """Keeps the `Pbx` port. The virtual PBX listens while `run` runs; the adapter is made when its address is
    known, for port 0 means any free one."""

    def __init__(self, name: str, settings: Settings, connect: Connect, sink: Sink, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._connect = connect
        self._sink = sink
        self._clock = clock
        self._adapter: Pbx | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def connected(self) -> bool:
        return self._adapter is not None and self._adapter.connected

    async def run(self) -> None:
        """Listen and drive it until cancelled. Raises `PbxConfigError` when its address is taken."""
        try:
            async with running(self._settings, self._clock) as virtual:
                self._adapter = self._connect(virtual)
                try:
                    await self._adapter.run()
                finally:
                    self._adapter = None
        except OSError as error:
            raise PbxConfigError(
                f"pbx {self._name}: the virtual PBX cannot listen ({error.strerror}); "
                "free its address, or use port 0 in url"
            ) from None

    def send(self, request: Request) -> None:
        """As the adapter's. Nobody sends before `Link(up=True)`, and that only the adapter says."""
        if self._adapter is not None:
            self._adapter.send(request)
        else:
            self._sink(Link(self._name, False, self._clock(), "not running"))

    async def reconcile(self, channels: Collection[str]) -> None:
        await self._there().reconcile(channels)

    async def check_sounds(self, sounds: Sequence[str]) -> SoundCheck:
        return await self._there().check_sounds(sounds)

    async def fetch_recording(self, recording: str) -> bytes:
        return await self._there().fetch_recording(recording)

    async def delete_recording(self, recording: str) -> None:
        await self._there().delete_recording(recording)

    def _there(self) -> Pbx:
        if self._adapter is None:
            raise PbxUnreachable(f"pbx {self._name}: not running; start run() first")
        return self._adapter
