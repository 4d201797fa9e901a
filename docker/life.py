"""What can be done to a lab: bring it up, take it down, break it and mend it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from docker import chroot, compose, config, instance, ready, rootfs
from docker.instance import Lab, LabError, Paths, Ports, say

MODES = ("auto", "docker", "chroot")


def possible_modes(wanted: str) -> list[str]:
    """The modes that can work here, best first. Raises LabError (exit code 3, every mend) where none can."""
    checks: dict[str, Callable[[], str | None]] = {"docker": compose.why_not, "chroot": chroot.why_not}
    obstacles = {mode: why_not() for mode, why_not in checks.items() if wanted in ("auto", mode)}
    possible = [mode for mode, obstacle in obstacles.items() if obstacle is None]
    if not possible:
        mends = "\n".join(f"  {mode}: {obstacle}" for mode, obstacle in obstacles.items())
        raise LabError(f"No Asterisk lab is possible here:\n{mends}", 3)
    return possible


def _prepare(name: str, paths: Paths, modes: list[str]) -> str:
    """Build what a lab runs from, in the first mode that this succeeds in: an image may need a registry."""
    for mode, other in zip(modes, [*modes[1:], None], strict=True):
        try:
            if mode == "docker":
                compose.build(name, paths)
            else:
                rootfs.ensure()
        except LabError as error:
            if other is None:
                raise
            say(f"{error}\nTrying {other} instead.")
        else:
            return mode
    raise AssertionError("one mode is tried at least")


def is_alive(lab: Lab) -> bool:
    return compose.is_alive(lab) if lab.mode == "docker" else chroot.is_alive(lab)


def up(
    name: str,
    mode: str = "auto",
    ports: Ports | None = None,
    free_ports: bool = False,
    free_if_taken: bool = False,
) -> Lab:
    """Bring the lab up; where it is up already, say so and change nothing.

    Args:
        name: one lab of several side by side.
        mode: "docker", "chroot" or "auto".
        ports: where to listen; None for the ports it had before, or else the defaults.
        free_ports: choose ports that nobody uses.
        free_if_taken: so, but only when those it would have are taken.

    Raises:
        LabError: with the mend; exit code 3 where no mode works here.
    """
    paths = instance.paths_of(name)
    with instance.locked(name):
        known = instance.read(name)
        if known and is_alive(known):
            if ports and ports != known.ports:
                raise LabError(f"lab {name} is up on other ports; mend: lab.py down --name {name} first", 2)
            if paths.digest.read_text() == config.digest(known.ports) and ready.answers(known):
                say(f"Lab {name} is up already ({known.mode}, {known.ari_url}).")
                return known
            say(f"Lab {name} is up with another configuration, or does not answer: starting it anew.")
            _stop(known)
        mode = _prepare(name, paths, possible_modes(mode))
        chosen = _choose_ports(paths, known, ports, free_ports, free_if_taken)
        config.lay_out(paths, chosen)
        return _start(name, mode, paths, chosen)


def _taken(ports: Ports) -> int | None:
    """A port that somebody uses."""
    wanted = ((ports.ari, socket.SOCK_STREAM), (ports.sip, socket.SOCK_DGRAM))
    return next((port for port, kind in wanted if not instance.is_free(port, kind)), None)


def _choose_ports(
    paths: Paths, known: Lab | None, ports: Ports | None, free_ports: bool, free_if_taken: bool = False
) -> Ports:
    with instance.locked("ports"):
        chosen = ports or (
            known.ports if known else instance.free_ports(paths.root.name) if free_ports else Ports()
        )
        taken = _taken(chosen)
        if taken is not None:
            if not free_if_taken:
                raise LabError(
                    f"port {taken} is in use; mend: another port, or --free-ports (lab.py up --help)"
                )
            chosen = instance.free_ports(paths.root.name)
            say(
                f"Port {taken} is in use, perhaps by another Asterisk: "
                f"ARI on {chosen.ari}, SIP on {chosen.sip} instead."
            )
        paths.root.mkdir(parents=True, exist_ok=True)
        (paths.root / "ports.json").write_text(json.dumps(dataclasses.asdict(chosen)))
    return chosen


def _start(name: str, mode: str, paths: Paths, ports: Ports) -> Lab:
    lab = _describe(name, mode, paths, ports)
    try:
        say(f"Starting Asterisk as lab {name} ({mode}) ...")
        began = time.monotonic()
        if mode == "docker":
            lab = dataclasses.replace(lab, container=compose.start(name, paths))
        else:
            pid, started = chroot.start(paths)
            lab = dataclasses.replace(lab, pid=pid, pid_started=started)
        lab = dataclasses.replace(lab, asterisk_version=ready.wait_ready(lab, paths, is_alive))
        instance.write(lab)
    except BaseException:
        _stop(lab)
        if not paths.state.exists():
            _forget(paths)
        raise
    took = time.monotonic() - began
    say(f"Lab {name} is up after {took:.1f} s: Asterisk {lab.asterisk_version} at {lab.ari_url}")
    return lab


def _describe(name: str, mode: str, paths: Paths, ports: Ports) -> Lab:
    return Lab(
        mode=mode,
        name=name,
        ari_url=f"http://127.0.0.1:{ports.ari}/ari",
        ari_username=config.ARI_USERNAME,
        ari_password_file=str(paths.password),
        dial="PJSIP/{number}@lab",
        sipp_dial="PJSIP/{number}@sipp",
        sip_port=ports.sip,
        sipp_port=ports.sipp,
        rtp_start=ports.rtp_start,
        rtp_end=ports.rtp_end,
        recordings=str(paths.recordings),
        ari_recordings=str(paths.ari_recordings),
        sounds=str(paths.sounds),
        log=str(paths.log / "messages.log"),
        asterisk_version="",
        pid=None,
        pid_started=None,
        container=None,
    )


def _stop(lab: Lab) -> None:
    if lab.mode == "docker":
        compose.stop(lab, instance.paths_of(lab.name))
    else:
        chroot.stop(lab)


def _forget(paths: Paths) -> None:
    """Remove what a lab that is down has no use for, its password first of all."""
    for left in (paths.password, paths.state, paths.digest, paths.root / "ports.json"):
        left.unlink(missing_ok=True)
    for folder in (paths.etc, paths.run, paths.varlib):
        shutil.rmtree(folder, ignore_errors=True)


def down(name: str, purge: bool = False) -> bool:
    """Take the lab down; return whether there was one. Recordings and sounds stay unless purged."""
    paths = instance.paths_of(name)
    if not paths.root.exists():
        return False
    with instance.locked(name):
        lab = instance.read(name)
        if lab:
            _stop(lab)
        _forget(paths)
        if purge and paths.root.exists():  # another command may have been first
            shutil.rmtree(paths.root)
            (instance.HOME / f"{name}.lock").unlink(missing_ok=True)
    return lab is not None


def known(name: str) -> Lab:
    lab = instance.read(name)
    if lab is None:
        raise LabError(f"there is no lab {name}; mend: lab.py up --name {name}")
    return lab


def _signal(name: str, sig: signal.Signals) -> Lab:
    lab = known(name)
    if lab.mode == "docker":
        compose.send(lab, sig.name.removeprefix("SIG"))
    else:
        chroot.send(lab, sig)
    return lab


def kill9(name: str) -> None:
    """Kill Asterisk at once, as a crash would; return when it is gone. `start_again` brings it back."""
    lab = _signal(name, signal.SIGKILL)
    until = time.monotonic() + 10
    while is_alive(lab):
        if time.monotonic() > until:
            raise LabError(f"lab {name} survived SIGKILL for 10 s")
        time.sleep(0.02)
    if lab.mode == "chroot":
        chroot.wait_gone(lab, 1)


def freeze(name: str) -> None:
    """Stop Asterisk in its tracks (SIGSTOP): its sockets stay open and nothing answers."""
    _signal(name, signal.SIGSTOP)


def thaw(name: str) -> None:
    """Let a frozen Asterisk go on (SIGCONT)."""
    _signal(name, signal.SIGCONT)


def start_again(name: str) -> Lab:
    """Start a lab that has ended, with the same ports, password and configuration."""
    lab = known(name)
    paths = instance.paths_of(name)
    with instance.locked(name):
        if is_alive(lab):
            raise LabError(f"lab {name} runs; mend: restart", 2)
        return _start(name, lab.mode, paths, lab.ports)


def restart(name: str) -> Lab:
    """End Asterisk and start it again with the same ports and password, and the files as they are now."""
    lab = known(name)
    with instance.locked(name):
        _stop(lab)
        paths = instance.paths_of(name)
        config.lay_out(paths, lab.ports)
        return _start(name, lab.mode, paths, lab.ports)


def cli(name: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run one command of Asterisk's own command line, such as "core show channels"."""
    lab = known(name)
    if not is_alive(lab):
        raise LabError(f"lab {name} does not run; mend: lab.py up --name {name}")
    return compose.cli(lab, command) if lab.mode == "docker" else chroot.cli(lab, command)
