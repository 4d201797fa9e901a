"""What receivers are told, as the contract has it."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.call.conversation import new_conversation
from orchestrator.call.facts import Answer, Dialing, Over, PlayBegan, Pressed, Rings
from orchestrator.call.outcome import Outcome
from orchestrator.call.state import Call
from orchestrator.ledger.records import JobRow, JobState, Outgoing
from orchestrator.report import Reporter, cdr, cdr_batch, trunk_of
from tests.fakes import EPOCH, body

CALL = Call(
    id="c1",
    pbx="ast1",
    caller_id="+15550100",
    dialed_at=EPOCH + 1,
    ringing_at=EPOCH + 2.0004,
    answered_at=EPOCH + 5,
)
OVER = Over(
    EPOCH + 9, Outcome.COMPLETED, "every play was heard", 16, None, 2.9996, 4.0, 2, "orchestrator", True
)


def reporter(url: str | None = None, sequence: int = 0, **fields: Any) -> Reporter:
    row = JobRow(
        id="job-1",
        state=JobState.ACTIVE,
        body=body(**fields),
        created_at=EPOCH,
        next_at=EPOCH,
        expires_at=EPOCH + 120,
        attempts=1,
        sequence=sequence,
        cancel=False,
        outcome=None,
        reason=None,
        ended_at=None,
    )
    return Reporter(row, url, "w1")


def event(made: Outgoing | None) -> dict[str, Any]:
    assert made is not None
    found: dict[str, Any] = json.loads(made.body)
    return found


def test_each_fact_becomes_the_contracts_event_with_its_own_fields() -> None:
    on = reporter()
    told = [
        event(on.outgoing(fact, CALL, 1))
        for fact in (Dialing(EPOCH + 1), Rings(EPOCH + 2, True), Answer(EPOCH + 5, 3.0), OVER)
    ]
    assert [each["type"] for each in told] == ["call.dialing", "call.ringing", "call.answered", "call.hangup"]
    assert told[1]["data"]["early_media"] is True
    assert told[2]["data"]["ring_seconds"] == 3.0
    hangup = told[3]["data"]
    assert (hangup["outcome"], hangup["cause"], hangup["sip_status"]) == ("completed", 16, None)
    assert (hangup["talk_seconds"], hangup["plays_completed"], hangup["hung_up_by"]) == (
        4.0,
        2,
        "orchestrator",
    )
    for n, each in enumerate(told, 1):
        assert each["specversion"] == "1.0"
        assert (each["subject"], each["source"]) == ("job-1", "/orchestrator/w1")
        data = each["data"]
        assert (data["job_id"], data["call_id"], data["attempt"], data["sequence"]) == ("job-1", "c1", 1, n)
        assert (data["kind"], data["to"], data["from"], data["leg"]) == (
            "code",
            "+12025550100",
            "+15550100",
            "callee",
        )
        assert data["user_data"] == "u"


@pytest.mark.parametrize("fact", [PlayBegan(EPOCH, 1), Pressed(EPOCH)])
def test_what_the_contract_does_not_tell_is_not_told_and_takes_no_number(fact: Any) -> None:
    on = reporter()
    assert on.outgoing(fact, CALL, 1) is None
    assert on.sequence == 0


def test_the_count_goes_on_where_the_job_stands() -> None:
    on = reporter(sequence=5)
    made = on.ended("busy", "busy", 2, EPOCH, CALL)
    assert made is not None
    assert made.sequence == on.sequence == 6


def test_a_verdict_without_a_call_names_none() -> None:
    data = event(reporter().ended("expired", "it expired", 0, EPOCH, None))["data"]
    assert "call_id" not in data
    assert (data["attempts"], data["outcome"], data["reason"]) == (0, "expired", "it expired")


def test_a_callback_whose_second_phone_was_never_rung_names_the_number_that_it_was_to_show() -> None:
    caller = replace(CALL, leg="caller", caller_id="+15550111")
    call = replace(new_conversation("c1"), caller=caller)
    fields: dict[str, Any] = {"kind": "callback", "from": "+15550100"}
    on = reporter(**fields)
    made = on.ended("busy", "caller: busy here", 1, EPOCH, call)
    assert event(made)["data"]["from"] == "+15550100"
    made = on.outgoing(Dialing(EPOCH, "caller"), call, 1)
    assert event(made)["data"]["from"] == "+15550111"


def test_events_left_out_take_no_number_and_the_verdict_is_always_told() -> None:
    on = reporter(notify_events=[])
    assert on.outgoing(OVER, CALL, 1) is None
    assert event(on.ended("busy", "", 1, EPOCH, CALL))["data"]["sequence"] == 1


def test_the_jobs_address_goes_before_the_configured_one() -> None:
    for own, default, used in (
        ("http://own/", "http://default/", "http://own/"),
        (None, "http://d/", "http://d/"),
    ):
        made = reporter(default, notify_url=own).ended("busy", "", 1, EPOCH, None)
        assert made is not None
        assert made.url == used
    assert reporter(None, notify_url=None).ended("busy", "", 1, EPOCH, None) is None


def test_the_same_event_always_has_the_same_id_and_each_its_own() -> None:
    ids = {
        made.event_id
        for sequence in range(20)
        if (made := reporter(sequence=sequence).ended("busy", "", 1, EPOCH, None)) is not None
    }
    assert len(ids) == 20


def test_a_record_has_the_contracts_fields_and_times() -> None:
    record = json.loads(cdr(reporter(), CALL, OVER, 1, "carrier"))
    assert list(record) == [
        "job_id", "call_id", "attempt", "kind", "from", "to", "pbx", "trunk", "created_at", "dialed_at",
        "ringing_at", "answered_at", "ended_at", "ring_seconds", "talk_seconds", "outcome", "cause",
        "sip_status", "hung_up_by", "plays_completed", "digits_collected", "recording", "user_data",
    ]  # fmt: skip
    assert record["created_at"] == "2027-01-15T08:00:00.000Z"
    assert record["ringing_at"] == "2027-01-15T08:00:02.000Z"
    assert (record["ring_seconds"], record["trunk"]) == (3.0, "carrier")
    unanswered = json.loads(cdr(reporter(), Call(id="c1", pbx="ast1"), OVER, 1, None))
    assert unanswered["dialed_at"] is unanswered["answered_at"] is unanswered["trunk"] is None


def test_a_batch_is_one_event_whose_id_is_a_function_of_the_calls_in_it() -> None:
    records = [
        cdr(reporter(), msgspec.structs.replace(CALL, id=f"c{n}"), OVER, 1, "carrier") for n in range(50)
    ]
    one, two = cdr_batch(records, "http://r/", "w1", EPOCH), cdr_batch(records, "http://r/", "w1", EPOCH + 9)
    assert one.event_id == two.event_id
    assert one.event_id != cdr_batch(records[:49], "http://r/", "w1", EPOCH).event_id
    told = event(one)
    assert told["type"] == "cdr"
    assert [record["call_id"] for record in told["data"]["records"]] == [f"c{n}" for n in range(50)]


@pytest.mark.parametrize(
    ("dial", "trunk"),
    [
        ("PJSIP/{number}@carrier", "carrier"),
        ("PJSIP/{e164}@my-trunk.2", "my-trunk.2"),
        ("PJSIP/trunk/sip:{number}@192.0.2.1", "192.0.2.1"),
        ("PJSIP/{number}", None),
        ("sofia/gateway/carrier/{number}", "carrier"),
        ("sofia/carrier/{e164}@sip.example.com;transport=tcp", "sip.example.com"),
        ("Local/{number}@ctx/n", "ctx"),
        ("DAHDI/g1/00{number}", "g1"),
        ("user/{number}", None),
    ],
)
def test_the_trunk_is_what_the_dial_template_names(dial: str, trunk: str | None) -> None:
    assert trunk_of(dial) == trunk
