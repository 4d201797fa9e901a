"""The program's outside: help, version, exit codes of usage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator import __version__
from tests.cli.conftest import Desk

HEAVY = ("aiohttp", "rich", "jinja2", "sqlite3", "msgspec", "asyncio", "structlog")


def test_help_imports_none_of_the_rooms() -> None:
    program = (
        "import sys; from orchestrator.cli.group import cli; cli(['--help'], standalone_mode=False);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "doctor" in done.stdout
    assert "Exit codes: 0 done" in done.stdout
    assert "_ORCHESTRATOR_COMPLETE" in done.stdout


def test_the_program_says_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout


@pytest.mark.parametrize(
    "args", [["call", "--nonsense"], ["--nonsense"], ["nonsense"], ["call"], ["deadletters", "replay"]]
)
def test_wrong_usage_exits_2(desk: Desk, args: list[str]) -> None:
    result = desk.run(*args, config=False)
    assert result.exit_code == 2
    assert "Error:" in result.stderr


@pytest.mark.parametrize(
    "command",
    ["run", "call", "submit", "show", "cancel", "deadletters", "render", "sounds", "doctor"],
)
def test_every_command_has_its_help(desk: Desk, command: str) -> None:
    result = desk.run(command, "--help", config=False)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage:")
