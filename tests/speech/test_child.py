"""A program that renders is bounded: in time, in size, in what it sees."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from orchestrator.speech.child import ChildFailed, run


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


def test_it_gets_the_text_on_standard_input_and_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR__LEDGER__KEY", "hush")
    code = "import os, sys; print(sorted(os.environ), os.getcwd() == os.environ['HOME'], sys.stdin.read())"
    said = run(python(code), "grüß dich".encode(), 10).decode()
    assert said == "['HOME', 'LANG', 'LC_ALL', 'PATH', 'TMPDIR'] True grüß dich\n"


def test_a_text_and_a_sound_larger_than_a_pipe_go_through() -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    assert run(python(code), b"ab" * 500_000, 20) == b"ba" * 500_000


def test_the_file_it_writes_is_taken_and_its_folder_goes() -> None:
    code = "import sys; open(sys.argv[1], 'w').write('made'); print(sys.argv[1], file=sys.stderr)"
    assert run((*python(code), "{output}"), b"", 10) == b"made"
    with pytest.raises(ChildFailed, match="wrote no file"):
        run((*python("pass"), "{output}"), b"", 10)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import sys; sys.exit(4)", "exit code 4"),
        ("import os; os.kill(os.getpid(), 11)", "signal SIGSEGV"),
        ("import time\nwhile True: time.sleep(1)", "longer than 0.5 s"),
        ("import os, time\nos.close(1)\nwhile True: time.sleep(1)", "longer than 0.5 s"),
        ("import sys\nwhile True: sys.stdout.write('x' * 1000000)", "more than 64 MB|longer than"),
    ],
)
def test_one_that_does_not_do_it_is_told_by_its_reason(code: str, why: str) -> None:
    with pytest.raises(ChildFailed, match=why):
        run(python(code), b"text", 0.5 if "while" in code else 10)


def test_one_that_does_not_exist_or_reads_nothing_is_told() -> None:
    with pytest.raises(ChildFailed, match="No such file"):
        run(("/not/there",), b"", 10)
    assert run(python("print('done')"), b"x" * 1_000_000, 10) == b"done\n"


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    fifo = tmp_path / "life"
    os.mkfifo(fifo)
    life = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = f"""
import os, time
opened, told = os.pipe()
if os.fork() == 0:
    life = os.open({str(fifo)!r}, os.O_WRONLY)
    os.close(1)
    os.write(told, b"x")
    while True: time.sleep(1)
os.read(opened, 1)
print("parent")
"""
    assert run(python(code), b"", 10) == b"parent\n"
    # It had the FIFO open, and whoever reads one sees its end when the last writer has gone.
    assert select.select([life], [], [], 10)[0] == [life]
    assert os.read(life, 1) == b""
    os.close(life)
