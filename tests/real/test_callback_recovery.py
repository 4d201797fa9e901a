"""A worker killed in mid-conversation: the two people talk on, and the record of it is right."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.audio.wav import SAMPLE_RATE, SAMPLE_WIDTH, read_wav
from tests.real.backends import Backend, opened
from tests.real.lab import LabInfo, whole_recording
from tests.real.test_callbacks import TALKS, TALKS_TOO, digits_in, number
from tests.real.worker import House, worker_on

pytestmark = pytest.mark.real

ALONE = 3.0
"""Seconds for which the two have to do without a worker."""
LONGEST = 12


@pytest.fixture(params=["asterisk-websocket", "virtual-ari", "virtual-esl"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Backend, LabInfo | None]]:
    labs: list[LabInfo] = []

    def lab() -> LabInfo:
        labs.append(request.getfixturevalue("lab"))
        return labs[-1]

    with opened(request.param, lab, tmp_path) as found:
        yield found, labs[-1] if labs else None


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


def test_two_people_talk_on_without_a_worker_and_their_record_is_right(
    backend: tuple[Backend, LabInfo | None], tmp_path: Path
) -> None:
    pbx, lab = backend
    shown = f"+1202555{130 + os.getpid() % 40:04d}"
    with worker_on(pbx, tmp_path, caller_ids=[shown]) as house:
        (job,) = house.submit(
            [
                {
                    "kind": "callback",
                    "caller": number(TALKS),
                    "to": number(TALKS_TOO),
                    "record": True,
                    "max_duration": LONGEST,
                }
            ]
        )
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
            events = house.receiver.of(job)
            end = events[-1]["data"]
            assert (end["outcome"], end["attempts"]) == ("completed", 1), end["reason"]
            assert [event["type"] for event in events].count("call.hangup") == 1
            (record,) = [each for each in house.receiver.cdrs() if each["job_id"] == job]
            assert record["talk_seconds"] == pytest.approx(LONGEST, abs=1.5)
            assert record["recording"] == call
            fetched = tmp_path / "talk.wav"
            done = house.orchestrator("recording", job, "-o", str(fetched))
            assert done.returncode == 0, done.stderr
        assert digits_in(read_wav(fetched), 0.6) == {"1", "2", "3", "7", "8", "9"}
        if lab is not None:
            caller = whole_recording(lab, f"{number(TALKS)[1:]}-{shown[1:]}-*.wav")
            assert digits_in(read_wav(caller)) == {"7", "8", "9"}


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
