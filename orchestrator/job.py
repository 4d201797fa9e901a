"""What a producer asks for. These types validate it, and JSON Schema is generated from them.

A `Job` is what was submitted, code and variables included, so it lives only between the intake and the seal:
it has no `repr` that shows more than its id, and the ledger stores its public part (`public`) and the rest
encrypted.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import phonenumbers
from msgspec import UNSET, Meta, UnsetType

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
    """Digits to collect after an item of a notice."""

    max_digits: Annotated[int, Meta(ge=1, le=32)]
    timeout: Annotated[float, Meta(gt=0, le=60)] = 5.0
    terminator: Annotated[str, Meta(pattern=rf"^[0-9*#]?{_END}")] = "#"
    replay_on: Annotated[str, Meta(pattern=rf"^[0-9*#]?{_END}")] = "1"
    max_replays: Annotated[int, Meta(ge=0, le=9)] = 2


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a notice: a template, a sound or a text."""

    template: TemplateName | None = None
    sound: Annotated[str, Meta(max_length=128)] | None = None
    text: Annotated[str, Meta(max_length=4096)] | None = None
    variables: dict[VariableName, VariableValue] = {}
    collect: Collect | None = None

    def __repr__(self) -> str:
        return "Item(…)"


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A job as the contract has it. See docs/producers.md for each field."""

    id: Id | UnsetType = UNSET
    kind: Kind = Kind.CODE
    to: E164
    from_: E164 | None = None
    code: Code | None = None
    template: TemplateName | None = None
    language: LanguageTag | None = None
    variables: Annotated[dict[VariableName, VariableValue], Meta(max_length=32)] = {}
    plays: Annotated[int, Meta(ge=1, le=9, description="1 to 9.")] = 2
    items: Annotated[list[Item], Meta(min_length=1, max_length=5)] | None = None
    caller: E164 | None = None
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
    if job.kind is not Kind.CODE:
        return [Fault("$.kind", f"`{job.kind}` is not supported by this version; only `code` is.")]
    faults: list[Fault] = []
    if not is_possible(job.to):
        faults.append(Fault("$.to", "not a possible number: check its country code and length."))
    if job.code is None:
        faults.append(Fault("$.code", "required for a job of kind `code`"))
    elif len(job.code) < min_code_digits:
        faults.append(Fault("$.code", f"too short: the configuration asks for {min_code_digits} digits"))
    for name, wanted in (("items", "notice"), ("caller", "callback"), ("record", "callback")):
        if getattr(job, name):
            faults.append(Fault(f"$.{name}", f"only for a job of kind `{wanted}`"))
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
    for secret in ("code", "variables", "items"):
        data.pop(secret, None)
    return data


def canonical(job: Job) -> bytes:
    """The job's whole content but its id, the same bytes for the same content. A secret: never stored."""
    return msgspec.json.encode(msgspec.structs.replace(job, id=UNSET), order="sorted")
