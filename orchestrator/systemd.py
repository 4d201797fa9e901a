"""Telling systemd how the worker is: sd_notify(3), without its library.

A datagram to the socket that NOTIFY_SOCKET names; nothing happens where there is none.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

USEC: Final = 1_000_000


def tell(*lines: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send assignments such as `READY=1` or `STATUS=…`. Whether they arrive is not known."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        # An @ stands for the zero byte of an abstract socket's name (unix(7)).
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall("\n".join(lines).encode())


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How long systemd waits for a sign of life before it kills us; None when it does not watch."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / USEC if text.isascii() and text.isdecimal() and int(text) > 0 else None


async def keep_alive(environ: Mapping[str, str] = os.environ) -> None:
    """Show that the loop turns, until cancelled: a worker that hangs is killed and started again."""
    seconds = watchdog_seconds(environ)
    while seconds is not None:
        tell("WATCHDOG=1", environ=environ)
        await asyncio.sleep(seconds / 3)
