"""Notifications that were given up can be seen and sent again."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest

from orchestrator.clock import moment
from orchestrator.ledger import lease
from orchestrator.ledger.sqlite import connect
from tests.cli.conftest import Desk


def bury(desk: Desk, job: str) -> None:
    with closing(sqlite3.connect(desk.folder / "ledger.db")) as db, db:
        db.execute(
            "INSERT INTO outbox (event_id, lane, sequence, url, type, body, state, created_at, next_at,"
            " attempts, error) VALUES ('e', ?, 1, 'http://r/', 'job.ended', '{}', 'dead', 0, 0, 10, 'gone')",
            (job,),
        )


def test_they_are_listed_and_replayed_by_job(desk: Desk) -> None:
    desk.submit(id="a")
    bury(desk, "a")
    listed = desk.run("deadletters", "list")
    assert "job.ended #1  10 tries: gone" in listed.stdout
    fields = json.loads(desk.run("deadletters", "list", "--json").stdout)
    assert (fields["job_id"], fields["attempts"], fields["error"]) == ("a", 10, "gone")
    assert desk.run("deadletters", "replay", "other").exit_code == 1
    replayed = desk.run("deadletters", "replay", "a", "--json")
    assert (replayed.exit_code, json.loads(replayed.stdout)) == (0, {"replayed": 1})
    assert "There are none." in desk.run("deadletters", "list").stdout


def test_they_are_due_by_the_clock_of_the_worker_that_will_deliver_them(desk: Desk) -> None:
    desk.submit(id="a")
    bury(desk, "a")
    owner = moment(lambda: time.time() - 3600.0)
    with closing(connect(desk.folder / "ledger.db")) as db:
        assert lease.take(db, None, "w1", {}, locked=True, seen=owner) is not None
        assert desk.run("deadletters", "replay", "--all").exit_code == 0
        (next_at,) = db.execute("SELECT next_at FROM outbox").fetchone()
    assert next_at == pytest.approx(owner.at, abs=60.0)


def test_all_are_replayed_only_on_demand(desk: Desk) -> None:
    desk.submit(id="a")
    bury(desk, "a")
    assert desk.run("deadletters", "replay").exit_code == 2
    assert desk.run("deadletters", "replay", "a", "--all").exit_code == 2
    assert desk.run("deadletters", "replay", "--all").exit_code == 0
    assert desk.run("deadletters", "replay", "--all").exit_code == 1
