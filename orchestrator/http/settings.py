"""What the configuration says about the HTTP API."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

_Count = Annotated[int, Meta(ge=1, le=100_000)]


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP API: jobs, health, metrics."""

    listen: str = "127.0.0.1:8090"
    keys: str | None = None
    """The file of keys (`orchestrator keys add`). With it every request for a job needs one; without it there
    are none, and only loopback is listened on."""
    rate: Annotated[float, Meta(gt=0)] | None = None
    """Requests a second of a key that has no rate of its own."""
    max_requests: _Count = 256
    """Requests at the same time; beyond it they are sent away for a moment."""
    max_streams: _Count = 64
    """Live event streams at the same time."""
    metrics_networks: tuple[str, ...] = ()
    """Networks that may read /metrics without a key, besides loopback, as CIDR."""


def faults_of_http(http: Http) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each fault."""
    host, _, port = http.listen.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        yield "listen", "must be a host and a port such as 127.0.0.1:8090."
    elif http.keys is None and not is_loopback(host):
        yield (
            "listen",
            "with no API keys it listens on loopback only, as 127.0.0.1:8090 or [::1]:8090; name a file for "
            "keys with http.keys, then make one with: orchestrator keys add NAME",
        )
    if http.keys is not None and not http.keys:
        yield "keys", "must name a file such as keys.json."
    for n, network in enumerate(http.metrics_networks):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield f"metrics_networks[{n}]", "not a network such as 10.0.0.0/8."


def is_loopback(host: str) -> bool:
    """Whether a host, as an address is written, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def keys_note(http: Http) -> str:
    """Who may come in, in words."""
    if http.keys is None:
        return "loopback only: no keys are configured"
    return f"with the keys in {http.keys}"
