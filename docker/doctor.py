"""Says what is possible on this machine, what is missing, and the mend."""

from __future__ import annotations

import resource
import shutil
import socket

from docker import chroot, compose, instance, life, rootfs

FILES_WANTED = 4096  # about 6 a call; 500 calls and their far ends in one Asterisk


def report() -> int:
    """Print one line a check; 0 when a lab can be brought up here, else 3."""
    possible = []
    for mode, why_not in (("docker", compose.why_not), ("chroot", chroot.why_not)):
        reason = why_not()
        print(f"{'ok     ' if reason is None else 'missing'} {mode}: {reason or 'possible'}")
        if reason is None:
            possible.append(mode)
    _report_chroot_parts()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < FILES_WANTED:
        print(f"warning open files: at most {hard}, 500 calls want {FILES_WANTED}; mend: ulimit -n")
    else:
        print(f"ok      open files: {'no limit' if hard == resource.RLIM_INFINITY else hard}")
    print(
        f"{'ok     ' if shutil.which('sipp') else 'missing'} sipp (for bench/): Debian's package sip-tester"
    )
    _report_ports()
    for lab in instance.all_labs():
        print(f"ok      lab {lab.name}: {lab.mode}, {'up' if life.is_alive(lab) else 'ended'}, {lab.ari_url}")
    if not possible:
        print("No lab is possible here. One of the mends above is enough.")
        return 3
    print(f"lab.py up would use: {possible[0]}")
    return 0


def _report_chroot_parts() -> None:
    if chroot.why_not() is not None:
        return
    if rootfs.ROOT.exists():
        print(f"ok      root folder: {rootfs.ROOT} (remove it to have it built anew)")
        return
    print(f"ok      root folder: will be built once from Debian {rootfs.SUITE}, about 360 MB")
    try:
        rootfs.mirror()
    except instance.LabError as error:
        print(f"missing mirror: {error}")
    if not shutil.which("mmdebstrap"):
        print("ok      mmdebstrap: will be installed by apt-get")


def _report_ports() -> None:
    default = instance.Ports()
    for port, kind, what in (
        (default.ari, socket.SOCK_STREAM, "ARI"),
        (default.sip, socket.SOCK_DGRAM, "SIP"),
        (default.sipp, socket.SOCK_DGRAM, "SIPp"),
    ):
        if not instance.is_free(port, kind):
            print(f"warning port {port} ({what}) is in use; mend: --free-ports, or take down what uses it")
