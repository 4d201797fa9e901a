"""`make demo` where no real Asterisk can be had: it calls on the virtual PBX, and says so."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import pytest

from docker import instance
from tools.demo_phones import NOTHING_FITS, phone_of

REPO = Path(__file__).resolve().parents[2]


class NoLab:
    """A lab that does not come up."""

    def __init__(self, code: int) -> None:
        self._code = code

    def __enter__(self) -> instance.Lab:
        raise instance.LabError("no Docker, and no root for a chroot", self._code)

    def __exit__(self, *_: object) -> None:
        """There is nothing to take down."""


def test_without_an_asterisk_it_says_so_and_falls_back(tmp_path: Path) -> None:
    said: list[str] = []
    with phone_of(NoLab(NOTHING_FITS), tmp_path, 1, said.append) as phone:
        assert 'kind = "virtual"' in phone.node()
    assert said[0] == "NO REAL ASTERISK CAN BE HAD HERE: no Docker, and no root for a chroot"
    assert "VIRTUAL" in said[1]


def test_a_lab_that_should_have_worked_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(instance.LabError), phone_of(NoLab(1), tmp_path, 1, print):
        pytest.fail("it should have failed")


def test_the_whole_demonstration_runs_on_the_virtual_pbx(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(REPO / "tools" / "demo.py"), "--virtual", "--folder", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VIRTUAL PBX" in done.stdout
    assert "completed: every play was heard" in done.stdout
    with wave.open(str(tmp_path / "demo" / "heard.wav")) as heard:
        assert heard.getnframes() > 10 * heard.getframerate()
