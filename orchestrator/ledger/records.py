"""What the ledger takes and gives: plain frozen records, none of which shows a secret."""

from enum import StrEnum
from typing import Any, Literal

import msgspec

from orchestrator.call.events import CallEvent, Planned


class JobState(StrEnum):
    """Where a job stands. `queued` waits for an attempt, `active` has a call, `ended` has its verdict."""

    QUEUED = "queued"
    ACTIVE = "active"
    ENDED = "ended"


class Script(msgspec.Struct, frozen=True):
    """What is to be played, sealed in the ledger: for each play the sounds, and how long a play may last.

    It spells the code, so it has no `repr`.
    """

    plays: tuple[tuple[str, ...], ...]
    seconds: int

    def __repr__(self) -> str:
        return "Script(…)"


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted job on its way into the ledger. `body` is its public part; the secret one is sealed."""

    id: str
    fingerprint: bytes
    sealed: bytes
    body: bytes
    priority: int
    caller_id: str | None
    created_at: float
    not_before: float
    expires_at: float


Submitted = Literal["new", "same", "conflict"]
"""What became of a submission: stored, known already with the same content, known with another."""


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored job."""

    id: str
    state: JobState
    body: bytes
    created_at: float
    next_at: float
    expires_at: float
    attempts: int
    sequence: int
    cancel: bool
    outcome: str | None
    reason: str | None
    ended_at: float | None


class Claim(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A job taken for dialling: its intent to dial is durable."""

    job: JobRow
    call_id: str
    attempt: int
    sealed: bytes
    planned: CallEvent
    at: float
    start_at: float = 0.0
    """When it may be dialled, and no later than a moment after; 0 for whenever the node's pace allows."""
    callees: tuple[str, ...] = ()
    """The numbers that it rings: of a callback two."""
    application: str | None = None
    """As whose its calls are counted."""
    application_calls: int | None = None
    """How many of these may live at the same time, where its key says so."""

    @property
    def legs(self) -> int:
        """How many lines of its node it takes."""
        return 2 if isinstance(self.planned, Planned) and self.planned.second is not None else 1

    def __repr__(self) -> str:
        return f"Claim(job={self.job.id!r}, call_id={self.call_id!r})"


class Booking(msgspec.Struct, frozen=True, gc=False):
    """When a leg may be dialled; or, unless `booked`, when to ask again."""

    at: float
    booked: bool
    shared: bool = True
    """Whether others are bound by it, so that one that was missed is of no use."""


class Blocked(msgspec.Struct, frozen=True, gc=False):
    """A due job that a limit forbids to dial: it is to be ended."""

    job_id: str
    limit: str


class Claimed(msgspec.Struct, frozen=True):
    """What could be claimed, and when the next job is due (None: nothing is queued)."""

    claims: tuple[Claim, ...]
    next_at: float | None
    held: tuple[str, ...] = ()
    """Of each due job that must wait now: for which limit."""
    blocked: tuple[Blocked, ...] = ()


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a call's journal."""

    n: int
    at: float
    event: CallEvent


class OpenCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has not ended as far as the ledger knows."""

    job: JobRow
    call_id: str
    attempt: int
    sealed: bytes
    journal: tuple[Entry, ...]

    def __repr__(self) -> str:
        return f"OpenCall(job={self.job.id!r}, call_id={self.call_id!r})"


class Outgoing(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A notification on its way into the outbox."""

    event_id: str
    lane: str
    sequence: int
    url: str
    type: str
    body: bytes
    at: float

    def __repr__(self) -> str:
        return f"Outgoing({self.type!r}, lane={self.lane!r}, sequence={self.sequence})"


class Requeue(msgspec.Struct, frozen=True):
    """After a call: the job is to be dialled again at `at`."""

    at: float


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """After a call, or without one: the job is over."""

    outcome: str
    reason: str
    at: float


class CallEnd(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A call's end as one transaction: its CDR, and what becomes of its job."""

    job_id: str
    call_id: str
    ended_at: float
    cdr: bytes
    then: Requeue | Verdict
    recording: str | None = None
    """A recording that may lie on the PBX, to be deleted there one day."""


class CallStep(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One step of a call: its journal line, what is told of it and, at the end, the end."""

    call_id: str
    entry: Entry
    outgoing: tuple[Outgoing, ...]
    end: CallEnd | None


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A recording that may lie on a PBX node."""

    call_id: str
    pbx: str
    recording: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that was given up."""

    id: int
    job_id: str
    type: str
    url: str
    sequence: int
    created_at: float
    attempts: int
    error: str


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A job and every journal line of its calls, for whoever watches."""

    job: JobRow
    calls: tuple[tuple[str, int, tuple[Entry, ...]], ...]
    """(call id, attempt, journal) of each call, in order."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All that `show` tells of a job."""

    job: JobRow
    cdrs: tuple[dict[str, Any], ...]
    notifications: dict[str, int]
    """How many notifications are in which state."""
    problem: str = ""
    """Why the first of those that have not arrived has not; empty when none was tried in vain."""
    waits_for: str = ""
    """The limit that makes the job wait; empty when none does."""
