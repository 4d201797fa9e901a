"""The code leaves the process list as the first thing that happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.mask import MASK, masked
from tests.cli.conftest import CODE, CONFIG


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["call", "+1", "--code", CODE], ["call", "+1", "--code", MASK]),
        (["call", f"--code={CODE}"], ["call", f"--code={MASK}"]),
        (["call", f"--code{CODE}"], ["call", f"--code{MASK}"]),
        (["call", "--var", f"name={CODE}"], ["call", "--var", f"name={MASK}"]),
        (["call", f"--var=name={CODE}"], ["call", f"--var=name={MASK}"]),
        (["call", "--var", CODE], ["call", "--var", MASK]),
        (["call", "--code-file", "f"], ["call", "--code-file", "f"]),
        (["call", "--code-file=f", "--json"], ["call", "--code-file=f", "--json"]),
        (["call", "--code"], ["call", "--code"]),
    ],
)
def test_secret_options_lose_their_values_and_others_keep_them(given: list[str], shown: list[str]) -> None:
    assert masked(given) == shown


def test_the_process_list_does_not_hold_the_code_while_the_program_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and never answers
        config = tmp_path / "orchestrator.toml"
        config.write_text(CONFIG.format(port=silent.getsockname()[1]))
        program = subprocess.Popen(
            [
                sys.executable,
                *("-m", "orchestrator", "call", "+12025550100", "--code", CODE),
                *("--var", f"name=x{CODE}", "-c", str(config)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            shown = Path(f"/proc/{program.pid}/cmdline").read_bytes()
            environment = Path(f"/proc/{program.pid}/environ").read_bytes()
            listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
            program.terminate()
            output, _ = program.communicate(timeout=20)
    assert b"orchestrator call +12025550100" in shown
    assert MASK.encode() in shown
    for place in (shown, environment, listed, output):
        assert CODE.encode() not in place
    assert os.listdir(tmp_path) == ["orchestrator.toml"]
