"""The worker's log: lines that a machine reads, and no secret in a traceback."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from orchestrator.cli.logs import configure_logs

configure_logs("{level}")

def fail():
    secret = "49" + "3817"
    raise ValueError("what went wrong")

structlog.get_logger("rooms").info("quiet", pbx="ast1")
try:
    fail()
except ValueError:
    structlog.get_logger("rooms").exception("room_failed")
    logging.getLogger("library").exception("library failed")
logging.getLogger("library").info("chatter")
"""


def log(level: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "493817" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_each_line_is_json_with_level_and_time_and_a_traceback_without_locals() -> None:
    lines = log("info")
    assert [(line["event"], line["level"]) for line in lines] == [
        ("quiet", "info"),
        ("room_failed", "error"),
        ("library failed", "error"),
    ]
    assert all(str(line["timestamp"]).endswith("Z") for line in lines)
    for line in lines[1:]:
        assert "what went wrong" in json.dumps(line["exception"])


def test_the_level_of_the_configuration_holds() -> None:
    assert [line["event"] for line in log("warning")] == ["room_failed", "library failed"]
