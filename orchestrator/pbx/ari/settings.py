"""What an operator says about one Asterisk node. Faults are named before anything is dialled."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from orchestrator.pbx.errors import PbxConfigError

Transport = Literal["auto", "websocket", "http"]
"""How requests travel. `websocket`: REST over WebSocket (Asterisk >= 20.14, 21.9, 22.4). `http`: pooled HTTP.
`auto` asks the server at each connect."""

_APP = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_TEMPLATE = re.compile(r"[A-Za-z0-9]+/[^{}\s]*\{(number|e164)\}[^{}\s]*")


class AriSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One Asterisk node. Raises `PbxConfigError` for a value that cannot work. All times are seconds."""

    name: str
    url: str
    """`http://host:8088/ari`, or https. Never with a user or password in it."""
    username: str
    password: str
    app: str
    """The Stasis application: one worker, one name, or the newest connection takes it over."""
    dial: str
    """Dial string template such as `PJSIP/{number}@carrier`: {number} is digits only, {e164} has the plus."""
    transport: Transport = "auto"
    sounds_prefix: str = "orchestrator"
    """The folder of our library below Asterisk's `sounds`."""
    request_timeout: float = 5.0
    originate_timeout: float = 5.0
    """How long the *answer* to an originate may take. How long a phone rings is the request's own."""
    probe_timeout: float = 1.0
    """How long to wait for the first answer over the WebSocket before deciding for HTTP."""
    ping_interval: float = 4.0
    """A silent network is noticed after at most two of these."""
    backoff_base: float = 0.25
    backoff_cap: float = 2.0
    """The longest wait (seconds) before connecting again: a PBX that is back is to be seen at once."""
    replaced_backoff: float = 30.0
    """How long to stay away when another client took our application."""
    not_found_patience: float = 20.0
    """A 404 may come from an Asterisk that is still loading: for so long it is no fault of the settings."""
    max_inflight: int = 1000
    """Requests handed over and not yet answered. Beyond it an originate is refused as not sent."""
    http_connections: int = 16

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PbxConfigError(
                f"pbx {self.name}: url is not an http(s) address; write it like http://127.0.0.1:8088/ari"
            )
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise PbxConfigError(
                f"pbx {self.name}: url has more than host, port and path; move user and password out"
            )
        self._require("app", bool(_APP.fullmatch(self.app)), "use 1-64 of A-Z a-z 0-9 _ . -")
        self._require(
            "dial",
            bool(_TEMPLATE.fullmatch(self.dial)),
            "write it like PJSIP/{number}@carrier, with {number} or {e164} once",
        )
        self._require(
            "sounds_prefix", bool(_PREFIX.fullmatch(self.sounds_prefix)), "name a folder such as orchestrator"
        )
        for field in _POSITIVE:
            self._require(field, getattr(self, field) > 0, "give a number above 0")
        for secret in ("username", "password"):
            value = getattr(self, secret)
            self._require(secret, bool(value) and value.isprintable(), "it is empty or not printable")
        self._require("username", ":" not in self.username, "a colon cannot be sent (RFC 7617)")

    def _require(self, field: str, holds: bool, mend: str) -> None:
        if not holds:
            raise PbxConfigError(f"pbx {self.name}: {field} will not do; {mend}")

    def __repr__(self) -> str:
        return f"AriSettings(name={self.name!r}, url={self.url!r}, app={self.app!r}, password=<hidden>)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("url", self.url), ("app", self.app)]


_POSITIVE = (
    "request_timeout",
    "originate_timeout",
    "probe_timeout",
    "ping_interval",
    "backoff_base",
    "backoff_cap",
    "replaced_backoff",
    "not_found_patience",
    "max_inflight",
    "http_connections",
)
