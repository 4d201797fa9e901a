"""What a producer asks for. These types validate it, and JSON Schema is generated from them.

A `Job` is what was submitted, code and variables included, so it lives only between the intake and the seal:
it has no `repr` that shows more than its id, and the ledger stores its public part (`public`) and the rest
encrypted.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
import phonenumbers
from msgspec import UNSET, Meta, UnsetType

from orchestrator.job_kinds import faults_of_kind
from orchestrator.validate import Fault, Invalid, decode, valid_fields

_END = r"(?![\s\S])"  # the very end, in Python's and in ECMA's dialect; `$` would let a newline through

Id = Annotated[
    str,
    Meta(pattern=rf"^[A-Za-z0-9._:\-]{{1,64}}{_END}", description="1 to 64 of A-Z a-z 0-9 . _ : -"),
]
E164 = Annotated[
    str,
    Meta(
        pattern=rf"^\+[1-9][0-9]{{6,14}}{_END}",
        description="An E.164 number: a plus and 7 to 15 digits, such as +12025550100.",
    ),
]
Code = Annotated[str, Meta(pattern=rf"^[0-9]{{2,10}}{_END}", description="2 to 10 digits, as a string.")]
TemplateName = Annotated[
    str,
    Meta(pattern=rf"^[a-z0-9_\-]{{1,64}}{_END}", description="A template's name: 1 to 64 of a-z 0-9 _ -"),
]
LanguageTag = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z]{{2,8}}(-[A-Za-z0-9]{{1,8}})*{_END}",
        max_length=35,
        description="A BCP 47 language tag, such as en or zh-CN.",
    ),
]
VariableName = Annotated[str, Meta(pattern=rf"^[A-Za-z_][A-Za-z0-9_]{{0,63}}{_END}")]
VariableValue = Annotated[str, Meta(max_length=1024)] | int | float
EventType = Literal[
    "call.dialing", "call.ringing", "call.answered", "call.digits", "call.hangup", "job.ended", "cdr"
]
RetryOutcome = Literal[
    "hung_up_early",
    "not_confirmed",
    "busy",
    "no_answer",
    "rejected",
    "unreachable",
    "invalid_number",
    "congested",
    "failed",
]


class Kind(StrEnum):
    """What kind of call a job is."""

    CODE = "code"
    NOTICE = "notice"
    CALLBACK = "callback"


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dial again when an attempt ends badly. `attempts` counts every dial, the first included."""

    attempts: Annotated[int, Meta(ge=1, le=5, description="1 to 5, counting every dial.")]
    delay: Annotated[float, Meta(ge=0, le=86400, description="Seconds between two attempts.")] = 30.0
    on: Annotated[tuple[RetryOutcome, ...], Meta(min_length=1, description="The outcomes to retry on.")] = (
        "busy",
        "no_answer",
        "unreachable",
        "congested",
    )


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where this job's notifications go, and which. `job.ended` is always sent."""

    url: Annotated[str, Meta(max_length=2048, description="An http or https address.")] | None = None
    events: (
        Annotated[tuple[EventType, ...], Meta(description="The types to send; all when absent.")] | None
    ) = None


class Collect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys to collect at an item of a notice. A key that is pressed ends the prompt."""

    max_digits: Annotated[int, Meta(ge=1, le=32, description="1 to 32; so many keys end the input.")]
    timeout: Annotated[
        float, Meta(gt=0, le=60, description="Seconds from the end of the prompt, and from each key.")
    ] = 5.0
    terminator: Annotated[
        str, Meta(pattern=rf"^[0-9*#]?{_END}", description="The key that ends the input; empty for none.")
    ] = "#"
    replay_on: Annotated[
        str,
        Meta(
            pattern=rf"^[0-9*#]?{_END}",
            description="The key that, pressed first, has the item played again; empty for none.",
        ),
    ] = "1"
    max_replays: Annotated[int, Meta(ge=0, le=9, description="0 to 9.")] = 2


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to press before a notice says anything, so that voicemail hears nothing of it."""

    digit: Annotated[str, Meta(pattern=rf"^[0-9*#]{_END}", description="The key: 0-9, * or #.")] = "1"
    plays: Annotated[int, Meta(ge=1, le=9, description="How often it is asked for.")] = 3
    timeout: Annotated[
        float, Meta(gt=0, le=60, description="Seconds that each asking waits after its prompt.")
    ] = 5.0
    template: TemplateName = "gate"


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of what is said: a template, a sound or a text."""

    template: TemplateName | None = None
    sound: Annotated[str, Meta(max_length=128, description="A sound's id, such as own/closing.")] | None = (
        None
    )
    text: (
        Annotated[str, Meta(max_length=4096, description="Spoken by a speech engine; plain text.")] | None
    ) = None
    variables: Annotated[dict[VariableName, VariableValue], Meta(max_length=32)] = {}
    """Besides the job's own, and instead of those of the same name."""
    collect: Collect | None = None

    def __repr__(self) -> str:
        return "Item(…)"


class Job(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"from_": "from", "plays_": "plays"},
):
    """A job as the contract has it. See docs/producers.md for each field."""

    id: Id | UnsetType = UNSET
    kind: Kind = Kind.CODE
    to: E164
    from_: E164 | None = None
    code: Code | None = None
    template: TemplateName | None = None
    language: LanguageTag | None = None
    variables: Annotated[dict[VariableName, VariableValue], Meta(max_length=32)] = {}
    plays_: (
        Annotated[int, Meta(ge=1, le=9, description="1 to 9; 2 when absent, 1 where keys are collected.")]
        | UnsetType
    ) = UNSET
    items: Annotated[list[Item], Meta(min_length=1, max_length=5)] | None = None
    gate: Gate | None = None
    caller: E164 | None = None
    caller_from: E164 | None = None
    """The caller ID that the first leg of a callback shows; as `from` when absent."""
    record: bool = False
    ring_timeout: Annotated[float, Meta(ge=5, le=120, description="5 to 120 seconds.")] = 30
    max_duration: Annotated[float, Meta(ge=1, le=14400, description="1 to 14400 seconds.")] | None = None
    expires_in: Annotated[float, Meta(ge=1, le=86400, description="1 to 86400 seconds.")] | None = None
    not_before: Annotated[datetime, Meta(tz=True, description="RFC 3339, with its zone.")] | None = None
    retry: Retry | None = None
    priority: Annotated[int, Meta(ge=0, le=9, description="0 to 9, higher first.")] = 0
    notify: Notify | None = None
    user_data: Annotated[str, Meta(max_length=256)] = ""

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, kind={self.kind.value!r})"

    @property
    def plays(self) -> int:
        """How often the prompt is played: as asked for, else twice, and once where keys are collected or a
        callback's caller is spoken to."""
        if self.plays_ is not UNSET:
            return self.plays_
        collects = any(item.collect is not None for item in self.items or ())
        return 1 if collects or self.kind is Kind.CALLBACK else 2

    @property
    def longest(self) -> float:
        """The longest duration from the answer, in seconds, with the kind's default."""
        default = 3600.0 if self.kind is Kind.CALLBACK else 120.0
        return self.max_duration if self.max_duration is not None else default

    @property
    def lifetime(self) -> float:
        """Seconds from acceptance until no attempt starts any more, with the kind's default."""
        default = 120.0 if self.kind is Kind.CODE else 3600.0
        return self.expires_in if self.expires_in is not None else default


def examine(raw: bytes | str, *, min_code_digits: int = 4) -> tuple[Job, list[Fault]]:
    """Decode and check one job, as far as a job can be checked by itself.

    Returns every fault, each with its JSON path and none with a value. The job holds the defaults (and no
    number) in place of the fields that have one. Raises `Invalid` for what is no JSON object.
    """
    try:
        job, faults = decode(raw, Job), list[Fault]()
    except Invalid as invalid:
        if any(fault.path == "$" for fault in invalid.faults):
            raise Invalid(invalid.faults) from None
        job, faults = Job(**{"to": "", **valid_fields(raw, Job)}), list(invalid.faults)
    faulty = fields_of(faults)
    faults += [fault for fault in _faults(job, faulty, min_code_digits) if not fields_of([fault]) & faulty]
    return job, faults


def read_job(raw: bytes | str, *, min_code_digits: int = 4) -> Job:
    """As `examine`, but raises `Invalid` for any fault."""
    job, faults = examine(raw, min_code_digits=min_code_digits)
    if faults:
        raise Invalid(faults)
    return job


def fields_of(faults: Iterable[Fault]) -> set[str]:
    """The job's fields that `faults` are about."""
    return {re.split(r"[.\[]", fault.path.removeprefix("$."), maxsplit=1)[0] for fault in faults}


def _faults(job: Job, faulty: Collection[str], min_code_digits: int) -> list[Fault]:
    if "kind" in faulty:
        return []  # what the other fields must be hangs on it
    faults = faults_of_kind(job, min_code_digits)
    for field in ("to", "caller"):
        number = getattr(job, field)
        if number is not None and not is_possible(number):
            faults.append(Fault(f"$.{field}", "not a possible number: check its country code and length."))
    return faults


def is_possible(number: str) -> bool:
    """Whether an E.164 number has a known country code and a possible length (libphonenumber)."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE


def public(job: Job) -> dict[str, Any]:
    """The job without its secrets: what is stored in the clear and shown."""
    data: dict[str, Any] = msgspec.to_builtins(job)
    data["plays"] = job.plays
    for secret in ("code", "variables", "items"):
        data.pop(secret, None)
    return data


INTERNAL: Final = frozenset({"play_seconds", "notice", "second", "application_calls"})
"""What the stored job holds for the other rooms, besides its public part."""


def canonical(job: Job) -> bytes:
    """The job's whole content but its id, the same bytes for the same content. A secret: never stored."""
    return msgspec.json.encode(msgspec.structs.replace(job, id=UNSET, plays_=job.plays), order="sorted")
