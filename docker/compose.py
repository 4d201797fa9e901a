"""A lab in a container, by Docker Compose, from the same files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from docker.config import owner
from docker.instance import Lab, LabError, Paths, locked, say

FILE = Path(__file__).with_name("compose.yaml")
IMAGE = "orchestrator-lab-asterisk"
SOUNDS = "/usr/share/asterisk/sounds"


def _answers(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@cache
def compose() -> tuple[str, ...] | None:
    """The Compose command of this machine: the plugin, or the stand-alone program (version 1 or 2)."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if _answers(*command, "version"):
            return command
    return None


def why_not() -> str | None:
    """What stands in the way of this mode here, with the mend; None when nothing does."""
    if not shutil.which("docker"):
        return "no docker command; mend: install Docker Engine"
    if not _answers("docker", "info"):
        return "no Docker engine answers (docker info); mend: start it, or join the group docker"
    if compose() is None:
        return "no Docker Compose; mend: install the plugin or docker-compose"
    return None


def _environment(name: str, paths: Paths) -> dict[str, str]:
    uid, gid = owner()
    return os.environ | {"LAB_NAME": name, "LAB_DIR": str(paths.root), "LAB_USER": f"{uid}:{gid}"}


def _run(name: str, paths: Paths, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Two checkouts may each have a lab of this name.
    project = f"orchestrator-{name}-{hashlib.sha256(str(paths.root).encode()).hexdigest()[:8]}"
    command = [*(compose() or ("docker", "compose")), "-p", project, "-f", str(FILE), *arguments]
    done = subprocess.run(command, env=_environment(name, paths), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout).strip()[-1500:]}", 3)
    return done


def build(name: str, paths: Paths) -> None:
    """Build the image where it is missing or its Dockerfile has changed."""
    with locked(IMAGE):
        if not _answers("docker", "image", "inspect", IMAGE):
            say("Building the lab's image once (a minute or two) ...")
        _run(name, paths, "build")


def start(name: str, paths: Paths) -> str:
    """Start the container, and return its id."""
    _copy_core_sounds(paths.sounds)
    _run(name, paths, "up", "-d")
    return _run(name, paths, "ps", "-q", "asterisk").stdout.strip()


def _copy_core_sounds(sounds: Path) -> None:
    """Asterisk's own English sounds: the lab's folder of sounds hides the image's."""
    if (sounds / "en").exists():
        return
    part = sounds / "en.part"
    part.mkdir(exist_ok=True)
    source = ["docker", "run", "--rm", "--network=none", "--entrypoint=tar", IMAGE]
    source += ["-C", f"{SOUNDS}/en_US_f_Allison", "-cf", "-", "."]
    with subprocess.Popen(source, stdout=subprocess.PIPE) as process:
        unpacked = subprocess.run(["tar", "-C", str(part), "-xf", "-"], stdin=process.stdout, check=False)
    if process.returncode or unpacked.returncode:
        raise LabError(f"the image's sounds could not be read; mend: docker image rm {IMAGE}")
    part.rename(sounds / "en")


def is_alive(lab: Lab) -> bool:
    command = ["docker", "inspect", "-f", "{{.State.Running}}", lab.container or ""]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "true"


def send(lab: Lab, signal_name: str) -> None:
    done = subprocess.run(
        ["docker", "kill", f"--signal={signal_name}", lab.container or ""],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"lab {lab.name}: {done.stderr.strip()}; mend: lab.py up --name {lab.name}")


def stop(lab: Lab, paths: Paths) -> None:
    if is_alive(lab):
        send(lab, "CONT")
    _run(lab.name, paths, "down", "--timeout", "5")


def cli(lab: Lab, command: str) -> subprocess.CompletedProcess[str]:
    """Run one command of Asterisk's own command line."""
    return subprocess.run(
        ["docker", "exec", lab.container or "", "asterisk", "-rx", command],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
