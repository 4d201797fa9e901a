"""Two workers on one ledger: one is killed in the middle of a callback, the other goes on with the call."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from orchestrator.audio.wav import SAMPLE_RATE, SAMPLE_WIDTH, read_wav
from tests.postgres import Server
from tests.real.ari_client import Client, client_of
from tests.real.lab import LabInfo, whole_recording
from tests.real.test_callbacks import RINGS_ON, TALKS, TALKS_TOO, digits_in, number
from tests.real.test_two_legs import ONE_SAYS, OTHER_SAYS, TOGETHER, said_in
from tests.real.worker import Event, House, Receiver, free_port, install_sounds, wait_ready, write_config

pytestmark = pytest.mark.real

LONGEST = 8
"""Seconds: so long that the other worker is there before they are over."""
AT_LAST = 4
"""Seconds of what they hear that are looked at: the heir has had the call for longer."""


@dataclasses.dataclass(frozen=True)
class Moment:
    """When a worker is killed: once the receiver was told of this step of this leg."""

    step: str
    leg: str
    to: str
    max_cps: float = 50


MOMENTS = {
    "talking": Moment("call.answered", "callee", TALKS_TOO),
    "ringing": Moment("call.ringing", "callee", RINGS_ON),
    # One start in two seconds: the caller has answered, and it is not yet the callee's turn.
    "waiting": Moment("call.answered", "caller", TALKS_TOO, max_cps=0.5),
}


@dataclasses.dataclass(frozen=True)
class After:
    """What is left to see when all is over."""

    events: list[Event]
    records: list[dict[str, Any]]
    call: str
    rung: list[str]
    """Each time a phone of the lab was rung, its number."""
    heir: str
    """All that the other worker has printed."""
    open: tuple[int, int]
    """Calls and notifications of which the ledger knows no end."""
    recorded: bytes
    heard: dict[str, bytes]
    """By number, what who talked heard at last. 16-bit PCM."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server.made()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def stories(
    lab: LabInfo, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[After]]]:
    """A ledger and two workers for each moment, all at the same time."""
    install_sounds(lab)
    urls = {name: asyncio.run(server.database()) for name in MOMENTS}
    with ThreadPoolExecutor(len(MOMENTS)) as threads:
        yield {
            name: threads.submit(asyncio.run, story(name, lab, urls[name], tmp_path_factory.mktemp(name)))
            for name in MOMENTS
        }


@contextlib.asynccontextmanager
async def two_workers(lab: LabInfo, folder: Path, url: str, **pbx: object) -> AsyncIterator[dict[str, House]]:
    """Two workers on one ledger, both ready to dial, with one receiver; drained when the block ends."""
    key = base64.b64encode(bytes(32)).decode()
    with Receiver() as receiver, contextlib.ExitStack() as stack:
        houses = {}
        for name in ("w1", "w2"):
            own = folder / name
            own.mkdir()
            listen = f"127.0.0.1:{free_port()}"
            config = write_config(lab, own, receiver.url, listen, **pbx)
            text = config.read_text().replace('name = "test"', f'name = "{name}"', 1)
            config.write_text(f'{text}[ledger]\nurl = "{url}"\nkey = "{key}"\n')
            log = stack.enter_context((own / "worker.log").open("wb"))
            command = [sys.executable, "-m", "orchestrator", "run", "-c", str(config)]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=own)  # noqa: ASYNC220 - is quick
            stack.callback(end, process)
            houses[name] = House(own, config, receiver, process, listen)
        for house in houses.values():
            await asyncio.to_thread(wait_ready, house, 40)
        yield houses
        for house in houses.values():
            if house.process.poll() is None:
                assert await asyncio.to_thread(house.stop) == 0, house.log


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


async def story(name: str, lab: LabInfo, url: str, folder: Path) -> After:
    """A callback whose worker is killed at this moment."""
    moment = MOMENTS[name]
    shown = f"+1202555{140 + list(MOMENTS).index(name):04d}"
    app = f"heirs-{os.getpid()}-{name}"
    async with (
        two_workers(lab, folder, url, app=app, caller_ids=[shown], max_cps=moment.max_cps) as workers,
        client_of(lab.ari_url, lab.ari_password, f"watch-{app}") as watch,
    ):
        await watch.ask("POST", f"applications/{watch.app}/subscription", eventSource="channel:")
        await watch.ask("POST", f"applications/{watch.app}/subscription", eventSource="bridge:")
        asked = {"kind": "callback", "caller": number(TALKS), "to": number(moment.to)}
        more = {"record": True, "ring_timeout": 5, "max_duration": LONGEST}
        job = await submitted(workers["w1"], {**asked, **more})
        receiver = workers["w1"].receiver

        def reached(events: list[Event]) -> bool:
            return any((each["type"], each["data"]["leg"]) == (moment.step, moment.leg) for each in events)

        await asyncio.to_thread(receiver.wait, reached, 20)
        call = receiver.of(job)[0]["data"]["call_id"]
        if name == "talking":
            await watch.until(lambda: recording_of(watch, call))
        of = receiver.of(job)[0]["source"].rpartition("/")[2]
        workers[of].process.kill()
        workers.pop(of).process.wait()
        (heir,) = workers.values()
        await asyncio.to_thread(heir.wait_ended, [job])
        await nothing_left(watch, app, shown)
        recorded, heard = b"", {}
        if name == "talking":
            fetched = folder / "talk.wav"
            done = await asyncio.to_thread(heir.orchestrator, "recording", job, "-o", str(fetched))
            assert done.returncode == 0, done.stderr
            recorded = read_wav(fetched)
            for short in (TALKS, TALKS_TOO):
                whole = read_wav(whole_recording(lab, f"{number(short)[1:]}-{shown[1:]}-*.wav"))
                heard[short] = whole[-AT_LAST * SAMPLE_RATE * SAMPLE_WIDTH :]
        records = [each for each in receiver.cdrs() if each["job_id"] == job]
        # What was delivered a moment before the kill may come again, with its id.
        told = list({event["id"]: event for event in receiver.of(job)}.values())
        phones = rung(watch, shown)
        return After(told, records, call, phones, heir.log, await open_in(url), recorded, heard)


async def submitted(house: House, job: dict[str, object]) -> str:
    """Hand a job in; its id. Over HTTP, as a command takes a second to start."""
    url = f"http://{house.listen}/v1/jobs"
    async with aiohttp.ClientSession() as session, session.post(url, json=job) as answer:
        assert answer.status == 202, await answer.text()
        id: str = (await answer.json())["id"]
        return id


def recording_of(watch: Client, call: str) -> bool:
    """Whether the recording of the call runs."""
    return any(
        event["type"] == "RecordingStarted" and event["recording"]["name"].endswith(call)
        for _, event in watch.events
    )


async def open_in(url: str) -> tuple[int, int]:
    """How many calls live, and how many notifications are to be delivered, by the ledger; none, or what is
    left after a while. That something was delivered is noted a moment later."""
    db = await asyncpg.connect(url)
    left = (1, 1)
    try:
        async with asyncio.timeout(10):
            while left != (0, 0):
                await asyncio.sleep(0.05)
                calls = await db.fetchval("SELECT count(*) FROM calls WHERE ended_at IS NULL")
                left = calls, await db.fetchval("SELECT count(*) FROM outbox WHERE state = 'pending'")
    except TimeoutError:
        pass
    finally:
        await db.close()
    return left


def rung(watch: Client, shown: str) -> list[str]:
    """The numbers at which a phone of the lab was rung, by this caller ID."""
    made = (event["channel"] for _, event in watch.events if event["type"] == "ChannelCreated")
    return [each["dialplan"]["exten"] for each in made if each["caller"]["number"] == shown]


async def nothing_left(watch: Client, app: str, shown: str) -> None:
    """Wait until Asterisk has no channel and no bridge of that callback."""
    async with asyncio.timeout(10):
        while True:
            there = [*await watch.ask("GET", "channels"), *await watch.ask("GET", "bridges")]
            if not any(shown in str(each) or each["name"].startswith(app) for each in there):
                return
            await asyncio.sleep(0.05)


@pytest.fixture
def after(request: pytest.FixtureRequest, stories: dict[str, Future[After]]) -> After:
    """What is left of the story of this name."""
    return stories[request.param].result(120)


@pytest.mark.parametrize("after", MOMENTS, indirect=True)
def test_the_call_of_a_killed_worker_has_one_end_and_leaves_nothing(after: After) -> None:
    types = [event["type"] for event in after.events]
    assert types[-2:] == ["call.hangup", "job.ended"]
    assert (types.count("call.hangup"), types.count("job.ended")) == (1, 1)
    assert [event["data"]["sequence"] for event in after.events] == list(range(1, len(types) + 1))
    assert "worker_inherited" in after.heir
    assert after.heir.count("call_adopted") == 1
    assert len(set(after.rung)) == len(after.rung)
    assert len(after.records) == 1
    assert after.open == (0, 0)


@pytest.mark.parametrize("after", ["talking"], indirect=True)
def test_the_two_talk_on_to_the_end_and_are_recorded(after: After) -> None:
    end, (record,) = after.events[-1]["data"], after.records
    assert (end["outcome"], end["attempts"]) == ("completed", 1), end["reason"]
    assert record["talk_seconds"] == pytest.approx(LONGEST, abs=1.5)
    assert record["recording"] == after.call
    for digits in (ONE_SAYS, OTHER_SAYS):
        assert said_in(after.recorded, digits, TOGETHER) == set(digits)
    assert digits_in(after.heard[TALKS]) == set(OTHER_SAYS)
    assert digits_in(after.heard[TALKS_TOO]) == set(ONE_SAYS)


@pytest.mark.parametrize("after", ["ringing"], indirect=True)
def test_the_callee_rings_on_for_as_long_as_asked(after: After) -> None:
    end, (record,) = after.events[-1]["data"], after.records
    assert (end["outcome"], end["leg"]) == ("no_answer", "callee"), end["reason"]
    assert (record["talk_seconds"], record["recording"]) == (0, None)
    assert after.rung == [number(TALKS)[1:], number(RINGS_ON)[1:]]


@pytest.mark.parametrize("after", ["waiting"], indirect=True)
def test_a_callee_who_may_have_been_rung_is_not_rung_and_the_caller_is_told(after: After) -> None:
    end, (record,) = after.events[-1]["data"], after.records
    assert (end["outcome"], end["leg"]) == ("failed", "callee"), end["reason"]
    assert after.rung == [number(TALKS)[1:]]
    assert record["legs"][1]["dialed_at"] is None
