"""The bytes of a webhook's request (HTTP/1.1, RFC 9112). What never changes for a URL is made once."""

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct
from yarl import URL

from orchestrator import __version__
from orchestrator.notify.address import check_form
from orchestrator.notify.payload import CONTENT_TYPE

_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Target(Struct, frozen=True):
    """A webhook URL, taken apart."""

    origin: str
    """Scheme, host and port: one receiver."""
    host: str
    """As the name server knows it, or an address without brackets."""
    port: int
    tls: bool
    head: bytes
    """The request up to the headers that differ from one webhook to the next."""


@lru_cache(maxsize=1024)
def target(url: str) -> Target:
    """Take a webhook URL apart. Raises ValueError when it cannot be one."""
    fault = check_form(url)
    if fault is not None:
        raise fault
    parsed = URL(url)
    path, host, authority = parsed.raw_path_qs, parsed.raw_host, parsed.host_port_subcomponent
    if host is None or authority is None or parsed.port is None:
        raise ValueError("the webhook URL names no host")
    if not _VISIBLE.fullmatch(path) or not _VISIBLE.fullmatch(authority):
        raise ValueError("the webhook URL cannot be written into a request")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {authority}\r\n"
        f"User-Agent: call-orchestrator/{__version__}\r\nContent-Type: {CONTENT_TYPE}\r\n"
    )
    return Target(
        str(parsed.origin()), host.rstrip("."), parsed.port, parsed.scheme == "https", head.encode("ascii")
    )


def request(to: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """The whole request. Raises ValueError for a header that would not stay one header."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    count = len(headers)
    if lines.count("\n") != count or lines.count("\r") != count or "\0" in lines:
        raise ValueError("a header holds a line break or NUL")
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (to.head, lines.encode("ascii"), len(body), body)
