"""The virtual PBX on real sockets, called by the project's own ARI adapter; and all that can go wrong."""

from __future__ import annotations

import contextlib
import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import msgspec
import pytest

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    Answered,
    Ended,
    Gone,
    HangupRequested,
    OriginateLost,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    Ready,
    Refused,
    Ringing,
)
from orchestrator.pbx.errors import PbxConfigError
from orchestrator.pbx.port import Dial, PlaySounds, Signal
from orchestrator.pbx.virtual.faults import Faults
from orchestrator.pbx.virtual.pbx import Settings, VirtualPbx, running
from tests.pbx.ari.fake_ari import Worker, settings_for
from tests.pbx.ari.fake_ari import running as adapting
from tests.pbx.virtual.world import write_sound

FAST = 200.0
BOTH = pytest.mark.parametrize("transport", ["websocket", "http", "auto"])


@contextlib.asynccontextmanager
async def virtual(folder: Path | None = None, **changed: Any) -> AsyncIterator[VirtualPbx]:
    """A virtual PBX two hundred times as fast as the clock on the wall, with its control."""
    settings = Settings(control=("127.0.0.1", 0), folders=(folder,) if folder else (), speed=FAST)
    async with running(msgspec.structs.replace(settings, **changed), time) as pbx:
        yield pbx


@contextlib.asynccontextmanager
async def called(pbx: VirtualPbx, **changed: Any) -> AsyncIterator[tuple[Worker, Any]]:
    """A connected adapter."""
    worker = Worker()
    settings = settings_for(pbx.ari_url, password="virtual", sounds_prefix="own", **changed)
    async with adapting(settings, worker) as adapter:
        await worker.link(True)
        yield worker, adapter


def sounds(folder: Path) -> None:
    write_sound(folder, "own/en/a", [1] * 8000)
    write_sound(folder, "own/en/b", [2] * 4000)


def dial(number: str, channel: str = "c", timeout: float = 30) -> Dial:
    return Dial(channel, f"+1202555{number}", "+15550100", timeout)


@BOTH
async def test_a_call_goes_its_whole_way_over_real_sockets(tmp_path: Path, transport: str) -> None:
    sounds(tmp_path)
    async with virtual(tmp_path) as pbx, called(pbx, transport=transport) as (worker, adapter):
        adapter.send(dial("0100"))
        await worker.event(Ready)
        adapter.send(PlaySounds("c", "p", ("en/a", "en/b")))
        assert await worker.event(PlayFinished) == PlayFinished("p", ok=True)
        adapter.send(Hangup("c"))
        assert await worker.event(Ended) == Ended(16)
        told = worker.events
        assert {Accepted(), Ringing(), Answered(), PlayStarted("p"), HangupRequested(True, 32)} <= set(told)


@BOTH
async def test_every_way_of_not_being_answered_is_told(transport: str) -> None:
    ends = {"0101": Ended(17, 486), "0103": Ended(21, 603), "0104": Ended(1, 404), "0109": Ended(34, 503)}
    async with virtual() as pbx, called(pbx, transport=transport) as (worker, adapter):
        for number in ends:
            adapter.send(dial(number, number))
        adapter.send(dial("0102", "0102", timeout=5))
        await worker.until(lambda: sum(isinstance(event, Ended) for event in worker.events) == 5)
        told = {
            each.channel: each.event
            for each in worker.told
            if isinstance(each, Signal) and isinstance(each.event, Ended)
        }
        assert told == {**ends, "0102": Ended(19, 480)}


async def test_sounds_are_checked(tmp_path: Path) -> None:
    sounds(tmp_path)
    async with virtual(tmp_path) as pbx, called(pbx) as (_, adapter):
        check = await adapter.check_sounds(["en/a", "en/none"])
        assert check.missing == ("en/none",)


async def test_a_stray_is_hung_up_by_reconciliation() -> None:
    async with virtual() as pbx:
        async with called(pbx) as (worker, adapter):
            for channel in ("ours", "stray"):
                adapter.send(dial("0110", channel))
            await worker.until(lambda: worker.events.count(Ready()) == 2)
        async with called(pbx) as (worker, adapter):
            await adapter.reconcile(["ours", "none"])
            assert worker.events[:2] == [Alive(ringing=False, up=True, ready=True), Gone()]
            await worker.event(Ended)
            assert list(pbx.switch.legs) == ["ours"]


async def test_a_wrong_password_is_refused() -> None:
    async with virtual() as pbx:
        worker = Worker()
        with pytest.raises(PbxConfigError, match="password"):
            async with adapting(settings_for(pbx.ari_url, password="wrong"), worker) as adapter:
                await adapter.run()


async def test_a_second_client_takes_the_application_over() -> None:
    async with virtual() as pbx, called(pbx) as (first, _), called(pbx):
        assert "its own app" in (await first.link(False)).reason


@pytest.mark.parametrize("status", [500, 503])
@BOTH
async def test_a_fault_answers_what_it_befalls_and_nothing_else(transport: str, status: int) -> None:
    async with virtual() as pbx, called(pbx, transport=transport) as (worker, adapter):
        pbx.dice.set(Faults(error_rate=1, error_status=status, error_on=("originate",)))
        adapter.send(dial("0110"))
        assert (await worker.event(Refused)).status == status
        assert pbx.switch.dialled == 0
        adapter.send(Ask("c"))
        await worker.event(Gone)


async def test_a_409_of_the_fault_dials_nobody_and_is_not_believed() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(error_rate=1, error_status=409, error_on=("originate",)))
        adapter.send(dial("0110"))
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")


async def test_a_lost_answer_is_unconfirmed_and_the_phone_rings_all_the_same() -> None:
    async with virtual() as pbx, called(pbx, originate_timeout=0.05) as (worker, adapter):
        pbx.dice.set(Faults(lose_answers=1, error_on=("originate",)))
        adapter.send(dial("0110"))
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        assert pbx.switch.dialled == 1


async def test_a_lost_request_is_unconfirmed_and_no_phone_rings() -> None:
    async with virtual() as pbx, called(pbx, originate_timeout=0.05) as (worker, adapter):
        pbx.dice.set(Faults(lose_requests=1, error_on=("originate",)))
        adapter.send(dial("0110"))
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        assert pbx.switch.dialled == 0


async def test_lost_events_never_come_and_doubled_ones_come_twice() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(duplicate_events=1))
        adapter.send(dial("0101", "twice"))
        await worker.until(lambda: worker.events.count(Ended(17, 486)) == 2)
        pbx.dice.set(Faults(lose_events=1))
        adapter.send(dial("0101", "never"))
        await worker.until(lambda: worker.events.count(Accepted()) == 2)
        await worker.until(lambda: not pbx.switch.legs)
        adapter.send(Ask("never"))
        await worker.event(Gone)
        assert worker.events.count(Ended(17, 486)) == 2


async def test_an_event_may_be_overtaken_by_the_next() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(reorder_events=1))
        adapter.send(dial("0105"))
        await worker.event(Ended)
        told = [event for event in worker.events if not isinstance(event, Accepted)]
        in_order = [Answered(), Ready(), HangupRequested(by_us=False, cause=16), Ended(16)]
        assert told != in_order
        assert sorted(map(str, told)) == sorted(map(str, in_order))


async def test_late_requests_and_events_come_late(tmp_path: Path) -> None:
    async with virtual(tmp_path) as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(latency=0.05, event_latency=0.05, answer_latency=0.02))
        began = time()
        adapter.send(dial("0101"))
        await worker.event(Ended)
        assert time() - began >= 0.1


async def test_a_stall_answers_pings_and_nothing_else_until_it_is_over() -> None:
    async with virtual() as pbx, called(pbx, ping_interval=0.02) as (worker, adapter):
        pbx.dice.set(Faults(stall=True))
        adapter.send(dial("0101"))
        adapter.send(Ask("c"))
        assert not pbx.switch.dialled
        pbx.dice.set(Faults())
        await worker.event(Ended)
        assert len(worker.links) == 1


async def test_a_half_open_connection_is_noticed_by_its_silence() -> None:
    async with virtual() as pbx, called(pbx, ping_interval=0.05) as (worker, _):
        pbx.dice.set(Faults(half_open=True))
        assert "ping" in (await worker.link(False)).reason
        pbx.dice.set(Faults())
        await worker.link(True, 2)


@BOTH
async def test_a_restart_forgets_every_call(transport: str) -> None:
    async with virtual() as pbx, called(pbx, transport=transport) as (worker, adapter):
        adapter.send(dial("0110"))
        await worker.event(Ready)
        pbx.restart()
        await worker.link(False)
        await worker.link(True, 2)
        await adapter.reconcile(["c"])
        assert worker.events[-1] == Gone()


async def test_a_dropped_connection_comes_again_and_the_calls_live_on() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        adapter.send(dial("0110"))
        await worker.event(Ready)
        assert pbx.drop() >= 1
        await worker.link(True, 2)
        await adapter.reconcile(["c"])
        assert worker.events[-1] == Alive(ringing=False, up=True, ready=True)


async def test_a_limit_refuses_what_is_too_much_and_too_fast() -> None:
    async with virtual(speed=1.0) as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(max_cps=1))
        adapter.send(dial("0110", "one"))
        adapter.send(dial("0110", "two"))
        await worker.event(Refused)
        pbx.dice.set(Faults(max_calls=1))
        adapter.send(dial("0110", "three"))
        await worker.until(lambda: sum(isinstance(event, Refused) for event in worker.events) == 2)


async def test_the_control_shows_moves_and_breaks(tmp_path: Path) -> None:
    sounds(tmp_path)
    async with (
        virtual(tmp_path) as pbx,
        called(pbx) as (worker, adapter),
        aiohttp.ClientSession(pbx.control_url) as http,
    ):

        async def ask(method: str, path: str, **body: object) -> Any:
            async with http.request(method, path, json=body or None) as answer:
                return answer.status, await answer.json()

        assert (await ask("GET", "/"))[1]["ari"] == pbx.ari_url
        adapter.send(dial("0102", timeout=600))
        await worker.event(Ringing)
        assert (await ask("GET", "/calls"))[1][0]["state"] == "ringing"
        assert (await ask("POST", "/calls/c/answer"))[0] == 200
        await worker.event(Ready)
        assert (await ask("POST", "/calls/c/press", keys="7x"))[0] == 200
        adapter.send(PlaySounds("c", "p", ("en/a",)))
        await worker.event(PlayFinished)
        assert (await ask("POST", "/calls/c/hangup", cause=16))[0] == 200
        await worker.event(Ended)
        async with http.get("/calls/c/heard.wav") as answer:
            assert answer.content_type == "audio/wav"
            with wave.open(io.BytesIO(await answer.read())) as heard:
                assert heard.readframes(heard.getnframes()).count(b"\1\0") == 8000
        assert (await ask("GET", "/calls"))[1][0]["cause"] == 16
        assert (await ask("PATCH", "/faults", latency=0.5))[1]["latency"] == 0.5
        assert (await ask("PATCH", "/faults", stall=True))[1]["latency"] == 0.5
        assert pbx.dice.faults == Faults(latency=0.5, stall=True)
        assert (await ask("PUT", "/faults", latency=0.25))[1]["stall"] is False
        assert (await ask("PUT", "/faults", latncy=0.25))[0] == 422
        assert (await ask("PUT", "/faults", lose_events=2))[0] == 422
        assert (await ask("DELETE", "/faults"))[1]["latency"] == 0
        for method, path in (("GET", "/x"), ("POST", "/calls/none/hangup"), ("GET", "/calls/none/heard.wav")):
            assert (await ask(method, path))[0] == 404
        assert (await ask("POST", "/drop"))[1]["dropped"] >= 1
        await worker.link(True, 2)
        assert (await ask("POST", "/restart", down=0.05))[0] == 200
        await worker.link(True, 3)


async def test_a_playback_can_be_stopped_and_a_refusal_is_told() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        adapter.send(dial("0102", "ringing", timeout=600))
        await worker.event(Ringing)
        adapter.send(PlaySounds("ringing", "p", ("en/a",)))
        assert await worker.event(PlayRefused) == PlayRefused("p", 409, "Conflict")
        adapter.send(StopPlay("ringing", "none"))
        adapter.send(Hangup("ringing"))
        await worker.event(Ended)
