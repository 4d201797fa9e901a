"""Where a lab listens, when another Asterisk has its ports."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker import instance, life
from docker.instance import LabError, Ports


@pytest.fixture
def ari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Somebody who listens."""
    monkeypatch.setattr(instance, "HOME", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other


def test_ports_that_are_taken_give_way_to_free_ones_where_that_is_wanted(
    ari: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    port = ari.getsockname()[1]
    paths = instance.paths_of("lab")
    chosen = life._choose_ports(paths, None, Ports(ari=port), False, free_if_taken=True)
    assert chosen.ari != port
    assert instance.is_free(chosen.ari, socket.SOCK_STREAM)
    assert f"Port {port} is in use" in capsys.readouterr().err
    assert json.loads((paths.root / "ports.json").read_text())["ari"] == chosen.ari


def test_else_they_are_an_error_with_the_mend(ari: socket.socket) -> None:
    port = ari.getsockname()[1]
    with pytest.raises(LabError, match=f"port {port} is in use; mend"):
        life._choose_ports(instance.paths_of("lab"), None, Ports(ari=port), False)


def test_the_lab_of_the_makefile_asks_for_that() -> None:
    assert "docker/lab.py up --free-if-taken" in (instance.REPO / "Makefile").read_text()
