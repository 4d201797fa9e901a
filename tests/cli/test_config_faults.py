"""What a wrong configuration comes to: one message with the mend, exit code 2, nothing stored."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CODE, Desk

EVERY_COMMAND = [
    ["run"],
    ["call", "+12025550100", "--code", CODE],
    ["submit", "-"],
    ["show", "j"],
    ["cancel", "j"],
    ["deadletters", "list"],
    ["render", "code"],
    ["sounds", "list"],
]


@pytest.mark.parametrize("args", EVERY_COMMAND)
def test_an_unknown_key_names_the_nearest_known_one(desk: Desk, args: list[str]) -> None:
    desk.replace("caller_ids", "caler_ids")
    result = desk.run(*args, input="{}")
    assert result.exit_code == 2
    assert "pbx[0].caler_ids: unknown field. Did you mean `caller_ids`?" in result.stderr
    assert "Traceback" not in result.output
    assert desk.left == set()


def test_doctor_tells_a_faulty_configuration_as_a_fault(desk: Desk) -> None:
    desk.replace("caller_ids", "caler_ids")
    result = desk.run("doctor")
    assert result.exit_code == 2
    assert "Did you mean `caller_ids`?" in result.stdout


def test_no_configuration_at_all_says_where_it_was_looked_for(desk: Desk) -> None:
    desk.config.unlink()
    result = desk.run("run", config=False)
    assert result.exit_code == 2
    assert "orchestrator.toml" in result.stderr
    assert "-c FILE" in result.stderr


def test_a_file_that_is_not_there_is_named(desk: Desk) -> None:
    desk.config.unlink()
    result = desk.run("submit", "-", input="{}")
    assert result.exit_code == 2
    assert str(desk.config) in result.stderr


@pytest.mark.parametrize("args", [["call", "+12025550100", "--code", CODE], ["submit", "-"], ["run"]])
def test_a_ledger_in_a_folder_that_is_not_there_is_refused_with_the_mend(desk: Desk, args: list[str]) -> None:
    desk.replace("sqlite:///ledger.db", "sqlite:///not/there/ledger.db")
    result = desk.run(*args, input='{"to": "+12025550100", "code": "493817"}')
    assert result.exit_code == 2
    assert "mkdir -p" in result.stderr
    assert desk.left == set()


def test_the_configuration_may_come_from_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CONFIG", str(desk.config))
    assert desk.run("render", "code", config=False).exit_code == 0


def test_a_worker_without_a_pbx_says_so(desk: Desk) -> None:
    desk.config.write_text("")
    result = desk.run("run")
    assert result.exit_code == 2
    assert "[[pbx]]" in result.stderr
