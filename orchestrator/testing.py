"""For tests: the virtual PBX within the test's own process. pytest gets a fixture `virtual_pbx` of it.

`virtual_pbx_with` is for asyncio programs. `VirtualPbxThread`, which the fixture is, has a thread and a
loop of its own, so that any test can use it: plain, asyncio, gevent.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from msgspec.structs import replace

from orchestrator.clock import steady_clock
from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.faults import Faults
from orchestrator.pbx.virtual.pbx import Settings, VirtualPbx, running
from orchestrator.prompts import packaged_root

__all__ = ["Callee", "Faults", "Settings", "VirtualPbx", "VirtualPbxThread", "virtual_pbx_with"]

T = TypeVar("T")
_ANY_PORT = ("127.0.0.1", 0)
_FIXTURE_SPEED = 20.0


def settings_with(**changed: Any) -> Settings:
    """All faces on free ports, with the sounds that come along; `changed` are fields of `Settings`."""
    usual = Settings(
        ari=_ANY_PORT, esl=_ANY_PORT, control=_ANY_PORT, mounts={"orchestrator": (packaged_root(),)}
    )
    return replace(usual, **changed)


@contextlib.asynccontextmanager
async def virtual_pbx_with(**changed: Any) -> AsyncIterator[VirtualPbx]:
    """A virtual PBX on the running loop, until the block ends. `changed` are fields of `Settings`."""
    async with running(settings_with(**changed), steady_clock()) as pbx:
        yield pbx


class VirtualPbxThread:
    """A virtual PBX in a thread of its own. A context manager; every method may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._ready: Future[VirtualPbx] = Future()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="virtual pbx", daemon=True)

    def __enter__(self) -> "VirtualPbxThread":
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def ari_url(self) -> str:
        """Where ARI is."""
        return self._ready.result().ari_url

    @property
    def esl_url(self) -> str:
        """Where ESL is."""
        return self._ready.result().esl_url

    @property
    def control_url(self) -> str:
        """Where the control is."""
        return self._ready.result().control_url

    def do(self, act: Callable[[VirtualPbx], T]) -> T:
        """Do something with the virtual PBX, in its own thread; what came of it."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(act(self._ready.result()))
            except Exception as error:  # noqa: BLE001 - carried over to whoever asked
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()

    def set_faults(self, **faults: Any) -> None:
        """From now on, this goes wrong and nothing else. Fields of `Faults`."""
        wanted = Faults(**faults)
        self.do(lambda pbx: pbx.dice.set(wanted))

    def drop(self) -> int:
        """Break every connection off; how many there were."""
        return self.do(lambda pbx: pbx.drop())

    def restart(self) -> None:
        """Forget every call and break every connection off."""
        self.do(lambda pbx: pbx.restart())

    def calls(self) -> list[str]:
        """The ids of the calls that live."""
        return self.do(lambda pbx: list(pbx.switch.legs))

    def heard(self, call: str) -> bytes:
        """What the callee heard: 16-bit PCM at 8000 Hz. KeyError when nothing is known of it."""
        return self.do(lambda pbx: pbx.heard(call))

    def press(self, call: str, keys: str) -> None:
        """The callee presses keys. KeyError when the call does not live."""
        self.do(lambda pbx: pbx.switch.press(pbx.switch.legs[call], keys))

    def hang_up(self, call: str) -> None:
        """The callee hangs up. KeyError when the call does not live."""
        self.do(lambda pbx: pbx.switch.hang_up_callee(pbx.switch.legs[call]))

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        try:
            async with running(self.settings, steady_clock()) as pbx:
                self._ready.set_result(pbx)
                await self._stop.wait()
        except OSError as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)


def fixture_pbx() -> Iterator[VirtualPbxThread]:
    """What the fixture `virtual_pbx` gives: all faces on free ports, twenty times as fast as the clock."""
    with VirtualPbxThread(settings_with(speed=_FIXTURE_SPEED)) as pbx:
        yield pbx
