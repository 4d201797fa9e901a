"""What an operator may say about an intake: a section `[[intake]]` of the configuration."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from orchestrator.validate import Fault

Kind = Literal["redis", "amqp", "nats", "folder"]
KINDS: Final[tuple[Kind, ...]] = ("redis", "amqp", "nats", "folder")
SCHEMES: Final[dict[Kind, tuple[str, ...]]] = {
    "redis": ("redis", "rediss"),
    "amqp": ("amqp", "amqps"),
    "nats": ("nats", "tls"),
}
REPLY_SCHEME: Final = "intake:"
"""An outbox address of this scheme is the reply place of the intake that it names."""

Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,64}(?![\s\S])", description="1 to 64 of A-Z a-z 0-9 _ -")
]
Place = Annotated[str, Meta(min_length=1, max_length=200)]


class Intake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One queue that jobs come from. Places are Redis stream keys, AMQP queues, NATS subjects or folders."""

    name: Name
    kind: Kind
    url: str | None = None
    """The queue's server, such as `redis://127.0.0.1:6379/0`. It may hold a password."""
    url_file: str | None = None
    jobs: Place
    """Where producers put jobs. For a folder: the folder that holds `incoming`."""
    dead: Place | None = None
    """Where goes what cannot be taken. Not given: see `dead_place`."""
    replies: Place | None = None
    """Where notifications go of the jobs that came from here. Not given: where `notify.url` says."""
    group: Name = "orchestrator"
    """The consumer group (Redis) or durable consumer (JetStream) that the workers of one ledger share."""
    prefetch: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """Messages taken but not acknowledged, at the most; so many are stored in one go."""
    redeliver_after: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    """Seconds without a word after which a message is given to another worker (Redis, JetStream)."""
    max_kept: Annotated[int, Meta(ge=1, le=100_000_000)] = 100_000
    """Dead letters, and likewise notifications, that are kept (Redis, JetStream); the oldest go first. For a
    folder: files that may wait in `failed`, `done` and `replies` each."""
    keep: bool = False
    """Whether a job that was taken stays in its stream (Redis), for other groups. It holds the code."""
    poll_interval: Annotated[float, Meta(ge=0.01, le=60)] = 0.25
    """Seconds between two looks into the folder."""

    def __repr__(self) -> str:
        return f"Intake({self.name!r}, {self.kind!r})"  # the url may hold a password

    @property
    def dead_place(self) -> str:
        """Where goes what cannot be taken."""
        if self.dead is not None:
            return self.dead
        return (
            "failed" if self.kind == "folder" else self.jobs + (":dead" if self.kind == "redis" else ".dead")
        )

    @property
    def reply_url(self) -> str | None:
        """What the outbox calls the reply place."""
        return None if self.replies is None else REPLY_SCHEME + self.name


def faults_of_intakes(intakes: Sequence[Intake], notify_url: str | None) -> list[Fault]:
    """What is wrong with them, and with a `notify.url` that names one."""
    faults = [fault for n, intake in enumerate(intakes) for fault in _faults(f"intake[{n}]", intake)]
    for n, intake in enumerate(intakes):
        if intake.name in {other.name for other in intakes[:n]}:
            faults.append(Fault(f"intake[{n}].name", f"`{intake.name}` is taken by another [[intake]]."))
    if notify_url is not None and notify_url.startswith(REPLY_SCHEME):
        answering = [intake.name for intake in intakes if intake.replies is not None]
        if notify_url.removeprefix(REPLY_SCHEME) not in answering:
            known = ", ".join(REPLY_SCHEME + name for name in answering) or "none"
            faults.append(
                Fault("notify.url", f"no [[intake]] of that name has `replies` (there are: {known}).")
            )
    return faults


def _faults(at: str, intake: Intake) -> Iterator[Fault]:
    if intake.kind == "folder":
        if intake.url is not None:
            yield Fault(f"{at}.url", "a folder has none; `jobs` names it.")
        for key in ("dead", "replies"):
            name = getattr(intake, key)
            if name is not None and ("/" in name or name in (".", "..", "incoming", "done")):
                yield Fault(f"{at}.{key}", "must be the name of a folder beside `incoming`.")
    elif intake.url is None or not _is_url(intake.url, SCHEMES[intake.kind]):
        schemes = " or ".join(f"{scheme}://" for scheme in SCHEMES[intake.kind])
        yield Fault(f"{at}.url", f"must be the server's address, {schemes}host:port.")
    places = [place for place in (intake.jobs, intake.dead_place, intake.replies) if place is not None]
    if len(set(places)) < len(places):
        yield Fault(f"{at}.dead", "`jobs`, `dead` and `replies` must be three places.")
    if intake.kind == "nats":
        for key, place in (("jobs", intake.jobs), ("dead", intake.dead_place), ("replies", intake.replies)):
            if place is not None and not _is_subject(place):
                yield Fault(f"{at}.{key}", "must be a subject without wildcards, such as calls.jobs.")


def _is_subject(place: str) -> bool:
    return all(token and token.isprintable() and not set(token) & set(" *>") for token in place.split("."))


def _is_url(url: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
