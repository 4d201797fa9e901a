"""What `call` refuses before anything is stored. Real calls are in tests/real/test_cli.py."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.cli.conftest import CODE, CONFIG, Desk


@pytest.fixture
def gatekeeper() -> Iterator[int]:
    """The port of a server that answers 401 to everybody, as Asterisk does for a wrong password."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_pbx_that_is_not_there_exits_3_with_the_mend_and_nothing_stored(desk: Desk) -> None:
    result = desk.run("call", "+12025550100", "--code", CODE)
    assert result.exit_code == 3
    assert "ast1" in result.stderr
    assert "Is Asterisk running there" in result.stderr
    assert desk.left == set()


def test_a_wrong_password_exits_2_with_the_mend_and_nothing_stored(desk: Desk, gatekeeper: int) -> None:
    desk.config.write_text(CONFIG.format(port=gatekeeper))
    result = desk.run("call", "+12025550100", "--code", CODE)
    assert result.exit_code == 2
    assert "wrong ARI user or password" in result.stderr
    assert "a password" not in result.output
    assert desk.left == set()


def test_a_refusal_by_one_node_goes_before_the_absence_of_another(desk: Desk, gatekeeper: int) -> None:
    desk.add(
        f'[[pbx]]\nname = "ast2"\nurl = "http://127.0.0.1:{gatekeeper}/ari"\npassword = "x"\n'
        'dial = "PJSIP/{number}@lab"\n'
    )
    assert desk.run("call", "+12025550100", "--code", CODE).exit_code == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["+1555,PJSIP/x", "--code", CODE], "NUMBER:"),
        (["+1&x", "--code", CODE], "NUMBER:"),
        (["+12025550100", "--code", "12"], "--code:"),
        (["+12025550100", "--code", "4938x7"], "--code:"),
        (["+12025550100", "--code", CODE, "--plays", "12"], "--plays:"),
        (["+12025550100", "--code", CODE, "--from", "+12025550123"], "--from:"),
        (["+12025550100", "--code", CODE, "--template", "none"], "--template:"),
        (["+12025550100", "--code", CODE, "--language", "!"], "--language:"),
        (["+12025550100", "--code", CODE, "--ring-timeout", "1"], "--ring-timeout:"),
        (["+12025550100", "--code", CODE, "--max-duration", "1"], "--max-duration:"),
        (["+12025550100", "--code", CODE, "--var", "1=2"], "--var"),
        (["+12025550100", "--code", CODE, "--var", "novalue"], "NAME=TEXT"),
        (["+12025550100", "--code", CODE, "--code-file", "-"], "either --code or --code-file"),
        (["+12025550100"], "--code-file FILE"),
        (["+12025550100", "--code-file", "/not/there"], "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_by_its_option_and_nothing_is_stored(
    desk: Desk, args: list[str], said: str
) -> None:
    result = desk.run("call", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert CODE not in result.output
    assert "4938x7" not in result.output
    assert desk.left == set()


def test_the_code_may_come_from_standard_input_or_a_file(desk: Desk) -> None:
    assert desk.run("call", "+12025550100", "--code-file", "-", input=f"{CODE}\n").exit_code == 3
    file = desk.folder / "code"
    file.write_text(f"{CODE}\n")
    assert desk.run("call", "+12025550100", "--code-file", str(file)).exit_code == 3


def test_several_faults_are_told_at_once(desk: Desk) -> None:
    result = desk.run("call", "x", "--code", "1", "--plays", "0")
    for said in ("NUMBER:", "--code:", "--plays:"):
        assert said in result.stderr
