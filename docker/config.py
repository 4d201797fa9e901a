"""The configuration of one lab: the very files an operator deploys, with the lab's ports and password."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path

from docker.instance import LAB_UID, REPO, LabError, Paths, Ports, write_private

ARI_USERNAME = "orchestrator"


def owner() -> tuple[int, int]:
    """User and group that Asterisk runs as: oneself, or the lab's own user when root starts it."""
    return (os.getuid(), os.getgid()) if os.getuid() else (LAB_UID, LAB_UID)


def give(path: Path) -> None:
    """Let Asterisk's user own a path."""
    if os.getuid() == 0:
        os.chown(path, *owner())


def _substitute(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text(), flags=re.MULTILINE)
    if count != 1:
        raise LabError(f"{file.name}: {count} lines match {pattern!r}, expected one; mend: restore the file")
    file.write_text(text)


def digest(ports: Ports) -> str:
    """Changes whenever a lab started now would be configured otherwise."""
    total = hashlib.sha256(repr(ports).encode())
    for folder in (REPO / "asterisk-conf", REPO / "dialplan" / "asterisk"):
        for file in sorted(folder.rglob("*.conf")):
            total.update(str(file.relative_to(REPO)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def lay_out(paths: Paths, ports: Ports) -> None:
    """Make the folders and the configuration of a lab that is not running."""
    paths.root.mkdir(parents=True, exist_ok=True)
    for folder in paths.writable():
        folder.mkdir(parents=True, exist_ok=True)
        give(folder)
    paths.sounds.mkdir(exist_ok=True)
    shutil.rmtree(paths.etc, ignore_errors=True)
    paths.etc.mkdir()
    for source in (REPO / "asterisk-conf", REPO / "asterisk-conf" / "lab"):
        for file in source.glob("*.conf"):
            shutil.copyfile(file, paths.etc / file.name)
    shutil.copytree(REPO / "dialplan" / "asterisk", paths.etc / "dialplan")
    _set_ports(paths.etc, ports)
    _set_password(paths)
    write_private(paths.digest, digest(ports))


def _set_ports(etc: Path, ports: Ports) -> None:
    # The lab's SIP stays on the loopback, whatever an operator's listens on.
    _substitute(etc / "pjsip.conf", r"^bind = .*$", f"bind = 127.0.0.1:{ports.sip}")
    _substitute(
        etc / "pjsip_local.conf", r"^contact = sip:127\.0\.0\.1:5060$", f"contact = sip:127.0.0.1:{ports.sip}"
    )
    _substitute(
        etc / "pjsip_local.conf",
        r"^contact = sip:127\.0\.0\.1:5070$",
        f"contact = sip:127.0.0.1:{ports.sipp}",
    )
    _substitute(etc / "http.conf", r"^bindport = .*$", f"bindport = {ports.ari}")
    _substitute(etc / "rtp.conf", r"^rtpstart = .*$", f"rtpstart = {ports.rtp_start}")
    _substitute(etc / "rtp.conf", r"^rtpend = .*$", f"rtpend = {ports.rtp_end}")


def _set_password(paths: Paths) -> None:
    if not paths.password.exists():
        write_private(paths.password, secrets.token_hex(24))
    password = paths.password.read_text()
    user = paths.etc / "ari_user.conf"
    example = (REPO / "asterisk-conf" / "ari_user.conf.example").read_text()
    write_private(user, example.replace("CHANGE-ME", password), 0o400)
    give(user)
