"""What the API answers. These types encode the answers, and the OpenAPI document is generated from them."""

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from orchestrator.job import INTERNAL, Id, Job, Notify
from orchestrator.ledger.records import JobRow, JobState, Summary
from orchestrator.notify.payload import CdrRecord, rfc3339

SECRET: Final = frozenset({"id", "code", "variables", "items"})
"""Fields of a job that are not shown again; the id stands beside them."""


JobFields = msgspec.defstruct(
    "JobFields",
    [
        ("from_" if field.name == "from_" else field.encode_name, field.type | UnsetType, UNSET)
        for field in msgspec.structs.fields(Job)
        if field.name not in SECRET
    ],
    frozen=True,
    kw_only=True,
    rename={"from_": "from"},
    module=__name__,
)
JobFields.__doc__ = "The job as it was submitted, with its defaults, without the code, variables and items."


class Accepted(msgspec.Struct, frozen=True):
    """A job that is stored, and where it stands."""

    id: Id
    state: JobState


class Cancelled(msgspec.Struct, frozen=True):
    """A job whose end was asked for, and where it stood then."""

    id: Id
    state: JobState
    cancel_requested: bool


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """All that is told of a job. Times are RFC 3339 in UTC."""

    id: Id
    state: JobState
    outcome: str | None
    reason: str | None
    attempts: int
    """Dials so far."""
    created_at: str
    expires_at: str
    ended_at: str | None
    cancel_requested: bool
    job: JobFields  # type: ignore[valid-type]  # made from `Job`, so that the two never differ
    calls: tuple[CdrRecord, ...]
    """The record of each ended call."""
    notifications: dict[str, int]
    """How many notifications are pending, delivered, dead or stopped."""
    problem: str
    """Why the first notification that has not arrived has not; empty when none was tried in vain."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that was given up."""

    job_id: str
    type: str
    sequence: int
    url: str
    created_at: str
    attempts: int
    error: str


class DeadLetters(msgspec.Struct, frozen=True):
    """Notifications that were given up, the oldest first."""

    deadletters: tuple[Letter, ...]


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to deliver again: those of these jobs, or all. One of the two."""

    jobs: tuple[Id, ...] = ()
    all: bool = False


class Replayed(msgspec.Struct, frozen=True):
    """How many notifications are on their way again."""

    replayed: int


class Health(msgspec.Struct, frozen=True):
    """Whether all is well."""

    status: Literal["ok", "unavailable"]
    reason: str | UnsetType = UNSET


class _Public(msgspec.Struct, frozen=True):
    """Where the stored job differs from what was submitted."""

    notify_url: str | None = None
    notify_events: tuple[str, ...] | None = None


_decode_public = msgspec.json.Decoder(_Public).decode
_NOT_SHOWN: Final = INTERNAL | SECRET | {"application", "intake", "notify_url", "notify_events"}


def view_of(summary: Summary) -> JobView:
    """What is told of a job."""
    row = summary.job
    return JobView(
        id=row.id,
        state=row.state,
        outcome=row.outcome,
        reason=row.reason,
        attempts=row.attempts,
        created_at=rfc3339(row.created_at),
        expires_at=rfc3339(row.expires_at),
        ended_at=None if row.ended_at is None else rfc3339(row.ended_at),
        cancel_requested=row.cancel,
        job=_fields_of(row),
        calls=tuple(msgspec.convert(cdr, CdrRecord) for cdr in summary.cdrs),
        notifications=summary.notifications,
        problem=summary.problem,
    )


def _fields_of(row: JobRow) -> Any:
    body: dict[str, Any] = msgspec.json.decode(row.body)
    shown = {name: value for name, value in body.items() if value is not None and name not in _NOT_SHOWN}
    told = _decode_public(row.body)
    if told.notify_url is not None or told.notify_events is not None:
        shown["notify"] = msgspec.to_builtins(Notify(told.notify_url, told.notify_events))  # type: ignore[arg-type]
    return msgspec.convert(shown, JobFields)
