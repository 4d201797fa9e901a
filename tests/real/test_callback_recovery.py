"""A worker killed in mid-conversation: the two people talk on, and the record of it is right."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.audio.wav import SAMPLE_RATE, SAMPLE_WIDTH, read_wav
from tests.real.backends import Backend, opened
from tests.real.lab import LabInfo, whole_recording
from tests.real.test_callbacks import TALKS, TALKS_TOO, digits_in, number
from tests.real.worker import Event, House, worker_on

pytestmark = pytest.mark.real

ALONE = 3.0
"""Seconds for which the two have to do without a worker."""
LONGEST = 22
"""Seconds: so long that the next worker is there before they are over, on a busy machine too."""


KILLED_ON = ("asterisk-websocket", "virtual-ari", "virtual-esl")


@dataclasses.dataclass(frozen=True)
class After:
    """What is left to see when all is over."""

    events: list[Event]
    records: list[dict[str, Any]]
    call: str
    fetched: Path
    caller: Path | None
    """What a real caller heard."""


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[After]]]:
    """The same on each backend, all at the same time."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(KILLED_ON)) as threads:
        begun = {}
        for n, name in enumerate(KILLED_ON):
            labs: list[LabInfo] = []

            def lab(labs: list[LabInfo] = labs) -> LabInfo:
                labs.append(request.getfixturevalue("lab"))
                return labs[-1]

            folder = tmp_path_factory.mktemp(name)
            with contextlib.suppress(pytest.skip.Exception):  # no real Asterisk here; the others go on
                pbx = stack.enter_context(opened(name, lab, folder))
                shown = f"+1202555{130 + n:04d}"
                begun[name] = threads.submit(story, pbx, labs[-1] if labs else None, folder, shown)
        yield begun


@contextlib.contextmanager
def next_worker(house: House) -> Iterator[None]:
    """Another worker of the same name, on the same ledger; drained when the block ends."""
    with (house.folder / "next.log").open("wb") as log:
        command = [sys.executable, "-m", "orchestrator", "run", "-c", str(house.config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=house.folder)
    try:
        yield
        process.terminate()
        assert process.wait(60) == 0, (house.folder / "next.log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for(true: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def story(pbx: Backend, lab: LabInfo | None, folder: Path, shown: str) -> After:
    """Two people are connected, their worker is killed, and another comes after a while."""
    with worker_on(pbx, folder, caller_ids=[shown]) as house:
        asked = {"kind": "callback", "caller": number(TALKS), "to": number(TALKS_TOO)}
        (job,) = house.submit([{**asked, "record": True, "max_duration": LONGEST}])
        house.receiver.wait(lambda events: any(_answered(event) for event in events), 20)
        call = next(event["data"]["call_id"] for event in house.receiver.of(job) if _answered(event))

        def heard() -> int:
            """Bytes that the caller has heard so far."""
            if pbx.virtual is not None:
                return len(pbx.virtual.heard(call))
            assert lab is not None
            files = lab.recordings.glob(f"{number(TALKS)[1:]}-{shown[1:]}-*.wav")
            return sum(file.stat().st_size for file in files)

        # The announcement is over and the recording runs.
        wait_for(lambda: "recording_started" in journal(house, job))
        house.process.kill()
        house.process.wait()
        before = heard()
        wait_for(lambda: heard() > before + ALONE * SAMPLE_RATE * SAMPLE_WIDTH)
        with next_worker(house):
            house.wait_ended([job])
            fetched = folder / "talk.wav"
            done = house.orchestrator("recording", job, "-o", str(fetched))
            assert done.returncode == 0, done.stderr
        records = [each for each in house.receiver.cdrs() if each["job_id"] == job]
        caller = None
        if lab is not None:
            caller = whole_recording(lab, f"{number(TALKS)[1:]}-{shown[1:]}-*.wav")
        return After(house.receiver.of(job), records, call, fetched, caller)


@pytest.mark.parametrize("name", KILLED_ON)
def test_two_people_talk_on_without_a_worker_and_their_record_is_right(
    stories: dict[str, Future[After]], name: str
) -> None:
    if name not in stories:
        pytest.skip("no real Asterisk here")
    after = stories[name].result(120)
    end = after.events[-1]["data"]
    assert (end["outcome"], end["attempts"]) == ("completed", 1), end["reason"]
    assert [event["type"] for event in after.events].count("call.hangup") == 1
    (record,) = after.records
    assert record["talk_seconds"] == pytest.approx(LONGEST, abs=1.5)
    assert record["recording"] == after.call
    assert digits_in(read_wav(after.fetched), 0.6) == {"1", "2", "3", "7", "8", "9"}
    if after.caller is not None:
        assert digits_in(read_wav(after.caller)) == {"7", "8", "9"}


def _answered(event: dict[str, object]) -> bool:
    data = event["data"]
    return event["type"] == "call.answered" and isinstance(data, dict) and data["leg"] == "callee"


def journal(house: House, job: str) -> str:
    """All that the ledger's journal says of a job's calls."""

    with contextlib.closing(sqlite3.connect(house.folder / "ledger.db")) as db:
        rows = db.execute(
            "SELECT event FROM journal JOIN calls ON calls.number = journal.call WHERE job_id = ?", (job,)
        ).fetchall()
    return " ".join(str(bytes(row[0]), "utf-8") if isinstance(row[0], bytes) else str(row[0]) for row in rows)
