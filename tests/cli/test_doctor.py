"""The doctor finds each fault, and says the mend."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from orchestrator.cli.checks import counted
from orchestrator.cli.pbx_checks import check_pbx
from orchestrator.config import Pbx
from tests.cli.conftest import Desk
from tests.pbx.ari.fake_ari import FakeAri, serving

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def rows(desk: Desk, check: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in desk.run("doctor", "--json").stdout.splitlines()]
    return [row for row in found if row["check"] == check]


def test_an_unreachable_pbx_is_a_fault_of_code_3_and_nothing_is_made(desk: Desk) -> None:
    result = desk.run("doctor")
    assert result.exit_code == 3
    assert "Is Asterisk running there" in result.stdout
    assert desk.left == set()


def test_the_worst_fault_decides(desk: Desk) -> None:
    desk.add('[notify]\nurl = "http://127.0.0.1:9/"\nsecret = "no secret"\n')
    assert desk.run("doctor").exit_code == 3
    assert rows(desk, "notify")[0]["exit_code"] == 2
    assert "whsec_" in rows(desk, "notify")[0]["said"]


@pytest.mark.parametrize(
    ("old", "new", "check", "said"),
    [
        ("sqlite:///ledger.db", "sqlite:///no/ledger.db", "ledger", "is not there"),
        ('language = "en"', 'language = "fr"', "prompts", 'no language "fr"'),
        ('language = "en"', 'language = "en"\ntemplates = "none"', "prompts", "there is no such folder"),
        ("PJSIP/{number}@lab", "PJSIP/{number}@ lab", "pbx ast1", "dial"),
        ('caller_ids = ["+12025550199"]', "", "pbx ast1", "no caller_ids"),
    ],
)
def test_a_fault_of_the_configuration_is_told_where_it_is(
    desk: Desk, old: str, new: str, check: str, said: str
) -> None:
    desk.replace(old, new)
    assert said in " ".join(row["said"] for row in rows(desk, check))


def test_a_template_that_cannot_be_spoken_is_a_fault(desk: Desk) -> None:
    (desk.folder / "templates").mkdir()
    (desk.folder / "templates/bad.ssml").write_text("<speak>Nobody recorded this</speak>")
    desk.add('templates = "templates"\n')
    assert {row["level"] for row in rows(desk, "template")} == {"fail"}


def test_a_key_that_others_can_read_is_a_warning_and_a_wrong_one_a_fault(desk: Desk) -> None:
    desk.submit(id="a")
    key = desk.folder / "ledger.db.key"
    assert rows(desk, "ledger key")[0]["level"] == "ok"
    key.chmod(0o644)
    assert "chmod 600" in rows(desk, "ledger key")[0]["mend"]
    key.write_text("not a key")
    assert rows(desk, "ledger key")[0]["level"] == "fail"
    key.unlink()
    assert rows(desk, "ledger key")[0]["level"] == "fail"


def test_jobs_dead_letters_and_foreign_files_are_seen_in_the_ledger(desk: Desk) -> None:
    desk.submit(id="a")
    assert "1 queued" in rows(desk, "ledger")[0]["said"]
    (desk.folder / "ledger.db").write_bytes(b"something else" * 1000)
    assert rows(desk, "ledger")[0]["level"] == "fail"


def test_an_address_in_use_and_a_receiver_that_takes_connections_are_seen(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        desk.add(f'[http]\nlisten = "127.0.0.1:{port}"\n')
        desk.add(f'[notify]\nurl = "http://127.0.0.1:{port}/"\nsecret = "{SECRET}"\n')
        assert rows(desk, "http")[0]["level"] == "fail"
        assert rows(desk, "notify")[0]["level"] == "ok"
    assert rows(desk, "http")[0]["level"] == "ok"
    assert rows(desk, "notify")[0]["exit_code"] == 3


def test_one_of_a_thing_is_not_told_in_the_plural(desk: Desk) -> None:
    desk.config.write_text("no TOML")
    assert "1 check, 1 fault, 0 warnings." in desk.run("doctor").stdout
    assert [counted(n, "fault") for n in (0, 1, 2)] == ["0 faults", "1 fault", "2 faults"]


async def test_a_wrong_password_is_told_with_its_mend() -> None:
    fake = FakeAri(refuse_with=401)
    async with serving(fake):
        node = Pbx(name="ast1", url=fake.url, password="wrong", dial="PJSIP/{number}@lab")
        found = await check_pbx(node, None, False)
    assert (found[0].said, found[0].mend) == ("wrong ARI user or password", "compare with ari.conf")
