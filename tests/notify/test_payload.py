"""The envelope that a receiver parses."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.notify import payload
from orchestrator.notify.payload import CdrRecord, Dialing, HungUp, JobEnded, cdr_envelope, envelope, rfc3339

RECORD = CdrRecord(
    job_id="job-1",
    call_id=None,
    attempt=0,
    kind="code",
    from_=None,
    to="+12025550100",
    pbx=None,
    trunk=None,
    created_at=rfc3339(0.0),
    dialed_at=None,
    ringing_at=None,
    answered_at=None,
    ended_at=None,
    ring_seconds=None,
    talk_seconds=None,
    outcome="blocked",
    cause=None,
    sip_status=None,
    hung_up_by=None,
    plays_completed=0,
    digits_collected=0,
    recording=None,
    user_data="",
)


def dialing(job_id: str = "job-1", sequence: int = 1) -> Dialing:
    return Dialing(
        job_id=job_id,
        call_id="c-1",
        attempt=1,
        sequence=sequence,
        kind="code",
        to="+12025550100",
        from_="+1555",
    )


def test_the_envelope_is_a_structured_cloudevent() -> None:
    assert json.loads(envelope(dialing(), worker="w1", at=1767323045.678)) == {
        "specversion": "1.0",
        "id": payload.event_id("job-1", 1),
        "source": "/orchestrator/w1",
        "type": "call.dialing",
        "subject": "job-1",
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "data": {
            "job_id": "job-1",
            "call_id": "c-1",
            "attempt": 1,
            "sequence": 1,
            "kind": "code",
            "to": "+12025550100",
            "from": "+1555",
            "leg": "callee",
            "user_data": "",
        },
    }


def test_without_a_call_there_is_no_call_id_and_what_is_unknown_is_null() -> None:
    ended = JobEnded(
        job_id="j", attempt=0, sequence=1, kind="code", to="+1", outcome="expired", attempts=0, reason="late"
    )
    data = json.loads(envelope(ended, worker="w", at=0))["data"]
    assert "call_id" not in data
    assert data["from"] is None
    hung_up = HungUp(
        job_id="j",
        call_id="c",
        attempt=1,
        sequence=2,
        kind="code",
        to="+1",
        outcome="busy",
        cause=17,
        sip_status=None,
        talk_seconds=0,
        plays_completed=0,
        hung_up_by=None,
    )
    data = json.loads(envelope(hung_up, worker="w", at=0))["data"]
    assert data["sip_status"] is None
    assert data["hung_up_by"] is None


@pytest.mark.parametrize(
    ("kind", "name", "extra"),
    [
        (payload.Ringing, "call.ringing", {"early_media": True}),
        (payload.Answered, "call.answered", {"ring_seconds": 1.5}),
        (payload.Digits, "call.digits", {"item": 1, "digits": "42", "complete": False}),
        (
            payload.HungUp,
            "call.hangup",
            {
                "outcome": "completed",
                "cause": 16,
                "sip_status": 200,
                "talk_seconds": 9.5,
                "plays_completed": 2,
                "hung_up_by": "callee",
            },
        ),
        (payload.JobEnded, "job.ended", {"outcome": "completed", "attempts": 1, "reason": ""}),
    ],
)
def test_each_type_adds_its_own_fields(kind: type, name: str, extra: dict[str, object]) -> None:
    common = {"job_id": "j", "call_id": "c", "attempt": 1, "sequence": 3, "kind": "code", "to": "+1"}
    event = json.loads(envelope(kind(**common, **extra), worker="w", at=0))
    assert event["type"] == name
    assert set(event["data"]) == {*common, "from", "leg", "user_data", *extra}
    assert {name: event["data"][name] for name in extra} == extra


def test_a_cdr_batch_has_no_subject_and_every_field_of_the_contract() -> None:
    event = json.loads(cdr_envelope("b1", [RECORD, RECORD], worker="w", at=0))
    assert event["type"] == "cdr"
    assert event["id"] == payload.batch_event_id("b1")
    assert "subject" not in event
    assert list(event["data"]) == ["records"]
    contract = (
        "job_id, call_id, attempt, kind, from, to, pbx, trunk, created_at, dialed_at, ringing_at, "
        "answered_at, ended_at, ring_seconds, talk_seconds, outcome, cause, sip_status, "
        "hung_up_by, plays_completed, digits_collected, recording, user_data"
    )
    assert [list(record) for record in event["data"]["records"]] == [contract.split(", ")] * 2


@pytest.mark.parametrize("count", [0, 51])
def test_a_cdr_batch_holds_one_to_fifty_records(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 50"):
        cdr_envelope("b1", [RECORD] * count, worker="w", at=0)


def test_an_events_id_depends_on_job_and_sequence_alone() -> None:
    first = json.loads(envelope(dialing(), worker="w1", at=1))["id"]
    assert first == json.loads(envelope(dialing(), worker="w2", at=2))["id"]
    assert re.fullmatch(r"evt_[0-9a-f]{32}", first)


JOB_IDS = st.text("abcAZ019._:-", min_size=1, max_size=64)


@given(st.sets(st.tuples(JOB_IDS, st.integers(1, 10**6)), min_size=2, max_size=50))
def test_no_two_events_share_an_id(events: set[tuple[str, int]]) -> None:
    ids = {payload.event_id(*event) for event in events} | {payload.batch_event_id(job) for job, _ in events}
    assert len(ids) == len(events) + len({job for job, _ in events})


@given(st.integers(0, 4_102_444_800_000))
def test_times_keep_their_milliseconds(milliseconds: int) -> None:
    text = rfc3339(milliseconds / 1000)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert text.endswith(f"{milliseconds % 1000:03d}Z")


def test_a_workers_name_is_escaped_in_the_source() -> None:
    assert json.loads(envelope(dialing(), worker="a b/ü", at=0))["source"] == "/orchestrator/a%20b%2F%C3%BC"
