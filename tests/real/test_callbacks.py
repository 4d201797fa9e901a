"""Callbacks on each backend: who is rung, who hears whom, what is recorded, and how each failure ends."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.audio.wav import read_wav
from orchestrator.prompts import packaged_root
from tests.audio_decode import decode_digits, digit_sounds
from tests.real.backends import NAMES, Backend, opened
from tests.real.lab import LabInfo, whole_recording
from tests.real.worker import Event, House, worker_on

pytestmark = pytest.mark.real

ANSWERS, BUSY, RINGS_ON, DECLINES, UNKNOWN = "0100", "0101", "0102", "0103", "0104"
LEAVES, SILENT, CONGESTED, TALKS, TALKS_TOO = "0105", "0110", "0109", "0112", "0113"


def number(short: str) -> str:
    return f"+1202555{short}"


JOBS: dict[str, dict[str, Any]] = {
    "talk": {"caller": TALKS, "to": TALKS_TOO, "record": True, "max_duration": 14},
    "callee leaves": {"caller": SILENT, "to": LEAVES},
    "caller leaves": {"caller": LEAVES, "to": RINGS_ON},
    "caller busy": {"caller": BUSY, "to": SILENT},
    "caller rings on": {"caller": RINGS_ON, "to": SILENT},
    "caller declines": {"caller": DECLINES, "to": SILENT},
    "callee busy": {"caller": SILENT, "to": BUSY},
    "callee rings on": {"caller": SILENT, "to": RINGS_ON},
    "callee declines": {"caller": SILENT, "to": DECLINES},
    "callee unknown": {"caller": SILENT, "to": UNKNOWN},
    "callee congested": {"caller": SILENT, "to": CONGESTED},
    "text first": {"caller": SILENT, "to": LEAVES, "template": "callback-connecting"},
}
ENDS: dict[str, tuple[str, str, str | None]] = {
    # outcome, the leg that decided, who hung up
    "talk": ("completed", "callee", "orchestrator"),
    "callee leaves": ("completed", "callee", "callee"),
    "caller leaves": ("hung_up_early", "caller", "caller"),
    "caller busy": ("busy", "caller", "caller"),
    "caller rings on": ("no_answer", "caller", None),
    "caller declines": ("rejected", "caller", "caller"),
    "callee busy": ("busy", "callee", "callee"),
    "callee rings on": ("no_answer", "callee", None),
    "callee declines": ("rejected", "callee", "callee"),
    "callee unknown": ("invalid_number", "callee", "network"),
    "callee congested": ("congested", "callee", "network"),
    "text first": ("completed", "callee", "callee"),
}


@dataclasses.dataclass(frozen=True)
class Round:
    """Every callback at once on one backend."""

    house: House
    backend: Backend
    lab: LabInfo | None
    jobs: dict[str, str]
    shown: str
    """The caller ID, by which one recording is told from another."""

    def heard(self, name: str, leg: str) -> bytes:
        """What the phone of a leg heard, as 16-bit PCM."""
        if self.backend.virtual is not None:
            channel = self.record(name)["call_id"] + ("-to" if leg == "callee" else "")
            return self.backend.virtual.heard(channel)
        assert self.lab is not None
        phone = JOBS[name]["to" if leg == "callee" else "caller"]
        return read_wav(whole_recording(self.lab, f"{number(phone)[1:]}-{self.shown[1:]}-*.wav"))

    def told(self, name: str) -> list[Event]:
        return self.house.receiver.of(self.jobs[name])

    def record(self, name: str) -> dict[str, Any]:
        return next(each for each in self.house.receiver.cdrs() if each["job_id"] == self.jobs[name])


@pytest.fixture(scope="module")
def rounds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Round]]:
    """All backends at the same time: people talk as long as they talk."""
    with contextlib.ExitStack() as stack:
        begun = {}
        for name in NAMES:
            with contextlib.suppress(pytest.skip.Exception):  # no real Asterisk here; the others go on
                begun[name] = _begin(stack, request, name, tmp_path_factory.mktemp(name))
        for each in begun.values():
            each.house.wait_ended(list(each.jobs.values()), 90)
        yield begun


def _begin(stack: contextlib.ExitStack, request: pytest.FixtureRequest, name: str, folder: Path) -> Round:
    labs: list[LabInfo] = []

    def lab() -> LabInfo:
        labs.append(request.getfixturevalue("lab"))
        return labs[-1]

    backend = stack.enter_context(opened(name, lab, folder))
    shown = f"+1202555{120 + NAMES.index(name):04d}"
    house = stack.enter_context(worker_on(backend, folder, caller_ids=[shown]))
    jobs = [
        {
            "kind": "callback",
            "ring_timeout": 5,
            **job,
            "caller": number(job["caller"]),
            "to": number(job["to"]),
        }
        for job in JOBS.values()
    ]
    ids = house.submit(jobs)
    return Round(house, backend, labs[-1] if labs else None, dict(zip(JOBS, ids, strict=True)), shown)


@pytest.fixture(params=NAMES)
def called(request: pytest.FixtureRequest, rounds: dict[str, Round]) -> Round:
    """The round on one backend."""
    if request.param not in rounds:
        pytest.skip("no real Asterisk here")
    return rounds[request.param]


@pytest.mark.parametrize("name", JOBS)
def test_each_failure_of_either_leg_has_its_outcome_and_its_leg(called: Round, name: str) -> None:
    outcome, leg, by = ENDS[name]
    events = called.told(name)
    hangup = [event["data"] for event in events if event["type"] == "call.hangup"]
    assert len(hangup) == 1
    assert (hangup[0]["outcome"], hangup[0]["leg"]) == (outcome, leg), events[-1]["data"]["reason"]
    if by is not None:
        assert hangup[0]["hung_up_by"] == by
    assert events[-1]["type"] == "job.ended"
    assert events[-1]["data"]["outcome"] == outcome
    assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("name", JOBS)
def test_the_callee_is_rung_only_after_the_caller_answered(called: Round, name: str) -> None:
    steps = [(event["type"], event["data"]["leg"]) for event in called.told(name)]
    if ("call.dialing", "callee") in steps:
        assert steps.index(("call.answered", "caller")) < steps.index(("call.dialing", "callee"))
    assert (("call.dialing", "callee") in steps) == (not name.startswith("caller") or name == "caller leaves")
    assert steps.count(("call.answered", "caller")) <= 1


@pytest.mark.parametrize("name", JOBS)
def test_the_call_record_tells_of_both_legs(called: Round, name: str) -> None:
    record = called.record(name)
    caller, callee = record["legs"]
    assert (caller["leg"], callee["leg"]) == ("caller", "callee")
    assert caller["number"] == number(JOBS[name]["caller"])
    assert record["to"] == number(JOBS[name]["to"])
    assert (record["kind"], record["outcome"]) == ("callback", ENDS[name][0])
    if ENDS[name][0] == "completed":
        assert record["talk_seconds"] > 1
        assert callee["answered_at"] >= caller["answered_at"]
    else:
        assert record["talk_seconds"] == 0


def test_each_hears_the_other_and_the_recording_holds_both(called: Round, tmp_path: Path) -> None:
    fetched = tmp_path / "talk.wav"
    done = called.house.orchestrator("recording", called.jobs["talk"], "-o", str(fetched))
    assert done.returncode == 0, done.stderr
    # Where both speak at once, each is half of what is heard.
    assert digits_in(read_wav(fetched), 0.6) == {"1", "2", "3", "7", "8", "9"}
    assert digits_in(called.heard("talk", "caller")) == {"7", "8", "9"}
    assert digits_in(called.heard("talk", "callee")) == {"1", "2", "3"}
    assert called.record("talk")["recording"] == called.record("talk")["call_id"]
    assert called.record("talk")["talk_seconds"] == pytest.approx(14, abs=1.5)


def digits_in(pcm: bytes, threshold: float = 0.8) -> set[str]:
    """The digits heard, those within a prompt aside."""
    english = packaged_root() / "en"
    phrases = {path.stem: path for path in (english / "phrases").glob("*.wav")}
    return {found.digit for found in decode_digits(pcm, digit_sounds(english), threshold, phrases)}
