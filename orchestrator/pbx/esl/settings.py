"""How to reach one FreeSWITCH node, and how long to wait for it. Checked when built."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from orchestrator.pbx.errors import PbxConfigError

DEFAULT_PORT: Final = 8021

_APP: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FOLDER: Final = re.compile(r"/?[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*")
_PART: Final = r"[A-Za-z0-9_./@:;=?+*#-]*"
_TEMPLATE: Final = re.compile(rf"[a-z][a-z0-9_]*/{_PART}\{{(?:number|e164)\}}{_PART}")


class EslSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One FreeSWITCH node. Raises `PbxConfigError` for a value that cannot work. All times are seconds."""

    name: str
    url: str
    """`esl://host:8021`. Never with a password in it."""
    password: str
    app: str
    """Marks our channels. One worker, one name: a channel of this name that the worker does not know is hung
    up."""
    dial: str
    """Dial string template such as `sofia/gateway/carrier/{number}`: {number} is digits only, {e164} has the
    plus."""
    sounds_folder: str = "orchestrator"
    """The folder of our library: below FreeSWITCH's `sounds_dir`, or a full path."""
    recordings_folder: str = "/var/lib/freeswitch/recordings/orchestrator"
    """Where FreeSWITCH writes recordings: a full path, the same for it and for us."""
    request_timeout: float = 5.0
    originate_timeout: float = 5.0
    """Until the channel of an originate must exist. How long a phone rings is the request's own."""
    ping_interval: float = 4.0
    """A silent network is noticed after at most two of these."""
    backoff_base: float = 0.25
    backoff_cap: float = 2.0
    """The longest wait (seconds) before connecting again: a PBX that is back is to be seen at once."""
    max_inflight: int = 1000
    """Requests handed over and not yet answered. Beyond it an originate is refused as not sent."""
    abandoned_after: float = 600.0
    """After so long without a play FreeSWITCH itself hangs an answered call up: its worker is dead."""
    longest_call: float = 14_700.0
    """FreeSWITCH ends a call after so long whatever happens: the longest `max_duration`, and five minutes."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme == "esl" and bool(parts.hostname) and (parts.port or DEFAULT_PORT) > 0
        except ValueError:
            fits = False
        if not fits:
            raise PbxConfigError(
                f"pbx {self.name}: url is not the address of an event socket; write it like esl://127.0.0.1:8021"
            )
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise PbxConfigError(f"pbx {self.name}: url has more than host and port; move the password out")
        self._require("url", parts.path in ("", "/"), "it has a path; write it like esl://127.0.0.1:8021")
        self._require("app", bool(_APP.fullmatch(self.app)), "use 1-64 of A-Z a-z 0-9 _ . -")
        self._require(
            "dial",
            bool(_TEMPLATE.fullmatch(self.dial)) and ":_:" not in self.dial,
            "write it like sofia/gateway/carrier/{number}, with {number} or {e164} once and no variables",
        )
        self._require(
            "sounds",
            bool(_FOLDER.fullmatch(self.sounds_folder)) and ".." not in self.sounds_folder,
            "name a folder such as orchestrator, or a full path",
        )
        recordings = self.recordings_folder
        self._require(
            "recordings",
            recordings.startswith("/") and bool(_FOLDER.fullmatch(recordings)) and ".." not in recordings,
            "name a folder by its full path, such as /var/lib/freeswitch/recordings/orchestrator",
        )
        for field in _POSITIVE:
            self._require(field, getattr(self, field) > 0, "give a number above 0")
        self._require(
            "password", bool(self.password) and self.password.isprintable(), "it is empty or not printable"
        )

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or DEFAULT_PORT

    def _require(self, field: str, holds: bool, mend: str) -> None:
        if not holds:
            raise PbxConfigError(f"pbx {self.name}: {field} will not do; {mend}")

    def __repr__(self) -> str:
        return f"EslSettings(name={self.name!r}, url={self.url!r}, app={self.app!r}, password=<hidden>)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("url", self.url), ("app", self.app)]


_POSITIVE: Final = (
    "request_timeout",
    "originate_timeout",
    "ping_interval",
    "backoff_base",
    "backoff_cap",
    "max_inflight",
    "abandoned_after",
    "longest_call",
)
