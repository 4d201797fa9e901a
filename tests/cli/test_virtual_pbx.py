"""`orchestrator virtual-pbx`, and a node of `kind = "virtual"` within the worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import CODE, Desk

NODE = '\n[[pbx]]\nname = "trial"\nkind = "virtual"\nurl = "{url}"\ndial = "PJSIP/{{number}}@lab"\n'


def test_it_listens_says_where_answers_and_ends_on_a_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator", "virtual-pbx", "--json"]
    for face in ("ari", "esl", "control"):
        command += [f"--{face}", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True) as process:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{where['control']}/", timeout=10) as answer:  # noqa: S310
            assert json.load(answer)["ari"] == where["ari"]
        with urllib.request.urlopen(  # noqa: S310
            f"{where['ari']}/asterisk/ping?api_key=orchestrator:virtual", timeout=10
        ) as answer:
            assert json.load(answer)["ping"] == "pong"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--ari", "nonsense"), "host and a port"),
        (("--control", "0.0.0.0:0"), "loopback only"),
        (("--ari", "0.0.0.0:0"), "password"),
    ],
)
def test_an_unfit_address_is_refused(desk: Desk, arguments: tuple[str, ...], told: str) -> None:
    done = desk.run("virtual-pbx", *arguments, config=False)
    assert done.exit_code == 2
    assert told in done.stderr


def test_an_address_that_is_taken_is_refused(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = desk.run("virtual-pbx", "--ari", address, "--esl", "off", "--control", "off", config=False)
    assert done.exit_code == 2
    assert "cannot listen" in done.stderr


def test_a_configuration_without_a_virtual_node_is_refused(desk: Desk) -> None:
    done = desk.run("virtual-pbx")
    assert done.exit_code == 2
    assert "virtual" in done.stderr


@pytest.mark.parametrize(
    ("number", "outcome", "code"), [("+12025550108", "completed", 0), ("+12025550101", "busy", 1)]
)
@pytest.mark.parametrize("url", ["http://127.0.0.1:0/ari", "esl://127.0.0.1:0"])
def test_a_call_is_made_on_a_virtual_pbx_within_the_worker(
    desk: Desk, url: str, number: str, outcome: str, code: int
) -> None:
    head, _, tail = desk.config.read_text().partition("[[pbx]]")
    rest = tail[tail.index("[prompts]") :]
    node = NODE.format(url=url) + "[pbx.virtual]\nspeed = 50.0\n"
    if url.startswith("esl"):
        node = node.replace("PJSIP/{number}@lab", "sofia/gateway/lab/{number}")
    desk.config.write_text(head + node + rest)
    done = desk.run("call", number, "--code", CODE)
    assert done.exit_code == code, done.stdout + done.stderr
    assert outcome in done.stdout
    assert CODE not in done.stdout + done.stderr


def test_doctor_says_that_the_node_is_virtual(desk: Desk) -> None:
    desk.add(NODE.format(url="http://127.0.0.1:0/ari"))
    assert "it reaches nobody's phone" in desk.run("doctor").stdout


def test_a_worker_whose_virtual_pbx_cannot_listen_says_the_mend(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        head, _, tail = desk.config.read_text().partition("[[pbx]]")
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/ari"
        desk.config.write_text(head + NODE.format(url=url) + tail[tail.index("[prompts]") :])
        environment = {**os.environ, "PYTHONWARNINGS": "error"}
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "run", "-c", str(desk.config)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=environment,
        )
    assert done.returncode == 2
    assert "port 0" in done.stderr
