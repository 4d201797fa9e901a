"""The commands on a ledger that is a PostgreSQL."""

import asyncio
import json
from collections.abc import Iterator

import asyncpg
import pytest

from tests.cli.conftest import CODE, Desk
from tests.postgres import Server

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server.made()
    yield made
    made.remove()


@pytest.fixture
def shared(desk: Desk, server: Server) -> Desk:
    url = asyncio.run(server.database())
    desk.replace('url = "sqlite:///ledger.db"', f'url = "{url}"\nkey = "{KEY}"')
    return desk


def give_up(url: str) -> None:
    """Make a dead letter of every notification."""

    async def run() -> None:
        db = await asyncpg.connect(url)
        await db.execute(
            "INSERT INTO outbox (event_id, lane, sequence, url, type, body, state, worker, created_at,"
            " next_at) VALUES ('e', 'job-1', 1, 'http://r/', 'job.ended', '{}', 'dead', 'w1', 1, 1)"
        )
        await db.close()

    asyncio.run(run())


def test_a_job_is_submitted_shown_cancelled_and_its_letters_replayed(shared: Desk, server: Server) -> None:
    assert shared.submit(id="job-1", code=CODE) == "job-1"
    assert json.loads(shared.run("show", "job-1", "--json").stdout)["state"] == "queued"
    cancelled = shared.run("cancel", "job-1")
    assert cancelled.exit_code == 0
    assert "No worker runs on this ledger" in cancelled.stderr
    assert json.loads(shared.run("show", "job-1", "--json").stdout)["cancel_requested"]
    give_up(server.url(f"d{server.made_databases}"))
    assert "job-1" in shared.run("deadletters", "list").stdout
    assert shared.run("deadletters", "replay", "--all").exit_code == 0
    assert "There are none" in shared.run("deadletters", "list").stdout
    assert shared.left == set()


def test_the_doctor_tells_of_the_server_and_of_its_workers(shared: Desk) -> None:
    said = shared.run("doctor").stdout
    assert "is empty yet" in said
    shared.submit()
    assert "none runs" in shared.run("doctor").stdout


def test_a_server_that_is_not_there_is_a_dependency_out_of_reach(desk: Desk) -> None:
    url = f"postgresql://me:hush@/d?host={desk.folder}"
    desk.replace('url = "sqlite:///ledger.db"', f'url = "{url}"\nkey = "{KEY}"')
    done = desk.run("show", "job-1")
    assert done.exit_code == 3
    assert "cannot be reached now" in done.stderr
    assert "hush" not in done.stderr + desk.run("doctor").stdout


def test_every_worker_of_a_shared_ledger_needs_the_same_key(desk: Desk) -> None:
    desk.replace('url = "sqlite:///ledger.db"', 'url = "postgresql://me@host/d"')
    done = desk.run("show", "job-1")
    assert done.exit_code == 2
    assert "ledger.key_file: required with PostgreSQL" in done.stderr


def test_a_key_that_is_not_the_ledgers_own_is_refused(shared: Desk) -> None:
    shared.submit(id="job-1")
    shared.replace(KEY, KEY.replace("A", "B", 1))
    done = shared.run("submit", input=json.dumps({"to": "+12025550100", "code": CODE}))
    assert done.exit_code == 2
    assert "another key" in done.stderr
    assert KEY[:20] not in done.stderr
