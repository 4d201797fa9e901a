"""The notify section of the configuration, as this room needs it."""

from msgspec import Struct

from orchestrator.notify.address import Network, check_form
from orchestrator.notify.errors import SettingsError


class NotifySettings(Struct, frozen=True, kw_only=True):
    """How notifications are sent. Raises SettingsError or AddressError for what cannot be."""

    worker: str
    """Names the worker in each event's `source`."""
    secrets: tuple[str, ...]
    """`whsec_…`; several while receivers change from one to the next. See `sign.Signer`."""
    url: str | None = None
    """The operator's own receiver: the one URL that may lead to a private network without `allow`."""
    allow: tuple[Network, ...] = ()
    """Networks that webhook addresses may lead to although they are not public."""
    timeout: float = 15.0
    """Seconds for one whole delivery, 0.05–300."""
    connect_timeout: float = 5.0
    """Seconds to resolve, connect and shake hands, at most `timeout`."""
    per_receiver: int = 16
    """Deliveries in flight to one receiver (scheme, host, port), 1–1000."""
    in_flight: int = 256
    """Deliveries in flight altogether, 1–10000."""
    max_queued: int = 10_000
    """Deliveries held in memory; more wait in the ledger."""
    poll_interval: float = 10.0
    """Seconds after which the ledger is asked in any case, for what nobody told us of."""
    sweep_gap: float = 0.2
    """Seconds between two readings of the ledger, at least."""

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, float, float, float], ...] = (
            ("timeout", self.timeout, 0.05, 300),
            ("connect_timeout", self.connect_timeout, 0.01, self.timeout),
            ("per_receiver", self.per_receiver, 1, 1000),
            ("in_flight", self.in_flight, 1, 10_000),
            ("max_queued", self.max_queued, 4, 1_000_000),
            ("poll_interval", self.poll_interval, 0.1, 3600),
            ("sweep_gap", self.sweep_gap, 0, 60),
        )
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise SettingsError(f"notify.{name} is {value}; it must lie between {low:g} and {high:g}")
        if self.url is not None and (fault := check_form(self.url)) is not None:
            raise fault

    def __repr__(self) -> str:
        allow = ", ".join(map(str, self.allow))
        return (
            f"NotifySettings(worker={self.worker!r}, secrets=<{len(self.secrets)}>, "
            f"url={'<set>' if self.url else None}, allow=({allow}), timeout={self.timeout}, "
            f"per_receiver={self.per_receiver}, in_flight={self.in_flight}, max_queued={self.max_queued})"
        )
