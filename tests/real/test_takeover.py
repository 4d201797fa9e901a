"""Two workers on one ledger before a real Asterisk: the second takes over the first one's live calls."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab import LabInfo
from tests.real.worker import House, worker_on

pytestmark = pytest.mark.real

NUMBER = "+12025550100"
CALLERS = ("+12065550101", "+12065550102", "+12065550103")


@pytest.fixture(autouse=True)
def brief(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is said, so that little is waited for; and a stopped worker is taken over soon."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "digits.ssml").write_text(
        '<speak><say-as interpret-as="digits">{{ code }}</say-as></speak>\n'
    )
    monkeypatch.setenv("ORCHESTRATOR__PROMPTS__TEMPLATES", str(tmp_path / "templates"))
    monkeypatch.setenv("ORCHESTRATOR__WORKER__LEASE", "2")


@pytest.fixture
def house(lab: LabInfo, tmp_path: Path) -> Iterator[House]:
    with worker_on(lab, tmp_path, caller_ids=list(CALLERS)) as found:
        yield found


@contextlib.contextmanager
def standby(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """A second worker with the same configuration, once it stands by; drained when the block ends."""
    path = house.folder / "standby.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run", "-c", str(house.config)],
            stdout=log,
            stderr=log,
            env={**os.environ, "ORCHESTRATOR__WORKER__NAME": "second"},
        )
    try:
        wait_for_line(path, "worker_standing_by")
        yield process
        process.terminate()
        assert process.wait(60) == 0, path.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for_line(path: Path, text: str, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while text not in path.read_text(errors="replace"):
        assert time.monotonic() < until, path.read_text(errors="replace")
        time.sleep(0.05)


def ring_all(house: House) -> list[str]:
    """One call from each caller ID; their jobs, once all are answered."""
    job = {"to": NUMBER, "code": "4938", "template": "digits", "plays": 3}
    jobs = house.submit([{**job, "from": caller} for caller in CALLERS])
    house.receiver.wait(
        lambda events: sum(event["type"] == "call.answered" for event in events) == len(CALLERS), 30
    )
    return jobs


def recorded(lab: LabInfo) -> Counter[str]:
    """By caller, how many phones were picked up: each writes a recording."""
    return Counter(path.name.split("-")[1] for path in lab.recordings.glob(f"{NUMBER[1:]}-*.wav"))


def verify(house: House, lab: LabInfo, jobs: list[str], before: Counter[str]) -> None:
    """Each phone rang once, and each job has one whole story."""
    house.wait_ended(jobs)
    for job in jobs:
        told = list({event["id"]: event for event in house.receiver.of(job)}.values())
        assert [event["data"]["sequence"] for event in told] == list(range(1, len(told) + 1))
        assert [event["type"] for event in told][-2:] == ["call.hangup", "job.ended"]
        assert [event["type"] for event in told].count("job.ended") == 1
        assert told[-1]["data"]["outcome"] == "completed"
    assert recorded(lab) - before == Counter(caller[1:] for caller in CALLERS)


def test_the_calls_of_a_killed_worker_go_on_under_the_one_that_stands_by(lab: LabInfo, house: House) -> None:
    with standby(house):
        before = recorded(lab)
        jobs = ring_all(house)
        house.process.kill()
        verify(house, lab, jobs, before)
        log = (house.folder / "standby.log").read_text()
        assert "worker_took_over" in log
        assert log.count("call_adopted") == len(CALLERS)


def test_the_calls_of_a_stopped_worker_go_on_and_it_ends_when_it_wakes_up(lab: LabInfo, house: House) -> None:
    with standby(house):
        before = recorded(lab)
        jobs = ring_all(house)
        os.kill(house.process.pid, signal.SIGSTOP)
        try:
            wait_for_line(house.folder / "standby.log", "worker_took_over")
        finally:
            os.kill(house.process.pid, signal.SIGCONT)
        # By itself; or it was stopped in the middle of a write and had to be killed.
        assert house.process.wait(20) in (1, -signal.SIGKILL)
        verify(house, lab, jobs, before)


def test_a_drained_worker_hands_its_calls_over_at_once(
    lab: LabInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR__WORKER__DRAIN_TIMEOUT", "0")
    with worker_on(lab, tmp_path, caller_ids=list(CALLERS)) as house, standby(house):
        before = recorded(lab)
        jobs = ring_all(house)
        assert house.stop() == 0
        verify(house, lab, jobs, before)


def test_a_second_sigterm_ends_at_once_and_the_next_start_takes_the_calls_up(
    lab: LabInfo, house: House
) -> None:
    before = recorded(lab)
    jobs = ring_all(house)
    house.process.terminate()
    wait_for_line(house.folder / "worker.log", "worker_stopping")
    began = time.monotonic()
    house.process.terminate()
    assert house.process.wait(10) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 5
    with (house.folder / "again.log").open("wb") as log:
        again = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run", "-c", str(house.config)], stdout=log, stderr=log
        )
    try:
        verify(house, lab, jobs, before)
    finally:
        again.terminate()
        again.wait(60)
