"""Public clients, which know nothing of this project, place, play and hang up a call on the virtual PBX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.testing import VirtualPbxThread

CLIENTS = Path(__file__).parent / "clients"


@pytest.mark.parametrize(
    ("client", "face", "answered", "played", "cause"),
    [
        ("ari_client_call", "ari", "Up", "done", 16),
        ("asyncari_call", "ari", "Up", "done", 16),
        ("greenswitch_call", "esl", "answered", "FILE PLAYED", "NORMAL_CLEARING"),
    ],
)
def test_an_independent_client_makes_a_call(
    virtual_pbx: VirtualPbxThread, client: str, face: str, answered: str, played: str, cause: int | str
) -> None:
    address = virtual_pbx.do(lambda pbx: pbx.ari_address if face == "ari" else pbx.esl_address)
    assert address is not None
    done = subprocess.run(
        [sys.executable, str(CLIENTS / f"{client}.py"), str(address[1])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told[:3] == [["answered", answered], ["played", played], ["ended", cause]]
    assert int(told[3][1]) == 0
    assert virtual_pbx.calls() == []
    assert len(virtual_pbx.do(lambda pbx: list(pbx.switch.ended))) == 1
