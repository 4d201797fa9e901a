"""Who may come in: the key, its rate, and how much is under way at the same time."""

import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import web

from orchestrator.clock import Clock
from orchestrator.guard.bucket import Bucket
from orchestrator.guard.keyfile import KeyFile
from orchestrator.guard.keys import Key, check_key, instant
from orchestrator.http.problems import Refusal, later
from orchestrator.http.settings import Http, is_loopback

BUSY: Final = 1.0
"""Seconds after which one who was sent away may come again."""


class Gate:
    """Lets requests in. `tick` gives seconds that only ever grow; `clock` the time by which keys expire."""

    def __init__(self, http: Http, keys: KeyFile | None, clock: Clock, tick: Callable[[], float]) -> None:
        self._http = http
        self._keys = keys
        self._clock = clock
        self._tick = tick
        self._buckets: dict[str, Bucket] = {}
        self._under_way: dict[str, int] = {}
        self._all = 0
        self._networks = tuple(map(ipaddress.ip_network, http.metrics_networks))

    def key_of(self, request: web.Request) -> Key | None:
        """The key that the request holds; None where none are configured.

        Raises `Refusal`.
        """
        if self._keys is None:
            _check_host(request)
            return None
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        key = None
        if scheme.lower() == "bearer":
            key = check_key(self._keys.keys, text.strip(), instant(self._clock()))
        if key is None:
            raise Refusal(
                "unauthorized",
                "give a valid key as: Authorization: Bearer ork_…",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return key

    def still(self, key: Key | None) -> bool:
        """Whether the key with which a stream began may still come in."""
        if key is None or self._keys is None:
            return True
        now = instant(self._clock())
        return self._keys.keys.get(key.id) == key and (key.expires_at is None or now < key.expires_at)

    @contextlib.contextmanager
    def passing(self, key: Key | None) -> Iterator[None]:
        """One request, for as long as the block runs.

        Raises `Refusal` when there are too many.
        """
        if self._all >= self._http.max_requests:
            raise later("unavailable", "too many requests are under way.", BUSY)
        id_ = key.id if key is not None else ""
        if key is not None:
            self._limit(key)
        self._all += 1
        self._under_way[id_] = self._under_way.get(id_, 0) + 1
        try:
            yield
        finally:
            self._all -= 1
            self._under_way[id_] -= 1
            if not self._under_way[id_]:
                del self._under_way[id_]

    def _limit(self, key: Key) -> None:
        if key.concurrent is not None and self._under_way.get(key.id, 0) >= key.concurrent:
            raise later("too-many", f"{key.concurrent} requests of this key are under way.", BUSY)
        rate = key.rate if key.rate is not None else self._http.rate
        if rate is None:
            return
        bucket = self._buckets.get(key.id)
        if bucket is None or bucket.per_second != rate:
            bucket = self._buckets[key.id] = Bucket(rate)
        wait = bucket.take(self._tick())
        if wait > 0:
            raise later("too-many", f"this key may send {rate:g} requests a second.", wait)

    def trusts(self, request: web.Request) -> bool:
        """Whether the request may see what is for operators: it comes from loopback or a network that the
        configuration names, or holds a key."""
        try:
            peer = ipaddress.ip_address(request.remote or "")
        except ValueError:
            peer = None
        if peer is not None and (peer.is_loopback or any(peer in network for network in self._networks)):
            return True
        try:
            return self.key_of(request) is not None
        except Refusal:
            return False


def _check_host(request: web.Request) -> None:
    """Without keys, whoever reaches loopback is trusted; a page in a browser that reaches it by a name of its
    own (DNS rebinding) is not."""
    host = request.headers.get("Host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if not is_loopback(name):
        raise Refusal("forbidden", "without keys only loopback is served; the Host header names another.")
