"""What an operator may say about a virtual PBX: the table `[pbx.virtual]` of a node of `kind = "virtual"`."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.faults import Faults

Number = Annotated[str, Meta(pattern=r"^[0-9]{1,20}$")]


class Virtual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the virtual PBX of one node behaves."""

    control: str | None = None
    """Where its control listens, such as `127.0.0.1:8099`; loopback only. Not given: there is none."""
    speed: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """Seconds that pass on the virtual PBX in one second on the clock."""
    library: tuple[str, ...] = ()
    """Folders of sounds with a folder for each language, beside those of `prompts.library`."""
    trunks: tuple[str, ...] = ()
    """The trunks there are: what may follow the `@` of a dial string, or the gateway's name. None named:
    any."""
    keep_heard: Annotated[int, Meta(ge=0, le=100_000)] = 100
    """Of how many ended calls it is kept what the callee heard; 0: of none."""
    callees: dict[Number, Callee] = {}
    """Callees of one's own, by whole number (digits only) or by last digits. They come before the lab's."""
    faults: Faults = Faults()
    """What goes wrong from the start."""
    seed: int = 1
    """Which course chance takes."""


def address(listen: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8099` or `[::1]:8099`. Raises ValueError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port[:6]) > 65535:
        raise ValueError("must be a host and a port such as 127.0.0.1:8099.")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(url: str) -> tuple[str, int]:
    """Host and port of `http://127.0.0.1:8088/ari` or `esl://127.0.0.1:8021`; 0 stands for any free port.
    Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "esl") or not parts.hostname or parts.port is None:
        raise ValueError("must be where it is to listen: http://127.0.0.1:0/ari, or esl://127.0.0.1:0.")
    return parts.hostname, parts.port


def faults_of_virtual(url: str, dial: str, virtual: Virtual | None) -> Iterator[tuple[str, str]]:
    """What of a node's keys will not do: key and fault."""
    if dial.count("{number}") + dial.count("{e164}") != 1:
        yield "dial", "must hold {number} or {e164} once: PJSIP/{number}@lab."
    try:
        if not is_loopback(address_of(url)[0]):
            yield "url", "a virtual PBX within a worker listens on loopback only."
    except ValueError as error:
        yield "url", str(error)
    control = virtual.control if virtual is not None else None
    try:
        if control is not None and not is_loopback(address(control)[0]):
            yield "virtual.control", "listens on loopback only."
    except ValueError as error:
        yield "virtual.control", str(error)
