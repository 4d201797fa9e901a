"""Every number of the lab through a whole worker, on each backend."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.report import trunk_of
from tests.real.backends import NAMES, opened
from tests.real.lab import LabInfo
from tests.real.worker import House, worker_on

pytestmark = pytest.mark.real

DIAL, RING, ANSWER, HANGUP, END = (
    "call.dialing",
    "call.ringing",
    "call.answered",
    "call.hangup",
    "job.ended",
)
HEARD = (DIAL, RING, ANSWER, HANGUP, END)


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a number must give."""

    outcome: str
    types: tuple[str, ...]
    cause: int
    sip: int | None = None
    by: str = "orchestrator"
    plays: int = 0
    early_media: bool = False
    rings: float = 0.0


NUMBERS = {
    "+12025550100": Expected("completed", HEARD, 16, plays=2, rings=1.0),
    "+12025550101": Expected("busy", (DIAL, HANGUP, END), 17, 486, by="callee"),
    "+12025550102": Expected("no_answer", (DIAL, RING, HANGUP, END), 19, 480),
    "+12025550103": Expected("rejected", (DIAL, HANGUP, END), 21, 603, by="callee"),
    "+12025550104": Expected("invalid_number", (DIAL, HANGUP, END), 1, 404, by="network"),
    "+12025550105": Expected("hung_up_early", (DIAL, ANSWER, HANGUP, END), 16, by="callee"),
    "+12025550106": Expected("completed", (DIAL, ANSWER, HANGUP, END), 16, plays=2),
    "+12025550107": Expected("completed", HEARD, 16, plays=2, early_media=True, rings=2.0),
    "+12025550108": Expected("completed", (DIAL, ANSWER, HANGUP, END), 16, plays=2),
    "+12025550109": Expected("congested", (DIAL, HANGUP, END), 34, 503, by="network"),
    "+12025550110": Expected("completed", (DIAL, ANSWER, HANGUP, END), 16, plays=2),
    "+12025550111": Expected("completed", (DIAL, ANSWER, HANGUP, END), 16, plays=2),
    "+12025550112": Expected("completed", (DIAL, ANSWER, HANGUP, END), 16, plays=2),
    "+12025550113": Expected("completed", HEARD, 16, plays=2, rings=1.0),
}


@dataclasses.dataclass(frozen=True)
class Round:
    """One call to each number, all at once, on one backend."""

    house: House
    jobs: dict[str, str]
    esl: bool
    dial: str

    def expected(self, number: str) -> Expected:
        """What a number must give here. FreeSWITCH gives a time-out of its own no SIP status."""
        expected = NUMBERS[number]
        if self.esl and expected.outcome == "no_answer":
            return dataclasses.replace(expected, sip=None)
        return expected


@pytest.fixture(scope="module", params=NAMES)
def called(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    """All numbers called, and all that was told of it."""
    folder: Path = tmp_path_factory.mktemp(request.param)

    def lab() -> LabInfo:
        found: LabInfo = request.getfixturevalue("lab")
        return found

    with opened(request.param, lab, folder) as backend, worker_on(backend, folder) as house:
        jobs = [
            {"to": number, "code": "493817", "ring_timeout": 6, "user_data": number[-4:]}
            for number in NUMBERS
        ]
        ids = house.submit(jobs)
        house.wait_ended(ids)
        yield Round(house, dict(zip(NUMBERS, ids, strict=True)), backend.esl, backend.dial)


@pytest.mark.xdist_group("calls")
@pytest.mark.parametrize("number", NUMBERS)
def test_each_number_gives_its_outcome_its_notifications_and_its_causes(called: Round, number: str) -> None:
    expected, job = called.expected(number), called.jobs[number]
    events = called.house.receiver.of(job)
    assert tuple(event["type"] for event in events) == expected.types
    data: dict[str, dict[str, Any]] = {event["type"]: event["data"] for event in events}
    assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
    for event in events:
        told = event["data"]
        assert (told["job_id"], told["to"], told["from"], told["kind"], told["leg"], told["attempt"]) == (
            job,
            number,
            "+12025550199",
            "code",
            "callee",
            1,
        )
        assert told["user_data"] == number[-4:]
        assert event["source"] == "/orchestrator/test"
        assert event["subject"] == job
    hangup = data[HANGUP]
    assert (hangup["outcome"], hangup["cause"], hangup["sip_status"]) == (
        expected.outcome,
        expected.cause,
        expected.sip,
    )
    assert (hangup["hung_up_by"], hangup["plays_completed"]) == (expected.by, expected.plays)
    assert (data[END]["outcome"], data[END]["attempts"]) == (expected.outcome, 1)
    assert data[END]["reason"]
    if RING in data:
        assert data[RING]["early_media"] is expected.early_media
    if ANSWER in data:
        assert data[ANSWER]["ring_seconds"] == pytest.approx(expected.rings, abs=0.5)
        assert hangup["talk_seconds"] > 1
    else:
        assert hangup["talk_seconds"] == 0


@pytest.mark.xdist_group("calls")
@pytest.mark.parametrize("number", NUMBERS)
def test_each_call_has_one_record_that_agrees_with_its_notifications(called: Round, number: str) -> None:
    expected, job = called.expected(number), called.jobs[number]
    records = [record for record in called.house.receiver.cdrs() if record["job_id"] == job]
    assert len(records) == 1
    record = records[0]
    hangup = next(event["data"] for event in called.house.receiver.of(job) if event["type"] == HANGUP)
    same = ("call_id", "outcome", "cause", "sip_status", "hung_up_by", "plays_completed", "talk_seconds")
    assert {name: record[name] for name in same} == {name: hangup[name] for name in same}
    assert (record["to"], record["from"], record["pbx"], record["trunk"]) == (
        number,
        "+12025550199",
        "lab",
        trunk_of(called.dial),
    )
    times = [record[f"{name}_at"] for name in ("created", "dialed", "ringing", "answered", "ended")]
    known = [time for time in times if time is not None]
    assert known == sorted(known)
    assert (record["answered_at"] is not None) == (ANSWER in expected.types)
    assert (record["ringing_at"] is not None) == (RING in expected.types)


@pytest.mark.xdist_group("calls")
def test_what_is_shown_of_a_job_agrees_with_what_was_told(called: Round) -> None:
    done = called.house.orchestrator("show", called.jobs["+12025550101"], "--json")
    assert done.returncode == 0
    assert "busy" in done.stdout
    assert "493817" not in done.stdout + done.stderr
