"""The judge sees every law that is broken, and none where none is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.judge import Arrival, Attempt, Evidence, Stored, figures, judge, read_evidence, read_rings

RETRY = {"attempts": 2, "delay": 1, "on": ["busy", "failed"]}
TO = "12010000001"


def attempt(number: int = 1, at: float = 100.0, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "call_id": f"call-{number}",
        "number": number,
        "planned_at": at,
        "outcome": "busy",
        "certain": True,
        "answered": False,
        "journal": ("planned", "accepted", "ended"),
    }
    return Attempt(**(fields | changes))


def event(sequence: int, type_: str, *, taken: bool = True, webhook: str = "", **data: Any) -> Arrival:
    told = {"sequence": sequence, **data}
    body = {"type": type_, "subject": "job-1", "data": told}
    return Arrival(100.0 + sequence, webhook or f"evt-{sequence}", taken, body)


def records(*calls: str, webhook: str = "cdr-1") -> Arrival:
    data = {"records": [{"call_id": call} for call in calls]}
    return Arrival(200.0, webhook, True, {"type": "cdr", "data": data})


DIAL = event(1, "call.dialing", call_id="call-1")
HANGUP = event(2, "call.hangup", call_id="call-1", outcome="busy")
VERDICT = event(3, "job.ended", outcome="busy")

GOOD = Evidence(
    submitted=({"id": "job-1", "to": f"+{TO}", "retry": None, "accepted": True},),
    stored={"job-1": Stored("ended", "busy", (attempt(),))},
    rings={TO: (100.5,)},
    arrivals=(DIAL, HANGUP, VERDICT, records("call-1")),
    undelivered=0,
    channels=0,
)


def with_retry(*attempts: Attempt, rings: tuple[float, ...]) -> Evidence:
    told = [event(n, "call.hangup", call_id=each.call_id) for n, each in enumerate(attempts, start=1)]
    return dataclasses.replace(
        GOOD,
        submitted=({**GOOD.submitted[0], "retry": RETRY},),
        stored={"job-1": Stored("ended", "busy", attempts)},
        rings={TO: rings},
        arrivals=(
            *told,
            event(len(told) + 1, "job.ended", outcome="busy"),
            records(*(each.call_id for each in attempts)),
        ),
    )


def broken(found: Evidence) -> set[str]:
    return {law for law, ids in judge(found).items() if ids}


def arrivals(*each: Arrival) -> Evidence:
    return dataclasses.replace(GOOD, arrivals=each)


def stored(**changes: Any) -> Evidence:
    job = dataclasses.replace(GOOD.stored["job-1"], **changes)
    return dataclasses.replace(GOOD, stored={"job-1": job})


CDR = records("call-1")
WRONG: dict[str, tuple[Evidence, set[str]]] = {
    "two rings and no retry": (dataclasses.replace(GOOD, rings={TO: (100.5, 101.0)}), {"double_rings"}),
    "a ring before its intent": (dataclasses.replace(GOOD, rings={TO: (90.0,)}), {"unplanned_rings"}),
    "a ring at a stranger's": (
        dataclasses.replace(GOOD, rings={TO: (100.5,), "12019999999": (1.0,)}),
        {"unplanned_rings"},
    ),
    "an answer without a ring": (
        dataclasses.replace(
            GOOD, rings={}, stored={"job-1": Stored("ended", "busy", (attempt(answered=True),))}
        ),
        {"unseen_rings"},
    ),
    "no verdict": (arrivals(DIAL, HANGUP, CDR), {"missing_verdicts"}),
    "a verdict that was never taken": (
        arrivals(DIAL, HANGUP, dataclasses.replace(VERDICT, taken=False), CDR),
        {"missing_verdicts"},
    ),
    "two verdicts": (
        arrivals(DIAL, HANGUP, VERDICT, event(4, "job.ended", outcome="busy"), CDR),
        {"duplicate_verdicts", "out_of_order"},
    ),
    "another verdict than the ledger's": (
        arrivals(DIAL, HANGUP, event(3, "job.ended", outcome="failed"), CDR),
        {"contradictions"},
    ),
    "a gap": (
        arrivals(DIAL, HANGUP, event(4, "job.ended", outcome="busy"), CDR),
        {"sequence_gaps", "out_of_order"},
    ),
    "the wrong order": (arrivals(HANGUP, DIAL, VERDICT, CDR), {"out_of_order"}),
    "sent on before the one before was taken": (
        arrivals(dataclasses.replace(DIAL, taken=False), HANGUP, DIAL, HANGUP, VERDICT, CDR),
        {"out_of_order"},
    ),
    "something after the verdict": (
        arrivals(DIAL, HANGUP, VERDICT, event(4, "call.digits"), CDR),
        {"out_of_order"},
    ),
    "a job that never ended": (stored(state="active"), {"open_jobs"}),
    "a job that was accepted and is gone": (
        dataclasses.replace(GOOD, stored={}),
        {"open_jobs", "unplanned_rings", "double_rings"},
    ),
    "an event that changed": (
        arrivals(DIAL, HANGUP, VERDICT, event(1, "call.dialing", call_id="other"), CDR),
        {"changed_events"},
    ),
    "no record": (arrivals(DIAL, HANGUP, VERDICT), {"missing_records"}),
    "two records": (
        arrivals(DIAL, HANGUP, VERDICT, CDR, records("call-1", webhook="cdr-2")),
        {"duplicate_records"},
    ),
    "two hang-ups of one call": (
        arrivals(
            DIAL,
            HANGUP,
            event(3, "call.hangup", call_id="call-1"),
            event(4, "job.ended", outcome="busy"),
            CDR,
        ),
        {"wrong_hangups"},
    ),
}


def test_a_run_in_which_all_went_well_breaks_no_law() -> None:
    assert broken(GOOD) == set()


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_seen_by_its_law_and_by_no_other(what: str) -> None:
    found, laws = WRONG[what]
    assert broken(found) == laws


def test_a_job_that_expired_before_it_was_dialled_is_no_offence() -> None:
    found = dataclasses.replace(
        GOOD,
        stored={"job-1": Stored("ended", "expired", ())},
        rings={},
        arrivals=(event(1, "job.ended", outcome="expired"),),
    )
    assert broken(found) == set()


def test_a_delivery_that_comes_twice_under_one_id_is_no_offence() -> None:
    assert broken(arrivals(DIAL, DIAL, HANGUP, HANGUP, VERDICT, VERDICT, CDR, CDR)) == set()


def test_a_delivery_that_was_refused_first_is_no_offence() -> None:
    assert broken(arrivals(dataclasses.replace(DIAL, taken=False), DIAL, HANGUP, VERDICT, CDR)) == set()


RIGHTFUL = (attempt(1, 100.0), attempt(2, 110.0))
SECOND_RINGS: dict[str, tuple[tuple[Attempt, ...], tuple[float, ...], bool]] = {
    "after an outcome of its list": (RIGHTFUL, (100.5, 110.5), False),
    "when only one of them rang": (RIGHTFUL, (110.5,), False),
    "after an outcome that it does not name": (
        (attempt(1, outcome="rejected"), attempt(2, 110.0)),
        (100.5, 110.5),
        True,
    ),
    "after what was not certain": (
        (attempt(1, outcome="failed", certain=False), attempt(2, 110.0)),
        (100.5, 110.5),
        True,
    ),
    "after more attempts than allowed": (
        (*RIGHTFUL, attempt(3, 120.0)),
        (100.5, 110.5, 120.5),
        True,
    ),
    "twice in one attempt": (RIGHTFUL, (100.5, 100.9), True),
}


@pytest.mark.parametrize("when", SECOND_RINGS)
def test_a_second_ring_is_right_only_when_the_job_asks_for_it_and_the_first_one_is_certain(when: str) -> None:
    attempts, rings, wrong = SECOND_RINGS[when]
    assert broken(with_retry(*attempts, rings=rings)) == ({"double_rings"} if wrong else set())


def test_a_repeated_invite_is_no_second_ring(tmp_path: Path) -> None:
    def line(at: float, way: str, call: str, first: str) -> str:
        return "\t".join(("2026-01-01", "00:00:00", f"{at}", way, call, "CSeq:1 INVITE", first)) + "\n"

    invite = f"INVITE sip:{TO}@127.0.0.1:5070 SIP/2.0"
    log = tmp_path / "rings.tsv"
    log.write_text(
        line(1.5, "R", "a", invite)
        + line(1.6, "S", "a", "SIP/2.0 180 Ringing")
        + line(2.0, "R", "a", invite)
        + line(3.0, "R", "b", invite)
        + line(3.1, "R", "b", f"CANCEL sip:{TO}@127.0.0.1:5070 SIP/2.0")
    )
    assert read_rings(log) == {TO: (1.5, 3.0)}


def _write(folder: Path) -> None:
    (folder / "jobs.jsonl").write_text(json.dumps(GOOD.submitted[0]) + "\n")
    (folder / "rings.tsv").write_text(
        f"2026-01-01\t00:00:00\t100.5\tR\tx\tCSeq:1 INVITE\tINVITE sip:{TO}@127.0.0.1 SIP/2.0\n"
    )
    lines = [
        {"at": each.at, "id": each.webhook, "taken": each.taken, "event": each.event}
        for each in GOOD.arrivals
    ]
    (folder / "webhooks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "channels.json").write_text("[]")
    db = sqlite3.connect(folder / "ledger.db")
    db.executescript(
        """
        CREATE TABLE jobs (id, state, outcome);
        CREATE TABLE calls (number, id, job_id, attempt, cdr);
        CREATE TABLE journal (call, n, at, event);
        CREATE TABLE outbox (state);
        INSERT INTO jobs VALUES ('job-1', 'ended', 'busy');
        INSERT INTO calls VALUES (1, 'call-1', 'job-1', 1, '{"outcome": "busy", "answered_at": null}');
        INSERT INTO journal VALUES (1, 1, 100.0, '{"e": "planned"}'), (1, 2, 100.1, '{"e": "accepted"}'),
            (1, 3, 101.0, '{"e": "ended"}');
        INSERT INTO outbox VALUES ('delivered');
        """
    )
    db.commit()
    db.close()


def test_what_was_written_down_is_read_as_it_was(tmp_path: Path) -> None:
    _write(tmp_path)
    assert read_evidence(tmp_path) == GOOD


def test_figures_count_what_was_broken_and_what_was_left(tmp_path: Path) -> None:
    _write(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        db.execute("INSERT INTO outbox VALUES ('pending')")
        db.commit()
    (tmp_path / "channels.json").write_text('[{"id": "left"}]')
    found = dataclasses.replace(read_evidence(tmp_path), rings={TO: (100.5, 102.0)})
    counted = figures(found, judge(found))
    assert (counted["calls"], counted["double_rings"], counted["missing_verdicts"]) == (1, 1, 0)
    assert (counted["undelivered"], counted["stray_channels"], counted["rings"]) == (1, 1, 2)
