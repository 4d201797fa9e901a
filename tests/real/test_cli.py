"""The command line against a real Asterisk: calls with and without a worker, on a terminal and off it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.mask import MASK
from tests.real.lab import REPO, LabInfo, lab_cli, own_name, stop_lab
from tests.real.worker import Receiver, free_port, install_sounds, worker_on, write_config

pytestmark = pytest.mark.real

CODE = "4938"
LONG_CODE = "7719264058"
"""No other digits in any file are these."""
QUICK, BUSY, RINGS = "+12025550108", "+12025550101", "+12025550102"


class Desk:
    """A folder with a configuration for the lab, and the command line as a process."""

    def __init__(self, lab: LabInfo, folder: Path, notify_url: str, **pbx: object) -> None:
        self.lab = lab
        self.folder = folder
        self.config = write_config(lab, folder, notify_url, f"127.0.0.1:{free_port()}", **pbx)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "orchestrator", *args, "-c", str(self.config)]

    def run(self, *args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args),
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.folder,
        )

    def call(self, number: str, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run("call", number, "--plays", "1", "--code-file", "-", *args, input=CODE)

    def start(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command("call", *args), stdout=subprocess.PIPE, text=True, cwd=self.folder, **more
        )

    def holds(self, text: bytes) -> list[Path]:
        """The files in the folder that hold `text`."""
        return [path for path in self.folder.rglob("*") if path.is_file() and text in path.read_bytes()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def desk(lab: LabInfo, tmp_path: Path, receiver: Receiver) -> Desk:
    install_sounds(lab)
    return Desk(lab, tmp_path, receiver.url)


def verdict(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def no_channels(lab: LabInfo) -> bool:
    return "0 active channels" in lab_cli(lab.name, "core show channels count")


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not become true in time"
        time.sleep(0.05)


def test_a_call_without_a_worker_is_followed_to_its_verdict_and_everybody_is_told(
    desk: Desk, receiver: Receiver
) -> None:
    done = desk.call("+12025550100", "--json", "--user-data", "order 7")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == [
        *("accepted", "dialing", "ringing", "answered", "play_began", "play_done", "hangup", "verdict"),
    ]
    seconds = [event["seconds"] for event in events]
    assert seconds == sorted(seconds)
    end = events[-1]
    assert (end["outcome"], end["cause"], end["hung_up_by"]) == ("completed", 16, "orchestrator")
    assert end["notifications"] == {"delivered": 5}
    told = [event["type"] for event in receiver.of(end["job_id"])]
    assert told == ["call.dialing", "call.ringing", "call.answered", "call.hangup", "job.ended"]
    assert [record["user_data"] for record in receiver.cdrs()] == ["order 7"]
    assert no_channels(desk.lab)


def test_a_busy_number_exits_1_and_says_why_in_plain_lines(desk: Desk) -> None:
    done = desk.call(BUSY)
    assert done.returncode == 1
    assert "busy here (SIP 486)" in done.stdout
    assert "Q.850 17 (user busy)" in done.stdout
    assert all(line.startswith(("+", "  ", "job ")) for line in done.stdout.splitlines())
    job = done.stdout.split(",")[0].removeprefix("job ")
    assert "busy" in desk.run("show", job).stdout
    shown = json.loads(desk.run("show", job, "--json").stdout)
    assert (shown["outcome"], shown["calls"][0]["sip_status"]) == ("busy", 486)
    assert desk.run("cancel", job).returncode == 1


def test_the_code_is_in_no_output_no_file_and_no_process_list(desk: Desk, receiver: Receiver) -> None:
    lines = []
    with desk.start(
        QUICK, "--code", LONG_CODE, "--plays", "1", "--json", stderr=subprocess.STDOUT
    ) as program:
        assert program.stdout is not None
        for line in program.stdout:
            lines.append(line)
            if '"play_began"' in line:
                listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
                shown = Path(f"/proc/{program.pid}/cmdline").read_bytes()
                on_disk = desk.holds(LONG_CODE.encode())
        assert program.wait(30) == 0
    job = json.loads(lines[-1])["job_id"]
    assert MASK.encode() in shown
    for place in (listed, shown, "".join(lines).encode(), *receiver.bodies):
        assert LONG_CODE.encode() not in place
    for after in (desk.run("show", job), desk.run("show", job, "--json"), desk.run("doctor")):
        assert LONG_CODE not in after.stdout + after.stderr
    assert on_disk == desk.holds(LONG_CODE.encode()) == []
    assert LONG_CODE not in desk.lab.log.read_text(errors="replace")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_hangs_up_and_shows_the_verdict(desk: Desk, sent: signal.Signals) -> None:
    lines = []
    with desk.start(RINGS, "--code", CODE, "--json") as program:
        assert program.stdout is not None
        for line in program.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "ringing":
                program.send_signal(sent)
        assert program.wait(30) == 1
    assert lines[-1]["outcome"] == "cancelled"
    wait_until(lambda: no_channels(desk.lab))


def test_a_second_ctrl_c_leaves_at_once(desk: Desk, lab: LabInfo) -> None:
    with desk.start(RINGS, "--code", CODE, "--json", stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        for line in program.stdout:
            if json.loads(line)["event"] == "ringing":
                break
        program.send_signal(signal.SIGINT)
        # Whether it is seen as a second one or as the same, and whether the verdict comes before: no phone
        # rings on.
        program.send_signal(signal.SIGINT)
        assert program.wait(10) in (1, 130)
        assert "Traceback" not in program.stderr.read()
    wait_until(lambda: no_channels(lab), 3)


def test_a_reader_that_goes_away_ends_the_call_in_good_order(desk: Desk) -> None:
    with desk.start(RINGS, "--code", CODE, "--json", stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        job = json.loads(program.stdout.readline())["job_id"]
        program.stdout.close()
        assert program.wait(30) == 1
        assert "Traceback" not in program.stderr.read()
    assert json.loads(desk.run("show", job, "--json").stdout)["outcome"] == "cancelled"
    assert no_channels(desk.lab)


def test_a_wrong_password_exits_2_and_stores_nothing(lab: LabInfo, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    desk = Desk(lab, tmp_path, "http://127.0.0.1:9/", password_file=str(wrong))
    called = desk.call(QUICK)
    assert {path.name for path in tmp_path.iterdir()} == {"wrong", "orchestrator.toml"}
    for command in (called, desk.run("run")):
        assert command.returncode == 2
        assert "wrong ARI user or password" in command.stderr
        assert "Traceback" not in command.stderr


def test_missing_sounds_refuse_the_call_and_say_how_to_install_them(lab: LabInfo, tmp_path: Path) -> None:
    desk = Desk(lab, tmp_path, "http://127.0.0.1:9/", sounds="nothing-here")
    done = desk.call(QUICK)
    assert done.returncode == 2
    assert "orchestrator sounds install" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"orchestrator.toml"}


def test_a_receiver_that_is_not_there_is_told_and_loses_nothing(lab: LabInfo, tmp_path: Path) -> None:
    install_sounds(lab)
    desk = Desk(lab, tmp_path, f"http://127.0.0.1:{free_port()}/events")
    done = desk.call(BUSY)
    assert done.returncode == 1
    assert "3 notifications not delivered yet (cannot connect" in done.stderr
    assert "orchestrator run" in done.stderr
    job = done.stdout.split(",")[0].removeprefix("job ")
    assert json.loads(desk.run("show", job, "--json").stdout)["notifications"] == {"pending": 3}


def test_a_running_worker_makes_the_call_and_keeps_its_connection(lab: LabInfo, tmp_path: Path) -> None:
    with worker_on(lab, tmp_path) as house:
        done = house.orchestrator("call", QUICK, "--plays", "1", "--code-file", "-", "--json", input=CODE)
        assert done.returncode == 0, done.stderr
        assert verdict(done)["outcome"] == "completed"
        looked = house.orchestrator("doctor")
        assert looked.returncode == 0, looked.stdout
        assert "is connected, and a worker runs" in looked.stdout
        again = house.orchestrator("call", BUSY, "--code-file", "-", "--json", input=CODE)
        assert (again.returncode, verdict(again)["outcome"]) == (1, "busy")
        assert "ari_link_down" not in house.log
        assert "loopback only: no keys are configured" in house.log


def test_two_calls_at_once_without_a_worker_both_reach_their_verdicts(desk: Desk) -> None:
    with contextlib.ExitStack() as stack:
        programs = [
            stack.enter_context(desk.start(number, "--code", CODE, "--plays", "1", "--json"))
            for number in (QUICK, BUSY)
        ]
        ends = [json.loads(program.communicate(timeout=60)[0].splitlines()[-1]) for program in programs]
    assert [end["outcome"] for end in ends] == ["completed", "busy"]


def test_doctor_finds_a_good_lab_good_after_the_sounds_are_installed(
    lab: LabInfo, tmp_path: Path, receiver: Receiver
) -> None:
    desk = Desk(lab, tmp_path, receiver.url, sounds="of-the-doctor")
    with desk.config.open("a") as config:
        config.write(f'[speech]\nfolder = "{lab.sounds}/of-the-doctor/speech"\n')
    before = desk.run("doctor")
    assert before.returncode == 2
    assert "orchestrator sounds install" in before.stdout
    assert desk.run("sounds", "install", "--to", str(lab.sounds)).returncode == 0
    after = desk.run("doctor", "--json")
    rows = [json.loads(line) for line in after.stdout.splitlines()]
    assert after.returncode == 0, after.stdout
    # No engine that comes with Debian speaks Mandarin well enough, and no worker runs here.
    assert [row["check"] for row in rows if row["level"] != "ok"] == ["speech", "worker"], after.stdout
    said = " ".join(row["said"] for row in rows)
    assert "requests go over the WebSocket" in said
    assert "endpoint PJSIP/lab is there" in said
    assert not receiver.events


@pytest.mark.parametrize(
    ("key", "value", "code", "said"),
    [
        ("dial", "PJSIP/{number}@nobody", 2, "there is no endpoint PJSIP/nobody"),
        ("url", "{root}/nothing", 2, "/ari"),
        ("transport", "http", 0, "requests go over HTTP, as configured"),
    ],
)
def test_doctor_sees_what_does_not_fit_the_pbx(
    lab: LabInfo, tmp_path: Path, receiver: Receiver, key: str, value: str, code: int, said: str
) -> None:
    install_sounds(lab)
    value = value.replace("{root}", lab.ari_url.removesuffix("/ari"))
    done = Desk(lab, tmp_path, receiver.url, **{key: value}).run("doctor")
    assert done.returncode == code, done.stdout
    assert said in done.stdout


def test_on_a_terminal_the_call_is_drawn_and_its_verdict_stays(desk: Desk) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LANG": "C.UTF-8"}
    program = subprocess.Popen(
        desk.command("call", QUICK, "--code", "771926", "--plays", "1"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"PYTHONUTF8": "1"},
        cwd=desk.folder,
    )
    os.close(theirs)
    shown = b""
    # A closed terminal is an error of reading, not an end.
    with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:
        while part := terminal.read(65536):
            shown += part
    assert program.wait(30) == 0
    text = shown.decode()
    for said in ("play 1 of 1", "COMPLETED", "notifications: 4 delivered", "Ctrl-C hangs up"):
        assert said in text
    assert "771926" not in text


@pytest.fixture
def demo(lab: LabInfo, tmp_path: Path) -> Iterator[list[str]]:
    """The command that runs the demonstration on a lab of its own. `lab` tells whether one is possible."""
    name = own_name("demo")
    yield [
        sys.executable,
        str(REPO / "tools" / "demo.py"),
        "--name",
        name,
        "--folder",
        str(tmp_path / "demo"),
    ]
    stop_lab(name)


def test_the_demonstration_without_a_terminal_prints_lines_and_leaves_a_recording(demo: list[str]) -> None:
    done = subprocess.run(demo, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "completed: every play was heard" in done.stdout
    assert "receiver: job.ended #5: completed (signed" in done.stdout
    wav = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("  aplay"))
    assert (REPO / wav).stat().st_size > 16_000
    assert not is_alive(demo)


def test_an_interrupted_demonstration_leaves_nothing_behind(demo: list[str]) -> None:
    with subprocess.Popen(demo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if line.endswith(" ringing\n"):
                program.send_signal(signal.SIGINT)
        assert program.wait(30) == 1
    assert not is_alive(demo)
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert demo[-1] not in listed


def is_alive(demo: list[str]) -> bool:
    """Whether the demonstration's lab runs."""
    script = str(REPO / "docker" / "lab.py")
    known = subprocess.run([sys.executable, script, "status"], capture_output=True, text=True, check=True)
    return any(json.loads(line)["name"] == demo[3] for line in known.stdout.splitlines())
