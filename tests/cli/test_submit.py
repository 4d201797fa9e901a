"""Jobs in by `submit`, and out again by `show` and `cancel`."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.clock import moment
from orchestrator.ledger import lease
from orchestrator.ledger.records import NewJob, Submitted
from orchestrator.ledger.sqlite import SqliteLedger, WorkerLock, connect
from tests.cli.conftest import CODE, Desk
from tests.notify.world import SECRET

JOB = {"to": "+12025550100", "code": CODE}


def lines(*jobs: object) -> str:
    return "\n".join(json.dumps(job) for job in jobs) + "\n"


def test_each_line_gives_one_id_and_the_same_job_the_same(desk: Desk) -> None:
    first = desk.run("submit", input=lines({**JOB, "id": "a"}, {**JOB, "id": "b"}, JOB))
    assert first.exit_code == 0
    a, b, generated = first.stdout.split()
    assert (a, b) == ("a", "b")
    assert len(generated) == 36
    again = desk.run("submit", "--json", input=lines({**JOB, "id": "a"}))
    assert json.loads(again.stdout) == {"id": "a", "state": "queued"}


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_job_is_due_and_expires_by_the_clock_of_the_worker_that_will_dial_it(
    desk: Desk, step: float
) -> None:
    # The worker goes by the time of its start; the time of day was set since, or the machine slept.
    desk.submit(id="before")
    owner = moment(lambda: time.time() + step)
    with closing(connect(desk.folder / "ledger.db")) as db:
        assert lease.take(db, None, "w1", {}, locked=True, seen=owner) is not None
        desk.submit(id="a")
        row = db.execute("SELECT created_at, next_at, expires_at FROM jobs WHERE id = 'a'").fetchone()
    assert row == pytest.approx((owner.at, owner.at, owner.at + 120.0), abs=60.0)


def test_one_object_may_be_spread_over_lines_and_come_from_a_file(desk: Desk) -> None:
    file = desk.folder / "job.json"
    file.write_text(json.dumps({**JOB, "id": "a"}, indent=2))
    result = desk.run("submit", str(file))
    assert (result.exit_code, result.stdout) == (0, "a\n")


def test_a_conflict_is_told_and_the_others_are_stored(desk: Desk) -> None:
    desk.submit(id="a")
    result = desk.run("submit", input=lines({**JOB, "id": "a", "plays": 3}, {**JOB, "id": "b"}))
    assert result.exit_code == 1
    assert result.stdout == "b\n"
    assert "line 1: job a is known with other content" in result.stderr


def test_one_bad_line_refuses_the_whole_input_and_every_fault_is_named(desk: Desk) -> None:
    bad = {"to": "+12025550100", "code": "4938x7", "plais": 3}
    result = desk.run("submit", input=lines(JOB, bad) + "\n" + lines({**JOB, "plays": 0}) + "{")
    assert result.exit_code == 2
    assert result.stdout == ""
    for said in (
        "line 2: $.plais: unknown field. Did you mean `plays`?",
        "line 2: $.code",
        "line 4: $.plays",
    ):
        assert said in result.stderr
    assert "line 5: $: not valid JSON" in result.stderr
    assert "4938x7" not in result.output
    assert desk.left == set()


@pytest.mark.parametrize("number", ["+1555,PJSIP/x", "+1&x", "12025550100", "+1202555010/0", "+1999", ""])
def test_a_number_that_is_none_is_refused(desk: Desk, number: str) -> None:
    result = desk.run("submit", input=lines({**JOB, "to": number}))
    assert result.exit_code == 2
    assert "$.to" in result.stderr
    assert desk.left == set()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ missing }}", "missing"),
        ("{% for i in range(1000) %}{% for j in range(1000) %}x{% endfor %}{% endfor %}", "steps"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "macro"),
        ("<speak>Nobody recorded this", "$.template"),
        ("<speak>Nobody recorded this</speak>", "$.template"),
    ],
)
def test_a_template_that_fails_or_does_not_end_refuses_the_job(desk: Desk, template: str, said: str) -> None:
    templates = desk.folder / "templates"
    templates.mkdir()
    (templates / "bad.ssml").write_text(template)
    desk.add('templates = "templates"\n')
    result = desk.run("submit", input=lines({**JOB, "template": "bad"}))
    assert result.exit_code == 2
    assert "line 1: $.template" in result.stderr
    assert said in result.stderr
    assert desk.left == {"templates"}


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_no_job_at_all_is_a_fault(desk: Desk, content: str) -> None:
    result = desk.run("submit", input=content)
    assert result.exit_code == 2
    assert "there is no job" in result.stderr


def test_a_file_that_cannot_be_read_is_named(desk: Desk) -> None:
    result = desk.run("submit", str(desk.folder))
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_show_tells_the_job_and_never_its_secrets(desk: Desk) -> None:
    desk.submit(id="a", user_data="order 7", variables={"name": "x49y"})
    text, shown = desk.run("show", "a"), desk.run("show", "a", "--json")
    assert text.exit_code == shown.exit_code == 0
    assert "waiting" in text.stdout
    assert "order 7" in text.stdout
    fields = json.loads(shown.stdout)
    assert (fields["state"], fields["job"]["to"], fields["attempts"]) == ("queued", "+12025550100", 0)
    assert fields["steps"][0]["event"] == "accepted"
    for output in (text.output, shown.output):
        assert CODE not in output
        assert "x49y" not in output


def test_a_cancelled_job_says_so_and_that_a_worker_is_needed(desk: Desk) -> None:
    desk.submit(id="a")
    result = desk.run("cancel", "a")
    assert result.exit_code == 0
    assert "it will not be dialled" in result.stdout
    assert "orchestrator run" in result.stderr
    assert json.loads(desk.run("show", "a", "--json").stdout)["cancel_requested"] is True


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_an_unknown_job_exits_1(desk: Desk, command: str) -> None:
    desk.submit(id="a")
    result = desk.run(command, "b")
    assert result.exit_code == 1
    assert "there is no job b" in result.stderr


@pytest.mark.parametrize("args", [["show", "a"], ["cancel", "a"], ["deadletters", "list"]])
def test_where_there_is_no_ledger_none_is_made(desk: Desk, args: list[str]) -> None:
    result = desk.run(*args)
    assert result.exit_code == 2
    assert "there is no ledger" in result.stderr
    assert desk.left == set()


def test_a_file_that_is_no_ledger_is_refused(desk: Desk) -> None:
    (desk.folder / "ledger.db").write_text("something else, and longer than a header of a database" * 100)
    result = desk.run("show", "a")
    assert result.exit_code == 2
    assert "ledger.db" in result.stderr
    assert Path(desk.folder / "ledger.db").read_text().startswith("something else")


@pytest.mark.parametrize(
    "args", [["submit"], ["cancel", "a"], ["deadletters", "replay", "--all"]], ids=lambda args: args[0]
)
def test_a_ledger_that_is_stuck_is_told_in_time_and_nothing_is_stored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    monkeypatch.setattr("orchestrator.cli.deadline.DEADLINE", 0.05)
    monkeypatch.setattr("orchestrator.ledger.groupcommit.LOCKED_PATIENCE", 0.01)
    desk.submit(id="a")
    with closing(sqlite3.connect(desk.folder / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = desk.run(*args, input=lines({**JOB, "id": "b"}))
        other.execute("ROLLBACK")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "database is locked" in result.stderr
    assert "end what locks it" in result.stderr
    assert desk.run("show", "b").exit_code == 1
    assert json.loads(desk.run("show", "a", "--json").stdout)["cancel_requested"] is False


def test_reading_does_not_wait_for_who_holds_the_ledger_for_writing(desk: Desk) -> None:
    desk.submit(id="a")
    with closing(sqlite3.connect(desk.folder / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        shown = desk.run("show", "a", "--json")
        letters = desk.run("deadletters", "list")
        other.execute("ROLLBACK")
    assert (shown.exit_code, json.loads(shown.stdout)["id"]) == (0, "a")
    assert letters.exit_code == 0, letters.stderr


def test_a_ledger_that_cannot_even_be_opened_now_exits_3(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.ledger.sqlite.BUSY_TIMEOUT", 0.01)
    desk.submit(id="a")
    with closing(sqlite3.connect(desk.folder / "ledger.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        result = desk.run("show", "a")
    assert result.exit_code == 3
    assert "cannot be used now" in result.stderr


def test_a_ledger_stuck_half_way_says_up_to_which_line_the_jobs_are_stored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cli.submit._AT_ONCE", 1)
    original = SqliteLedger.submit

    async def closed_after_the_first(ledger: SqliteLedger, jobs: Sequence[NewJob]) -> list[Submitted]:
        if jobs[0].id == "b":
            await ledger.close()
        return await original(ledger, jobs)

    monkeypatch.setattr(SqliteLedger, "submit", closed_after_the_first)
    result = desk.run("submit", input=lines({**JOB, "id": "a"}, {**JOB, "id": "b"}))
    assert (result.exit_code, result.stdout) == (3, "a\n")
    assert "The jobs up to line 1 are stored" in result.stderr


@pytest.mark.parametrize("own", [True, False])
def test_show_says_who_delivers_what_waits_and_to_where(desk: Desk, own: bool) -> None:
    desk.add(f'[notify]\nurl = "http://127.0.0.1:9/default"\nsecret = "{SECRET}"\n')
    desk.add('allow_networks = ["127.0.0.0/8"]\n')
    desk.submit(id="a", **({"notify": {"url": "http://127.0.0.1:9/own"}} if own else {}))
    with closing(sqlite3.connect(desk.folder / "ledger.db")) as db, db:
        db.execute(
            "INSERT INTO outbox (event_id, lane, sequence, url, type, body, state, created_at, next_at,"
            " attempts, error) VALUES ('e', 'a', 1, 'u', 'job.ended', '{}', 'pending', 0, 0, 1, 'refused')"
        )
    idle = desk.run("show", "a").stdout
    assert "until a worker (orchestrator run) delivers them" in idle
    assert ("at the job's own notify.url?" in idle) is own
    lock = WorkerLock.take(desk.folder / "ledger.db")
    assert lock is not None
    busy = desk.run("show", "a").stdout
    lock.release()
    assert "The worker that runs tries again by itself." in busy
    assert "until a worker" not in busy


def test_show_says_for_which_limit_a_job_waits(desk: Desk) -> None:
    desk.submit(id="a")
    with closing(sqlite3.connect(desk.folder / "ledger.db")) as db, db:
        db.execute("UPDATE jobs SET held = 'callee:+12025550100'")
    assert "as many calls to its number live as callee_calls allows" in desk.run("show", "a").stdout
    assert json.loads(desk.run("show", "a", "--json").stdout)["waits_for"] == "callee_calls"
