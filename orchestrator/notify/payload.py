"""What a receiver gets: the `data` of each notification, and its CloudEvents 1.0 envelope.

Structured JSON mode, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
Neither the code nor a template variable has a field here, so neither can be sent.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import ClassVar, Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Struct, UnsetType

Kind = Literal["code", "notice", "callback"]
Leg = Literal["callee", "caller"]
Outcome = Literal[
    "completed",
    "hung_up_early",
    "not_confirmed",
    "busy",
    "no_answer",
    "rejected",
    "unreachable",
    "invalid_number",
    "congested",
    "failed",
    "cancelled",
    "expired",
    "blocked",
]

CONTENT_TYPE = "application/cloudevents+json"
CDR = "cdr"
MAX_RECORDS = 50

_RENAME = {"from_": "from"}


class Notification(Struct, frozen=True, kw_only=True, rename=_RENAME):
    """What every notification of a job says. `sequence` counts 1, 2, 3… within the job."""

    TYPE: ClassVar[str]

    job_id: str
    call_id: str | UnsetType = UNSET
    """Absent where no call was made."""
    attempt: int
    """Which dial of the job this is, from 1; 0 where none was made."""
    sequence: int
    kind: Kind
    to: str
    from_: str | None = None
    """Caller ID; null where the PBX's default was used."""
    leg: Leg = "callee"
    user_data: str = ""


class Dialing(Notification, frozen=True, kw_only=True, rename=_RENAME):
    """The PBX accepted the originate."""

    TYPE: ClassVar[str] = "call.dialing"


class Ringing(Notification, frozen=True, kw_only=True, rename=_RENAME):
    """The far end sent 180, or 183 with sound before the answer (`early_media`). Once per leg."""

    TYPE: ClassVar[str] = "call.ringing"
    early_media: bool


class Answered(Notification, frozen=True, kw_only=True, rename=_RENAME):
    """Answered, `ring_seconds` after it first rang."""

    TYPE: ClassVar[str] = "call.answered"
    ring_seconds: float | None


class Digits(Notification, frozen=True, kw_only=True, rename=_RENAME):
    """Keys pressed at item number `item` (from 1), none when nobody pressed any; `complete` when they were as
    many as it asked for, or ended by its terminator."""

    TYPE: ClassVar[str] = "call.digits"
    item: int
    digits: str
    complete: bool


class HungUp(Notification, frozen=True, kw_only=True, rename=_RENAME):
    """The call is over. `cause` is ITU-T Q.850, `sip_status` RFC 3261; null where the PBX did not tell."""

    TYPE: ClassVar[str] = "call.hangup"
    outcome: Outcome
    cause: int | None
    sip_status: int | None
    talk_seconds: float
    plays_completed: int
    hung_up_by: str | None


class JobEnded(Notification, frozen=True, kw_only=True, rename=_RENAME):
    """The verdict: once per job, always, last. `attempts` counts the dials."""

    TYPE: ClassVar[str] = "job.ended"
    outcome: Outcome
    attempts: int
    reason: str


class LegRecord(Struct, frozen=True, kw_only=True, rename=_RENAME):
    """One leg of a callback; its times and signals are its own. Unknown is null."""

    leg: Leg
    number: str
    from_: str | None
    dialed_at: str | None
    ringing_at: str | None
    answered_at: str | None
    ended_at: str | None
    cause: int | None
    sip_status: int | None


class CdrRecord(Struct, frozen=True, kw_only=True, rename=_RENAME):
    """One call's record. Times are RFC 3339 UTC with milliseconds (see `rfc3339`); unknown is null."""

    job_id: str
    call_id: str | None
    attempt: int
    kind: Kind
    from_: str | None
    to: str
    pbx: str | None
    trunk: str | None
    created_at: str
    dialed_at: str | None
    ringing_at: str | None
    answered_at: str | None
    ended_at: str | None
    ring_seconds: float | None
    talk_seconds: float | None
    outcome: Outcome
    cause: int | None
    sip_status: int | None
    hung_up_by: str | None
    plays_completed: int
    digits_collected: int
    """How many, never which."""
    recording: str | None
    """Of a callback: the recording's name, which is the call's id; null when there is none."""
    user_data: str
    legs: tuple[LegRecord, ...] | UnsetType = UNSET
    """Of a callback: the caller's leg and the callee's. The times above are the caller's, `talk_seconds` the
    time for which the two were connected."""


class CdrBatch(Struct, frozen=True):
    """The `data` of a `cdr` notification: 1 to 50 records."""

    records: tuple[CdrRecord, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.records) <= MAX_RECORDS:
            raise ValueError(f"a cdr notification holds 1 to {MAX_RECORDS} records, not {len(self.records)}")


class _CloudEvent(Struct, frozen=True):
    specversion: str
    id: str
    source: str
    type: str
    subject: str | UnsetType
    time: str
    datacontenttype: str
    data: Notification | CdrBatch


_encoder = msgspec.json.Encoder()


def rfc3339(at: float) -> str:
    """Seconds since the epoch as RFC 3339 UTC with milliseconds, `2026-01-02T03:04:05.678Z`."""
    seconds, micros = divmod(round(at * 1e6), 1_000_000)
    return f"{_second(seconds)}.{micros // 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def event_id(job_id: str, sequence: int) -> str:
    """The id of a job's event, which is its webhook-id too: the same at every retry and replay."""
    return f"evt_{_mark(job_id)}{sequence:08x}"


def batch_event_id(batch_id: str) -> str:
    """The id of a CDR batch's event."""
    return f"evt_{_hash(f'cdr/{batch_id}', 16)}"


@lru_cache(maxsize=4096)
def _mark(job_id: str) -> str:
    return _hash(f"job/{job_id}", 12)


def _hash(about: str, size: int) -> str:
    return blake2b(about.encode(), digest_size=size).hexdigest()


@lru_cache(maxsize=64)
def _source(worker: str) -> str:
    return "/orchestrator/" + quote(worker, safe="")


def envelope(data: Notification, *, worker: str, at: float, id: str | None = None) -> bytes:
    """The request body for a job's notification that happened `at` (seconds since the epoch).

    `id` is its `event_id`, for callers that have it already.
    """
    return _encoder.encode(
        _CloudEvent(
            "1.0",
            id or event_id(data.job_id, data.sequence),
            _source(worker),
            data.TYPE,
            data.job_id,
            rfc3339(at),
            "application/json",
            data,
        )
    )


def cdr_envelope(batch_id: str, records: Sequence[CdrRecord], *, worker: str, at: float) -> bytes:
    """The request body for a batch of call records. Raises ValueError unless there are 1 to 50."""
    return _encoder.encode(
        _CloudEvent(
            "1.0",
            batch_event_id(batch_id),
            _source(worker),
            CDR,
            UNSET,
            rfc3339(at),
            "application/json",
            CdrBatch(tuple(records)),
        )
    )
