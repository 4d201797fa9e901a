"""The code is a secret: a call is made, and then every byte on disk and of output is searched for it."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab import LabInfo
from tests.real.worker import House, worker_on

pytestmark = pytest.mark.real

NUMBER = "+12025550100"


def forms_of(code: str) -> list[bytes]:
    """The code as it might lie somewhere: plain, spaced, encoded, or spelled by the names of its sounds."""
    plain = code.encode()
    return [
        plain,
        b" ".join(plain[i : i + 1] for i in range(len(plain))),
        b",".join(plain[i : i + 1] for i in range(len(plain))),
        plain.hex().encode(),
        base64.b64encode(plain).rstrip(b"="),
        code.encode("utf-16-le"),
        b"digits/" + plain[:1],
    ]


def processes() -> Iterator[tuple[str, bytes]]:
    """What any user can see of every process, and what its own user can: arguments and environment."""
    for path in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                yield f"{path}/{name}", (path / name).read_bytes()
            except OSError:
                continue


def files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below these folders. What the callee heard is sound, and no text."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".wav":
                yield str(path), path.read_bytes()


def found_in(places: Iterator[tuple[str, bytes]], forms: list[bytes]) -> list[str]:
    return [f"{place}: {form!r}" for place, content in places for form in forms if form in content]


def everywhere(house: House, lab: LabInfo, forms: list[bytes]) -> list[str]:
    """All places of this call: ledger, WAL, logs of both sides, notifications, processes."""
    told = ((f"notification {n}", body) for n, body in enumerate(list(house.receiver.bodies)))
    return [
        *found_in(files(house.folder, lab.log.parent), forms),
        *found_in(told, forms),
        *found_in(processes(), forms),
    ]


def test_a_code_is_nowhere_while_its_call_lives_nor_afterwards(lab: LabInfo, tmp_path: Path) -> None:
    code = "".join(random.choices("0123456789", k=10))
    forms = forms_of(code)
    with worker_on(lab, tmp_path) as house:
        (job,) = house.submit([{"to": NUMBER, "code": code, "variables": {"name": f"v{code}"}, "plays": 1}])
        house.receiver.wait(lambda events: any(e["type"] == "call.answered" for e in events), 20)
        assert everywhere(house, lab, forms) == []
        house.wait_ended([job])
        shown = [house.orchestrator("show", job, *more) for more in ([], ["--json"])]
        for done in shown:
            assert done.returncode == 0
            assert found_in(iter([("show", (done.stdout + done.stderr).encode())]), forms) == []
        assert everywhere(house, lab, forms) == []
    assert everywhere(house, lab, forms) == []
    assert house.log  # there was something to search


def test_a_job_that_is_refused_leaves_its_code_nowhere(lab: LabInfo, tmp_path: Path) -> None:
    code = "".join(random.choices("0123456789", k=10))
    with worker_on(lab, tmp_path) as house:
        bad = f'{{"to": "+1&x", "code": "{code}", "variables": {{"x": "{code}"}}, "colour": 1}}'
        done = house.orchestrator("submit", "-", input=bad)
        assert done.returncode == 2
        assert found_in(iter([("submit", (done.stdout + done.stderr).encode())]), forms_of(code)) == []
        assert everywhere(house, lab, forms_of(code)) == []
