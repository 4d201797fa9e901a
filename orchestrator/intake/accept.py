"""One job from raw bytes to what the ledger stores: checked, its prompt prepared, its secrets sealed.

All that can be found wrong is found here, so that nobody hears a fault in their ear: the template is
rendered and every sound looked up before the job is taken. What leaves this module in the clear holds
neither the code nor a variable.
"""

from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET

from orchestrator.call import events as ev
from orchestrator.guard.seal import Seal
from orchestrator.intake.say import NOTHING, Said, Voices, prompts_of
from orchestrator.job import Item, Job, Kind, canonical, examine, fields_of, public
from orchestrator.ledger.records import NewJob
from orchestrator.notify.address import Network, check_url
from orchestrator.prompts import LanguageInvalid, PromptError, find_template
from orchestrator.validate import Fault, Invalid

MAX_JOB_BYTES: Final = 64 * 1024
_SPOKEN: Final = frozenset(
    {"kind", "code", "template", "language", "variables", "plays", "max_duration", "items", "gate", "record"}
)
"""The fields that decide what is said; without them nothing can be prepared."""
_NAMING: Final = frozenset({"kind", "template", "language", "items"})
"""The fields that name the template."""

_encode = msgspec.json.Encoder().encode


class Callbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about callbacks."""

    warn_before: float = 10.0
    """Seconds before the longest duration at which its end is announced; 0 for never."""
    warn_to: Literal["caller", "callee", "both"] = "both"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about jobs."""

    voices: Voices
    seal: Seal
    min_code_digits: int
    caller_ids: frozenset[str]
    notify_url: str | None
    signs: bool
    """Whether there is a secret to sign notifications with."""
    allow_networks: tuple[Network, ...]
    callbacks: Callbacks = Callbacks()
    caller_sets: tuple[frozenset[str], ...] = ()
    """The caller IDs of each node: a callback's two must be of one."""

    def __repr__(self) -> str:
        return "Rules(…)"


def new_id(now: float, entropy: bytes) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then `entropy` (10 bytes)."""
    value = int(now * 1000) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def accept(
    raw: bytes | str,
    rules: Rules,
    now: float,
    entropy: bytes,
    *,
    own_id: str | None = None,
    reply_url: str | None = None,
    intake: str | None = None,
) -> NewJob:
    """Check one job and make it ready to be stored.

    A job without an id gets `own_id`, else one made of `now` and `entropy`; one that names no receiver is
    told of at `reply_url`, else at the configuration's. `intake` is the queue that it came from.

    Raises `Invalid` with every fault; none of them holds the code or a variable.
    """
    if len(raw) > MAX_JOB_BYTES:
        raise Invalid([Fault("$", f"longer than {MAX_JOB_BYTES} bytes")])
    job, faults = examine(raw, min_code_digits=rules.min_code_digits)
    faulty = fields_of(faults)
    for path, shown in (("$.from", job.from_), ("$.caller_from", job.caller_from)):
        if shown is not None and shown not in rules.caller_ids:
            allowed = ", ".join(sorted(rules.caller_ids)) or "none"
            faults.append(Fault(path, f"not among the configuration's caller_ids ({allowed})."))
    by = _found_by(job, rules.caller_sets)
    if by is None and job.caller_from is not None:
        faults.append(
            Fault(
                "$.caller_from", "a PBX node that may show it, or `from`, may not show both; name one only."
            )
        )
    if job.notify is not None and job.notify.url is not None and job.notify.url != rules.notify_url:
        unfit = check_url(job.notify.url, rules.allow_networks)
        if unfit is not None:
            faults.append(Fault("$.notify.url", str(unfit)))
        elif not rules.signs:
            faults.append(Fault("$.notify.url", "the configuration has no notify.secret to sign with."))
    expires_at = now + job.lifetime
    not_before = max(now, job.not_before.timestamp()) if job.not_before else now
    if not_before >= expires_at and not faulty & {"kind", "expires_in"}:
        until = datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds")
        faults.append(Fault("$.not_before", f"it would expire before that, at {until}; raise expires_in."))
    said = NOTHING
    if not faulty & _SPOKEN:
        said = prompts_of(job, rules.voices, faults)
    elif not faulty & _NAMING:
        _check_names(job, rules.voices, faults)
    if faults:
        raise Invalid(faults)
    job_id = (own_id or new_id(now, entropy)) if job.id is UNSET else job.id
    return NewJob(
        id=job_id,
        fingerprint=rules.seal.fingerprint(canonical(job)),
        sealed=rules.seal.seal(job_id, _encode(said.script)),
        body=_body(job, said, reply_url, rules.callbacks, intake),
        priority=job.priority,
        caller_id=by,
        created_at=now,
        not_before=not_before,
        expires_at=expires_at,
    )


def _found_by(job: Job, nodes: tuple[frozenset[str], ...]) -> str | None:
    """The caller ID by which PBX nodes find the job: of a callback's two, one that no node has which may not
    show both. None when the job names none, or there is none such."""
    both = [number for number in (job.from_, job.caller_from) if number is not None]
    for number in both:
        finders = [node for node in nodes if number in node]
        if all(node.issuperset(both) for node in finders):
            return number
    return None


def _check_names(job: Job, voices: Voices, faults: list[Fault]) -> None:
    """What can be said of the template before the job's other fields are mended."""
    template = job.template or (job.kind.value if job.kind is Kind.CODE else None)
    if template is None:
        return
    try:
        find_template(voices.library, job.language or voices.language, template, voices.language)
    except LanguageInvalid as error:
        faults.append(Fault("$.language", str(error)))
    except PromptError as error:
        faults.append(Fault("$.template", str(error)))


def _body(job: Job, said: Said, reply_url: str | None, callbacks: Callbacks, intake: str | None) -> bytes:
    """The job's public part, with what the other rooms need of it."""
    stored = public(job)
    stored.pop("id", None)
    notify = stored.pop("notify", None) or {}
    stored["max_duration"] = job.longest
    stored["play_seconds"] = said.script.seconds
    stored["notify_url"] = notify.get("url") or reply_url
    stored["notify_events"] = notify.get("events")
    if intake is not None:
        stored["intake"] = intake
    if job.kind is Kind.NOTICE:
        stored["notice"] = _notice(job)
    if job.kind is Kind.CALLBACK:
        stored["second"] = _second(job, said, callbacks)
    return _encode(stored)


def _second(job: Job, said: Said, callbacks: Callbacks) -> ev.Second:
    return ev.Second(
        number=job.to,
        ring_timeout=job.ring_timeout,
        play_seconds=said.seconds,
        caller_id=job.from_,
        record=job.record,
        warn_before=callbacks.warn_before,
        warn_to=callbacks.warn_to,
    )


def _notice(job: Job) -> ev.Notice:
    collects = (
        None if item.collect is None else msgspec.convert(msgspec.to_builtins(item.collect), ev.Collect)
        for item in job.items or (Item(),)
    )
    gate = None if job.gate is None else ev.Gate(job.gate.digit, job.gate.plays, job.gate.timeout)
    return ev.Notice(tuple(collects), gate)
