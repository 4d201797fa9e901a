"""A lab as a plain process: Debian's Asterisk in a mount namespace of its own, as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from docker import rootfs
from docker.config import owner
from docker.instance import Lab, LabError, Paths, say

SOUNDS = "/usr/share/asterisk/sounds"

# Runs inside `unshare --mount`: every mount dies with the process, however it dies. The root folder is
# shared by all labs and read-only; each piece of the lab's own folder lies where Asterisk looks for it.
# `exec` all the way, so that the pid that was started is Asterisk's.
START = """
set -eu
root=$1 lab=$2 uid=$3 gid=$4
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$root/run"
mkdir "$root/run/asterisk"
mount --bind "$lab/run" "$root/run/asterisk"
mount --bind "$lab/etc" "$root/etc/asterisk"
mount --bind "$lab/varlib" "$root/var/lib/asterisk"
mount --bind "$lab/spool" "$root/var/spool/asterisk"
mount --bind "$lab/log" "$root/var/log/asterisk"
mount --bind "$lab/sounds" "$root/usr/share/asterisk/sounds"
mount --bind "$lab/hosts" "$root/etc/hosts"
ulimit -n "$(ulimit -Hn)"
exec chroot "$root" /usr/bin/setpriv --reuid="$uid" --regid="$gid" --clear-groups --no-new-privs \
  --bounding-set=-all --inh-caps=-all /usr/sbin/asterisk -fn
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/var/lib/asterisk"}

# Asterisk outlives whoever started it; a handle that is let go of would warn that it still runs.
_children: list[subprocess.Popen[bytes]] = []


def why_not() -> str | None:
    """What stands in the way of this mode here, with the mend; None when nothing does."""
    if not rootfs.is_debian():
        return "a chroot lab needs Debian; mend: install Docker Engine with Compose"
    if os.getuid() != 0:
        return "a chroot lab needs root; mend: run it with sudo, or install Docker Engine with Compose"
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode:
        return "unshare --mount is refused here; mend: run where root may mount, or install Docker Engine"
    return None


def start(paths: Paths) -> tuple[int, str]:
    """Start Asterisk; return its pid, and the start time that tells it from a later process of that pid."""
    root = rootfs.ensure()
    _link_core_sounds(root, paths.sounds)
    # Asterisk looks its own host's name up for each call; a name server would stall them.
    (paths.root / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
    uid, gid = owner()
    with (paths.log / "start.log").open("w") as out:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", START, "lab", str(root), str(paths.root), str(uid), str(gid)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            env=ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip
    _children.append(process)
    started = started_at(process.pid)
    if started is None:
        raise LabError(f"Asterisk ended at once:\n{(paths.log / 'start.log').read_text()[-800:]}")
    return process.pid, started


def _link_core_sounds(root: Path, sounds: Path) -> None:
    """Asterisk's own English sounds, hard-linked: the lab's folder of sounds hides the package's."""
    if (sounds / "en").exists():
        return
    source = root / SOUNDS.lstrip("/") / "en_US_f_Allison"
    subprocess.run(["cp", "-al", str(source), str(sounds / "en")], check=True)


def started_at(pid: int) -> str | None:
    """Start time of a live process in clock ticks after boot; None when it has ended or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def is_alive(lab: Lab) -> bool:
    return lab.pid is not None and lab.pid_started is not None and started_at(lab.pid) == lab.pid_started


def send(lab: Lab, sig: signal.Signals) -> None:
    """Send a signal to the lab's Asterisk, and to nobody else."""
    if lab.pid is None or not is_alive(lab):
        raise LabError(f"lab {lab.name} does not run; mend: lab.py up --name {lab.name}")
    os.kill(lab.pid, sig)


def wait_gone(lab: Lab, seconds: float) -> bool:
    """Whether it has ended, waiting for that for a while."""
    until = time.monotonic() + seconds
    while is_alive(lab):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    _reap(lab)
    return True


def _reap(lab: Lab) -> None:
    """Collect it when it is our own child, as in a test that started it."""
    try:
        os.waitpid(lab.pid or -1, os.WNOHANG)
    except ChildProcessError:
        return


def stop(lab: Lab) -> None:
    """End it: by SIGTERM, and where that does not help within 5 s by SIGKILL."""
    for sig, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        # It may end at any moment, also between two signals. A frozen one must go on to see the first.
        with contextlib.suppress(LabError, ProcessLookupError):
            send(lab, sig)
            send(lab, signal.SIGCONT)
        if wait_gone(lab, seconds):
            return
        say(f"Lab {lab.name}: Asterisk has not ended {seconds} s after {sig.name}.")
    raise LabError(f"lab {lab.name} cannot be stopped; mend: kill process {lab.pid} by hand")


def cli(lab: Lab, command: str) -> subprocess.CompletedProcess[str]:
    """Run one command of Asterisk's own command line."""
    uid, gid = owner()
    enter = ["nsenter", "-t", str(lab.pid), "--mount", "--root", "--wd=/", "-S", str(uid), "-G", str(gid)]
    return subprocess.run(
        [*enter, "/usr/sbin/asterisk", "-rx", command],
        capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=30,
    )  # fmt: skip
