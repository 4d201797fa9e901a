"""A folder with a small sound library and a configuration, and the command line run in it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest
import structlog

from orchestrator.cli.group import cli
from orchestrator.environ import ENV_PREFIX
from tests.prompts.small_library import write_library

CODE = "493817"

CONFIG = """
[worker]
name = "w1"
[ledger]
url = "sqlite:///ledger.db"
[[pbx]]
name = "ast1"
url = "http://127.0.0.1:{port}/ari"
password = "a password"
dial = "PJSIP/{{number}}@lab"
caller_ids = ["+12025550199"]
request_timeout = 2
[prompts]
language = "en"
"""


class Desk:
    """Where an operator sits: a folder, a configuration, the command line."""

    def __init__(self, folder: Path, library: Path, port: int) -> None:
        self.folder = folder
        self.library = library
        self.config = folder / "orchestrator.toml"
        self.config.write_text(CONFIG.format(port=port))

    def run(self, *args: str, input: str | None = None, config: bool = True) -> click.testing.Result:
        """Run a command; with `config` it is given the configuration."""
        given = ["-c", str(self.config)] if config else []
        result = click.testing.CliRunner().invoke(cli, [*args, *given], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def submit(self, **job: Any) -> str:
        """Submit one job; its id."""
        job = {"to": "+12025550100", "code": CODE, **job}
        result = self.run("submit", input=json.dumps(job))
        assert result.exit_code == 0, result.stderr
        return result.stdout.strip()

    def add(self, text: str) -> None:
        """Add to the configuration."""
        self.config.write_text(self.config.read_text() + text)

    def replace(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    @property
    def left(self) -> set[str]:
        """The files that lie in the folder beside the configuration."""
        return {path.name for path in self.folder.iterdir()} - {self.config.name}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def desk(tmp_path: Path, library: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("orchestrator.setup.packaged_root", lambda: library)
    for name in ("ORCHESTRATOR_CONFIG", f"{ENV_PREFIX}PBX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield Desk(tmp_path, library, closed_port)
    structlog.reset_defaults()
