"""Where the Debian packages of a chroot lab come from: the machine's own apt sources, in either form."""

from __future__ import annotations

from pathlib import Path

import pytest

from docker.instance import LabError
from docker.rootfs import mirror


def folder(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        place = tmp_path if name == "sources_list" else tmp_path / "sources.list.d"
        (place / name.replace("_", ".")).write_text(text)
    return tmp_path


def test_a_mirror_in_the_new_form_is_found(tmp_path: Path) -> None:
    text = (
        "# comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian\nSuites: trixie\n"
        "Components: main\n contrib\nSigned-By:\n -----BEGIN\n"
    )
    assert mirror(folder(tmp_path, debian_sources=text)) == "http://mirror.example/debian"


def test_a_mirror_in_the_old_form_is_found(tmp_path: Path) -> None:
    text = (
        "# deb http://old.example/debian x main\ndeb [arch=amd64 b=c] https://m.example/debian sid main # x\n"
    )
    assert mirror(folder(tmp_path, sources_list=text)) == "https://m.example/debian"


def test_disabled_security_and_foreign_sources_are_passed_over(tmp_path: Path) -> None:
    new = (
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: x\nComponents: main\n\n"
        "Types: deb\nURIs: http://m.example/debian-security\nSuites: x-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://tool.example/apt\nSuites: stable\nComponents: tool\n"
    )
    old = "deb cdrom:[Debian]/ bookworm main\ndeb http://m.example/debian bookworm main\n"
    assert mirror(folder(tmp_path, a_sources=new, sources_list=old)) == "http://m.example/debian"


def test_a_machine_without_a_mirror_is_told_the_mend(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"mend: add one to .*sources\.list") as caught:
        mirror(folder(tmp_path))
    assert caught.value.exit_code == 3
