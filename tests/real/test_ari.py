"""The ARI adapter on a real Asterisk: what only ARI does. What every PBX does is in test_adapters.py."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from random import Random
from time import time

import pytest

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    CallEvent,
    Ended,
    Gone,
    OriginateLost,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    Ready,
    Refused,
    Ringing,
)
from orchestrator.pbx.ari.adapter import AriPbx
from orchestrator.pbx.ari.settings import AriSettings, Transport
from orchestrator.pbx.errors import PbxConfigError
from orchestrator.pbx.port import Dial, Link, PlaySounds, Signal
from tests.real.lab import (
    LabInfo,
    freeze_lab,
    kill_lab,
    lab_cli,
    own_name,
    start_lab,
    start_lab_again,
    stop_lab,
    thaw_lab,
)

pytestmark = pytest.mark.real

PREFIX = "adapter-test"
BOTH = pytest.mark.parametrize("transport", ["websocket", "http"])


class Rig:
    """The adapter with a sink that can be waited on."""

    def __init__(self, settings: AriSettings) -> None:
        self.settings = settings
        self.told: list[Signal | Link] = []
        self._news = asyncio.Event()
        self.pbx = AriPbx(settings, self._take, clock=time, random=Random(1))

    def _take(self, each: Signal | Link) -> None:
        self.told.append(each)
        self._news.set()

    def of(self, channel: str) -> list[CallEvent]:
        return [each.event for each in self.told if isinstance(each, Signal) and each.channel == channel]

    async def until(self, channel: str, event: CallEvent | type[CallEvent], seconds: float = 15) -> CallEvent:
        def found() -> list[CallEvent]:
            return [
                each
                for each in self.of(channel)
                if each == event or (isinstance(event, type) and isinstance(each, event))
            ]

        async with asyncio.timeout(seconds):
            while not found():
                self._news.clear()
                await self._news.wait()
        return found()[0]

    async def count(self, channel: str, kind: type[CallEvent], times: int, seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while sum(isinstance(each, kind) for each in self.of(channel)) < times:
                self._news.clear()
                await self._news.wait()

    async def link(self, up: bool, count: int = 1) -> Link:
        def found() -> list[Link]:
            return [each for each in self.told if isinstance(each, Link) and each.up is up]

        async with asyncio.timeout(30):
            while len(found()) < count:
                self._news.clear()
                await self._news.wait()
        return found()[count - 1]

    def dial(self, number: str, ring_timeout: float = 10) -> str:
        channel = f"test-{uuid.uuid4()}"
        self.pbx.send(Dial(channel, f"+1202555{number}", "+15550100", ring_timeout))
        return channel


@contextlib.asynccontextmanager
async def rigged(lab: LabInfo, transport: Transport, app: str = "", dial: str = "") -> AsyncIterator[Rig]:
    rig = Rig(
        AriSettings(
            name="lab",
            url=lab.ari_url,
            username=lab.ari_username,
            password=lab.ari_password,
            app=app or f"adapter-{uuid.uuid4()}",
            dial=dial or lab.dial,
            transport=transport,
            sounds_prefix=PREFIX,
            ping_interval=0.5,
            request_timeout=2.0,
            backoff_base=0.05,
            backoff_cap=0.2,
        )
    )
    task = asyncio.create_task(rig.pbx.run())
    try:
        await rig.link(up=True)
        yield rig
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def sounds(lab: LabInfo) -> Iterator[None]:
    """Three short silences and a long one, in G.711 as the library has them."""
    folder = lab.sounds / PREFIX / "en" / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    for name, seconds in (("1", 0.1), ("2", 0.1), ("3", 0.1), ("long", 20.0)):
        (folder / f"{name}.ulaw").write_bytes(b"\xff" * int(8000 * seconds))
    yield
    for file in folder.iterdir():
        file.unlink()
    for each in (folder, folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            each.rmdir()


@BOTH
async def test_a_cancelled_ringing_ends_and_a_question_tells_how_far_it_is(
    lab: LabInfo, transport: Transport
) -> None:
    async with rigged(lab, transport) as rig:
        channel = rig.dial("0102")
        await rig.until(channel, Ringing)
        # Asterisk tells of the ringing a moment before it sets the channel's state, so the first answer may
        # still say "down"; it never says that the channel is up.
        asked = 0
        while Alive(ringing=True, up=False, ready=False) not in rig.of(channel):
            rig.pbx.send(Ask(channel))
            asked += 1
            await rig.count(channel, Alive, asked)
        assert not any(each.up for each in rig.of(channel) if isinstance(each, Alive))
        rig.pbx.send(PlaySounds(channel, "p1", ("en/digits/1",)))
        assert await rig.until(channel, PlayRefused) == PlayRefused("p1", 409, "Conflict")
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended(16))
        rig.pbx.send(Ask(channel))
        await rig.until(channel, Gone)


@BOTH
async def test_an_originate_sent_twice_rings_once_and_is_adopted(lab: LabInfo, transport: Transport) -> None:
    async with rigged(lab, transport) as rig:
        channel = rig.dial("0102")
        await rig.until(channel, Ringing)
        rig.pbx.send(Dial(channel, "+12025550102", "+15550100", 10))
        await rig.until(channel, Alive)
        assert rig.of(channel).count(Accepted()) == 2
        assert lab_cli(lab.name, "core show channels concise").count("!12025550102!") <= 1
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended)


@BOTH
async def test_an_endpoint_that_does_not_exist_is_refused(lab: LabInfo, transport: Transport) -> None:
    async with rigged(lab, transport, dial="PJSIP/{number}@nosuch") as rig:
        channel = rig.dial("0100")
        assert await rig.until(channel, Refused) == Refused(500, "Internal Server Error: Allocation failed")
        assert rig.of(channel) == [Refused(500, "Internal Server Error: Allocation failed")]


@BOTH
@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize("ending", ["stop", "hangup"])
async def test_a_playback_can_be_cut_short(lab: LabInfo, transport: Transport, ending: str) -> None:
    async with rigged(lab, transport) as rig:
        channel = rig.dial("0108")
        await rig.until(channel, Ready)
        rig.pbx.send(PlaySounds(channel, "p1", ("en/digits/long", "en/digits/1")))
        await rig.until(channel, PlayStarted)
        rig.pbx.send(StopPlay(channel, "p1") if ending == "stop" else Hangup(channel))
        assert await rig.until(channel, PlayFinished) == PlayFinished("p1", ok=ending == "stop")
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended)


@BOTH
@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize(("place", "ok"), [(0, True), (1, True), (2, False)])
async def test_only_a_missing_last_sound_shows_in_a_list(
    lab: LabInfo, transport: Transport, place: int, ok: bool
) -> None:
    """So sounds are checked before a call is made: Asterisk hides a hole in the middle of a list."""
    heard = ["en/digits/1", "en/digits/2", "en/digits/3"]
    heard[place] = "en/digits/missing"
    async with rigged(lab, transport) as rig:
        channel = rig.dial("0108")
        await rig.until(channel, Ready)
        rig.pbx.send(PlaySounds(channel, "p1", tuple(heard)))
        assert await rig.until(channel, PlayFinished) == PlayFinished("p1", ok=ok)
        assert rig.of(channel).count(PlayStarted("p1")) == 1
        rig.pbx.send(Hangup(channel))
        await rig.until(channel, Ended)


@pytest.mark.usefixtures("sounds")
async def test_missing_sounds_are_found_without_ringing_anybody(lab: LabInfo) -> None:
    async with rigged(lab, "auto") as rig:
        check = await rig.pbx.check_sounds(["en/digits/1", "en/digits/9", "zh/digits/1"])
        assert (check.missing, check.checked) == (("en/digits/9", "zh/digits/1"), 3)
        (lab.sounds / PREFIX / "en" / "digits" / "9.ulaw").write_bytes(b"\xff" * 80)
        assert (await rig.pbx.check_sounds(["en/digits/1", "en/digits/9"])).missing == ()


@BOTH
async def test_reconciliation_finds_the_living_and_the_gone_and_hangs_up_a_stray(
    lab: LabInfo, transport: Transport
) -> None:
    app = f"adapter-{uuid.uuid4()}"
    async with rigged(lab, transport, app) as before:
        ours, stray, ringing_stray = before.dial("0110"), before.dial("0110"), before.dial("0102", 30)
        for channel in (ours, stray):
            await before.until(channel, Ready)
        await before.until(ringing_stray, Ringing)
    async with rigged(lab, transport, app) as after:
        await after.pbx.reconcile([ours, "no-such-channel"])
        assert after.of(ours) == [Alive(ringing=False, up=True, ready=True)]
        assert after.of("no-such-channel") == [Gone()]
        for channel in (stray, ringing_stray):
            await after.until(channel, Ended)
        after.pbx.send(Hangup(ours))
        await after.until(ours, Ended)


async def test_the_server_says_by_itself_that_requests_may_use_the_websocket(lab: LabInfo) -> None:
    async with rigged(lab, "auto") as rig:
        channel = rig.dial("0101")
        await rig.until(channel, Accepted)
        await rig.until(channel, Ended)


async def test_a_wrong_password_ends_with_the_mend(lab: LabInfo) -> None:
    settings = AriSettings(
        name="lab",
        url=lab.ari_url,
        username=lab.ari_username,
        password="not-the-password",
        app="adapter",
        dial=lab.dial,
    )
    with pytest.raises(PbxConfigError, match="password"):
        async with asyncio.timeout(10):
            await Rig(settings).pbx.run()


async def test_a_second_client_of_the_same_application_is_noticed(lab: LabInfo) -> None:
    app = f"adapter-{uuid.uuid4()}"
    async with rigged(lab, "auto", app) as first, rigged(lab, "auto", app):
        assert "its own app" in (await first.link(up=False)).reason


@BOTH
async def test_a_killed_asterisk_is_noticed_waited_for_and_reconciled(transport: Transport) -> None:
    name = own_name(f"ari{transport}")
    lab = await asyncio.to_thread(start_lab, name)
    try:
        async with rigged(lab, transport) as rig:
            channel = rig.dial("0110")
            await rig.until(channel, Ready)

            await asyncio.to_thread(freeze_lab, name)
            unconfirmed = rig.dial("0110")
            assert "ping" in (await rig.link(up=False)).reason
            assert await rig.until(unconfirmed, OriginateLost) == OriginateLost("unconfirmed")
            await asyncio.to_thread(thaw_lab, name)
            await rig.link(up=True, count=2)
            rig.pbx.send(Ask(channel))
            assert await rig.until(channel, Alive) == Alive(ringing=False, up=True, ready=True)

            await asyncio.to_thread(kill_lab, name)
            await rig.link(up=False, count=2)
            assert await rig.until(rig.dial("0110"), OriginateLost) == OriginateLost("not_sent")
            await asyncio.to_thread(start_lab_again, name)
            await rig.link(up=True, count=3)
            await rig.pbx.reconcile([channel])
            await rig.until(channel, Gone)
            fresh = rig.dial("0101")
            assert await rig.until(fresh, Ended) == Ended(17, 486)
    finally:
        await asyncio.to_thread(stop_lab, name)
