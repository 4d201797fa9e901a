"""Which webhook addresses are allowed.

A URL that comes with a job may be anybody's choice, so it must not reach the operator's own networks. Names
are checked where it counts: at the socket, on the very address that is about to be connected to. A name that
resolves to something else a second later (DNS rebinding) gains nothing.

Only globally routable unicast addresses pass, after unwrapping the IPv6 forms that carry an IPv4 address
(IPv4-mapped, RFC 6052 NAT64, 6to4), unless the operator lists their network in `allow`.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

from yarl import URL

from orchestrator.notify.errors import AddressError, AddressRefused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 2048
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")
# A last label of digits makes a host an IPv4 address for some resolvers: 127.1, 0x7f000001, 2130706433.
_NUMERIC_END = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Not for us although `is_global` says so, at least in some versions of Python.
_NEVER: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, withdrawn
    ipaddress.IPv4Network("168.63.129.16/32"),  # a cloud's metadata and DNS service on a public address
    ipaddress.IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them
    ipaddress.IPv6Network("3fff::/20"),  # documentation
)


def check_url(url: str, allow: Sequence[Network] = ()) -> AddressError | None:
    """Why `url` cannot be a webhook address, or None. For submission: resolves nothing."""
    fault = check_form(url)
    if fault is not None:
        return fault
    host = URL(url).host or ""
    literal = _parse(host)
    if literal is not None and not is_allowed(literal, allow):
        return AddressError(f"the webhook host {host} is not a public address; {_MEND}")
    return None


def check_form(url: str) -> AddressError | None:
    """As `check_url`, but any host will do: for the URL that the operator configures."""
    if len(url) > MAX_URL:
        return AddressError(f"the webhook URL is {len(url)} characters long; at most {MAX_URL} are allowed")
    if _UNPRINTABLE.search(url):
        return AddressError("the webhook URL has a space, control character or backslash; percent-encode it")
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        # `from None` and no quote: a URL may carry a password.
        return AddressError("the webhook URL cannot be parsed; give it as https://host/path")
    if parsed.scheme not in ("http", "https"):
        return AddressError("the webhook URL must start with https:// or http://")
    if not host:
        return AddressError("the webhook URL names no host; give it as https://host/path")
    if "@" in url.partition("//")[2].partition("/")[0].partition("?")[0]:
        return AddressError("the webhook URL holds credentials; verify the signature instead")
    if parsed.raw_fragment or "#" in url:
        return AddressError("the webhook URL has a fragment, which is never sent; leave it out")
    if not port:
        return AddressError("the webhook URL's port must be 1 to 65535")
    if _parse(host) is None and _NUMERIC_END.search(host):
        return AddressError("the webhook host is a number; write an IPv4 address as a.b.c.d")
    return None


def is_allowed(address: _Address, allow: Sequence[Network] = ()) -> bool:
    """Whether a connection to `address` may be made."""
    inner = _unwrap(address)
    if any(_within(address, network) or _within(inner, network) for network in allow):
        return True
    if inner.is_multicast or not inner.is_global or any(_within(inner, network) for network in _NEVER):
        return False
    return inner.version == 4 or _within(inner, _GLOBAL_UNICAST)


def checked_sockets(allow: Sequence[Network]) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Makes the socket for one of getaddrinfo's answers, or raises AddressRefused for what is not allowed."""

    def make(addr_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, sockaddr = addr_info
        address = _parse(str(sockaddr[0]))
        if address is None or not is_allowed(address, allow):
            raise AddressRefused(f"refused: {sockaddr[0]} is not a public address; {_MEND}")
        return socket.socket(family, kind, protocol)

    return make


_MEND = "if it is meant, the operator adds its network to notify.allow_networks"


def _parse(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _within(address: _Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _unwrap(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
