"""The lab keeps its promises: each number behaves as the table says, and recordings are true."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
import wave
from array import array
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.real.lab import (
    LabInfo,
    kill_lab,
    lab_cli,
    own_name,
    start_lab,
    start_lab_again,
    stop_lab,
    wait_for_recording,
)

pytestmark = pytest.mark.real

Event = dict[str, Any]


class Caller:
    """Just enough of an ARI client to see what Asterisk says by itself."""

    def __init__(
        self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, lab: LabInfo, app: str
    ) -> None:
        self.http, self.socket, self.lab, self.app = http, socket, lab, app
        self.seen: list[Event] = []

    async def request(self, method: str, path: str, **query: str) -> tuple[int, str]:
        async with self.http.request(method, f"{self.lab.ari_url}/{path}", params=query) as answer:
            return answer.status, await answer.text()

    async def call(self, number: str, **query: str) -> str:
        channel = f"lab-{uuid.uuid4()}"
        query = {"timeout": "10", "callerId": "12025550199", **query}
        status, body = await self.request(
            "POST",
            "channels",
            endpoint=self.lab.dial_string(number),
            app=self.app,
            channelId=channel,
            **query,
        )
        assert status == 200, body
        return channel

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        async with asyncio.timeout(10):
            while True:
                event: Event = json.loads((await self.socket.receive()).data)
                self.seen.append(event)
                if wanted(event):
                    return event

    async def until_type(self, name: str) -> Event:
        return await self.until(lambda event: event["type"] == name)

    def dial_statuses(self) -> list[str]:
        return [event["dialstatus"] for event in self.seen if event["type"] == "Dial" and event["dialstatus"]]


@pytest.fixture
async def caller(lab: LabInfo) -> AsyncIterator[Caller]:
    async with open_caller(lab) as opened:
        yield opened


@contextlib.asynccontextmanager
async def open_caller(lab: LabInfo) -> AsyncIterator[Caller]:
    app = f"test-{uuid.uuid4()}"
    auth = {"Authorization": aiohttp.encode_basic_auth(lab.ari_username, lab.ari_password)}
    async with (
        aiohttp.ClientSession(headers=auth) as http,
        http.ws_connect(lab.ws_url, params={"app": app}) as socket,
    ):
        yield Caller(http, socket, lab, app)


@pytest.mark.parametrize(
    ("number", "statuses", "cause", "tech_cause"),
    [
        ("0101", ["BUSY"], 17, 486),
        ("0102", ["RINGING"], 19, 480),
        ("0103", ["NOANSWER"], 21, 603),
        ("0104", ["NOANSWER"], 1, 404),
        ("0109", ["CONGESTION"], 34, 503),
        ("0199", ["NOANSWER"], 1, 404),
    ],
)
async def test_a_number_that_does_not_answer_ends_with_its_cause(
    caller: Caller, number: str, statuses: list[str], cause: int, tech_cause: int
) -> None:
    await caller.call(number, timeout="1" if number == "0102" else "10")
    end = await caller.until_type("ChannelDestroyed")
    assert (end["cause"], end.get("tech_cause")) == (cause, tech_cause)
    assert caller.dial_statuses() == statuses


@pytest.mark.parametrize(
    ("number", "statuses", "seconds"),
    [
        ("0100", ["RINGING", "ANSWER"], 1.0),
        ("0106", ["ANSWER"], 0.0),
        ("0107", ["PROGRESS", "ANSWER"], 2.0),
        ("0108", ["ANSWER"], 0.0),
        ("0110", ["ANSWER"], 0.0),
        ("0111", ["ANSWER"], 0.0),
        ("0112", ["ANSWER"], 0.0),
        ("0113", ["RINGING", "ANSWER"], 1.0),
    ],
)
async def test_a_number_that_answers_does_so_in_its_own_way_and_time(
    caller: Caller, number: str, statuses: list[str], seconds: float
) -> None:
    began = asyncio.get_running_loop().time()
    channel = await caller.call(number)
    await caller.until_type("StasisStart")
    took = asyncio.get_running_loop().time() - began
    assert caller.dial_statuses() == statuses
    assert seconds - 0.1 < took < seconds + 2.0
    assert (await caller.request("DELETE", f"channels/{channel}"))[0] == 204
    asked = await caller.until_type("ChannelHangupRequest")
    assert (asked["cause"], asked["soft"]) == (32, True)  # it was us
    assert (await caller.until_type("ChannelDestroyed"))["cause"] == 16


async def test_the_callee_that_hangs_up_is_told_apart_from_us(caller: Caller) -> None:
    await caller.call("0105")
    start = await caller.until_type("StasisStart")
    asked = await caller.until_type("ChannelHangupRequest")
    assert asked["cause"] == 16
    assert "soft" not in asked
    assert (await caller.until_type("ChannelDestroyed"))["cause"] == 16
    assert 1.3 < _seconds(asked) - _seconds(start) < 3.5


@pytest.mark.parametrize(("number", "keys"), [("0106", "1"), ("0111", "42#")])
async def test_the_callee_presses_keys(caller: Caller, number: str, keys: str) -> None:
    channel = await caller.call(number)
    await caller.until_type("StasisStart")
    pressed = "".join([(await caller.until_type("ChannelDtmfReceived"))["digit"] for _ in keys])
    assert pressed == keys
    await caller.request("DELETE", f"channels/{channel}")


@pytest.mark.parametrize("number", ["0100", "0107", "0108"])
async def test_a_recording_holds_what_the_callee_heard_from_the_first_sample(
    caller: Caller, lab: LabInfo, number: str
) -> None:
    before = set(lab.recordings_of(number))
    channel = await caller.call(number)
    await caller.until_type("StasisStart")
    await caller.request("POST", f"channels/{channel}/play", media="sound:digits/4")
    await caller.until_type("PlaybackFinished")
    await caller.request("DELETE", f"channels/{channel}")
    await caller.until_type("ChannelDestroyed")
    file = await asyncio.to_thread(wait_for_recording, lab, number, before)
    assert file.name.startswith(f"1202555{number}-12025550199-")
    heard, played = _samples(file), _samples(lab.sounds / "en" / "digits" / "4.wav")
    # The same loudness over the same span: nothing is lost at the front, and 20 ms at most at the end.
    assert abs(len(heard) - len(played)) < 8 * 150
    assert sum(map(abs, heard)) == pytest.approx(sum(map(abs, played)), rel=0.1)


async def test_a_killed_lab_comes_back_with_the_same_address_and_password() -> None:
    name = own_name("killed")
    first = await asyncio.to_thread(start_lab, name)
    try:
        await asyncio.to_thread(kill_lab, name)
        again = await asyncio.to_thread(start_lab_again, name)
        assert (again.ari_url, again.ari_password) == (first.ari_url, first.ari_password)
        assert again.pid != first.pid or again.container
        assert "chan_pjsip" in await asyncio.to_thread(lab_cli, name, "module show like chan_pjsip")
        assert "ERROR" not in await asyncio.to_thread(again.log.read_text)
        async with open_caller(again) as caller:
            await caller.call("0101")
            assert (await caller.until_type("ChannelDestroyed"))["cause"] == 17
    finally:
        await asyncio.to_thread(stop_lab, name)
    assert name not in await asyncio.to_thread(Path("/proc/mounts").read_text)
    assert not await asyncio.to_thread(first.recordings.exists)


def test_the_password_is_for_its_owner_only(lab: LabInfo) -> None:
    assert lab.ari_password_file.stat().st_mode & 0o777 == 0o600
    assert len(lab.ari_password) >= 32


def _seconds(event: Event) -> float:
    clock = event["timestamp"].split("T")[1]
    hours, minutes, seconds = clock[:12].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _samples(path: Path) -> array[int]:
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 8000)
        return array("h", wav.readframes(wav.getnframes()))
