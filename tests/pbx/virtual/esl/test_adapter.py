"""The project's own ESL adapter on the virtual PBX; and all that can go wrong between them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.audio.wav import write_wav
from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    Answered,
    Digit,
    Ended,
    Gone,
    HangupRefused,
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
from orchestrator.pbx.virtual.pbx import VirtualPbx
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.fake_esl import running as adapting
from tests.pbx.esl.fake_esl import settings_for
from tests.pbx.virtual.esl.client import virtual


@contextlib.asynccontextmanager
async def called(pbx: VirtualPbx, **changed: Any) -> AsyncIterator[tuple[Worker, Any]]:
    """A connected adapter."""
    worker = Worker()
    settings = settings_for(
        pbx.esl_url,
        **{"password": "virtual", "dial": "sofia/gateway/lab/{number}", "sounds_folder": "own", **changed},
    )
    async with adapting(settings, worker) as adapter:
        await worker.link(True)
        yield worker, adapter


def sound(folder: Path, name: str, samples: int) -> None:
    """A sound of the library, as FreeSWITCH has it."""
    (folder / "own" / "en").mkdir(parents=True, exist_ok=True)
    write_wav(folder / "own" / "en" / f"{name}.wav", bytes(2 * samples))


def dial(number: str, channel: str = "c", timeout: float = 30) -> Dial:
    return Dial(channel, f"+1202555{number}", "+15550100", timeout)


def ends(worker: Worker) -> dict[str, Ended]:
    return {
        each.channel: each.event
        for each in worker.told
        if isinstance(each, Signal) and isinstance(each.event, Ended)
    }


async def test_a_call_goes_its_whole_way(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sound(tmp_path, name, 4000)
    async with virtual(folders=(tmp_path,)) as pbx, called(pbx) as (worker, adapter):
        assert (await adapter.check_sounds(["en/a", "en/none"])).missing == ("en/none",)
        adapter.send(dial("0100"))
        await worker.event(Ready)
        adapter.send(PlaySounds("c", "p", ("en/a", "en/b")))
        assert await worker.event(PlayFinished) == PlayFinished("p", ok=True)
        adapter.send(Hangup("c"))
        assert await worker.event(Ended) == Ended(16)
        assert {Accepted(), Ringing(), Answered(), Ready(), PlayStarted("p")} <= set(worker.events)
        adapter.send(Hangup("c"))
        assert (await worker.event(HangupRefused)).gone


async def test_every_way_of_not_being_answered_is_told() -> None:
    wanted = {
        "0101": Ended(17, 486),
        "0103": Ended(21, 603),
        "0104": Ended(1, 404),
        "0109": Ended(34, 503),
        "0102": Ended(19),
    }
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        for number in wanted:
            adapter.send(dial(number, number, timeout=5))
        await worker.until(lambda: len(ends(worker)) == len(wanted))
        assert ends(worker) == wanted


async def test_keys_early_media_and_the_callees_own_hang_up_are_told() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        for number in ("0107", "0111", "0105"):
            adapter.send(dial(number, number))
        await worker.until(lambda: sum(isinstance(event, Digit) for event in worker.events) == 3)
        assert [each.digit for each in worker.events if isinstance(each, Digit)] == ["4", "2", "#"]
        assert Ringing(early_media=True) in worker.events
        await worker.until(lambda: "0105" in ends(worker))
        assert ends(worker)["0105"] == Ended(16)


async def test_a_play_is_cut_short_and_a_question_tells_how_far_a_call_is(tmp_path: Path) -> None:
    sound(tmp_path, "long", 800_000)
    async with virtual(folders=(tmp_path,), speed=10.0) as pbx, called(pbx) as (worker, adapter):
        adapter.send(dial("0102", "ringing", timeout=600))
        await worker.event(Ringing)
        adapter.send(Ask("ringing"))
        assert await worker.event(Alive) == Alive(ringing=True, up=False, ready=False)
        adapter.send(dial("0110"))
        await worker.event(Ready)
        adapter.send(PlaySounds("c", "p", ("en/long",)))
        await worker.event(PlayStarted)
        adapter.send(StopPlay("c", "p"))
        assert (await worker.event(PlayFinished)).playback == "p"
        adapter.send(Ask("none"))
        await worker.event(Gone)
        adapter.send(PlaySounds("none", "q", ("en/long",)))
        assert (await worker.event(PlayRefused)).status == 404


async def test_an_originate_that_is_sent_twice_rings_once() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        adapter.send(dial("0102", timeout=600))
        await worker.event(Ringing)
        adapter.send(dial("0102", timeout=600))
        await worker.event(Alive)
        assert pbx.switch.dialled == 1


@pytest.mark.parametrize("limit", [Faults(max_calls=1), Faults(max_cps=1)])
async def test_the_limit_of_sessions_and_the_throttle_refuse(limit: Faults) -> None:
    async with virtual(speed=1.0) as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(limit)
        adapter.send(dial("0110", "one"))
        adapter.send(dial("0110", "two"))
        assert (await worker.event(Refused)).status == 503


async def test_an_unknown_gateway_is_refused() -> None:
    async with virtual(trunks=("other",)) as pbx, called(pbx) as (worker, adapter):
        adapter.send(dial("0110"))
        await worker.event(Refused)
        assert pbx.switch.legs == {}


async def test_strays_are_hung_up_and_the_living_and_the_gone_are_told() -> None:
    async with virtual() as pbx:
        async with called(pbx) as (worker, adapter):
            for channel in ("ours", "stray"):
                adapter.send(dial("0110", channel))
            await worker.until(lambda: worker.events.count(Ready()) == 2)
        async with called(pbx) as (worker, adapter):
            await adapter.reconcile(["ours", "none"])
            await worker.until(lambda: len(worker.events) >= 2)
            assert Alive(ringing=False, up=True, ready=True) in worker.events
            assert Gone() in worker.events
            await worker.until(lambda: list(pbx.switch.legs) == ["ours"])


async def test_a_wrong_password_is_refused() -> None:
    async with virtual() as pbx:
        with pytest.raises(PbxConfigError, match="password"):
            async with adapting(settings_for(pbx.esl_url, password="wrong"), Worker()) as adapter:
                await adapter.run()


async def test_a_refused_originate_dials_nobody() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(error_rate=1, error_on=("originate",)))
        adapter.send(dial("0110"))
        await worker.event(Refused)
        assert pbx.switch.dialled == 0


async def test_a_lost_originate_is_unconfirmed() -> None:
    async with virtual() as pbx, called(pbx, originate_timeout=0.1, request_timeout=0.1) as (worker, adapter):
        pbx.dice.set(Faults(lose_requests=1, error_on=("originate",)))
        adapter.send(dial("0110"))
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        assert pbx.switch.dialled == 0


async def test_doubled_and_late_events_change_no_outcome() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        pbx.dice.set(Faults(duplicate_events=1, event_latency=0.02, latency=0.02))
        adapter.send(dial("0101"))
        assert await worker.event(Ended) == Ended(17, 486)


async def test_a_dead_connection_is_noticed_and_comes_again() -> None:
    async with virtual() as pbx, called(pbx, ping_interval=0.05) as (worker, _):
        pbx.dice.set(Faults(half_open=True))
        await worker.link(False)
        pbx.dice.set(Faults())
        await worker.link(True, 2)
        pbx.drop()
        await worker.link(False, 2)
        await worker.link(True, 3)


async def test_a_restart_forgets_every_call() -> None:
    async with virtual() as pbx, called(pbx) as (worker, adapter):
        adapter.send(dial("0110"))
        await worker.event(Ready)
        pbx.restart()
        await worker.link(True, 2)
        await adapter.reconcile(["c"])
        await worker.event(Gone)
