"""The folder that chroot labs run from: Debian's Asterisk package, unpacked once by mmdebstrap."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from docker.instance import HOME, LabError, locked, say

SUITE = "forky"  # the first Debian release with Asterisk 22
PACKAGES = "asterisk,asterisk-modules,asterisk-core-sounds-en-wav"
ROOT = HOME / f"root-{SUITE}"
# Settings of this machine's apt that reaching its mirror may depend on.
APT_SETTINGS = (
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)


def is_debian() -> bool:
    try:
        return "\nID=debian\n" in "\n" + Path("/etc/os-release").read_text() + "\n"
    except FileNotFoundError:
        return False


def mirror(folder: Path = Path("/etc/apt")) -> str:
    """The Debian mirror that this machine's apt uses, from either form of its sources."""
    for uri, parts in _sources(folder):
        if "main" in parts and "security" not in uri and uri.startswith(("http://", "https://", "file:")):
            return uri
    raise LabError(f"no Debian mirror in {folder}; mend: add one to {folder}/sources.list", 3)


def _sources(folder: Path) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        for stanza in _stanzas(file.read_text()):
            if stanza.get("enabled", "yes").lower() != "no" and "deb" in stanza.get("types", "").split():
                components = stanza.get("components", "").split()
                found += [(uri, components) for uri in stanza.get("uris", "").split()]
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))):
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            words = line.split("#")[0].split()
            if words and words[0] == "deb":
                end = next((at for at, word in enumerate(words) if word.endswith("]")), 0)
                uri, _suite, *components = words[end + 1 :] or ["", ""]
                found.append((uri, components))
    return found


def _stanzas(text: str) -> list[dict[str, str]]:
    """deb822: fields until an empty line; indented lines continue a field; # starts a comment line."""
    stanzas: list[dict[str, str]] = [{}]
    field = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            stanzas.append({})
        elif line[0].isspace():
            stanzas[-1][field] = stanzas[-1].get(field, "") + " " + line.strip()
        else:
            field, _, value = line.partition(":")
            field = field.lower()
            stanzas[-1][field] = value.strip()
    return stanzas


def _apt_options() -> list[str]:
    dump = subprocess.run(["apt-config", "dump", *APT_SETTINGS], capture_output=True, text=True, check=False)
    lines = (line.strip() for line in dump.stdout.splitlines())
    return [f"--aptopt={line.removesuffix(';')}" for line in lines if line.split(" ")[0] in APT_SETTINGS]


def ensure() -> Path:
    """The root folder, built first where it is missing. Starts side by side build it once.

    Raises:
        LabError: it cannot be built here; the text says why and the mend.
    """
    with locked(ROOT.name):
        if not ROOT.exists():
            _build()
        (ROOT / "etc" / "hosts").touch()  # where each lab's own is laid over
    return ROOT


def _build() -> None:
    source = mirror()
    _install_mmdebstrap()
    for left in HOME.glob(f"{ROOT.name}.part-*"):
        shutil.rmtree(left)
    part = HOME / f"{ROOT.name}.part-{os.getpid()}"
    log = HOME / f"{ROOT.name}.log"
    say(f"Building the Asterisk root folder once, from Debian {SUITE} (about half a minute) ...")
    started = time.monotonic()
    # In a mount namespace of its own, so that an interrupted build leaves no mount behind.
    command = [
        "unshare",
        "--mount",
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={PACKAGES}",
    ]
    command += ["--aptopt=APT::Install-Recommends false", *_apt_options()]
    command += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"]
    command += [SUITE, str(part), f"deb {source} {SUITE} main"]
    try:
        with log.open("w") as out:
            done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            tail = "\n".join(log.read_text().splitlines()[-8:])
            raise LabError(
                f"mmdebstrap failed:\n{tail}\nThe whole log: {log}\nTried: {shlex.join(command)}", 3
            )
        part.rename(ROOT)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    say(f"Root folder ready after {time.monotonic() - started:.0f} s: {ROOT}")


def _install_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    say("Installing Debian's package mmdebstrap, which builds the root folder ...")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip()[-600:]
            raise LabError(
                f"{shlex.join(command)} failed:\n{reason}\nMend: make apt work, then run this again.", 3
            )
