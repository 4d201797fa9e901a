"""One job from raw bytes to what the ledger stores: checked, its prompt prepared, its secrets sealed.

All that can be found wrong is found here, so that nobody hears a fault in their ear: the template is
rendered and every sound looked up before the job is taken. What leaves this module in the clear holds
neither the code nor a variable.
"""

import math
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import UNSET

from orchestrator.guard.seal import Seal
from orchestrator.job import Job, canonical, examine, fields_of, public
from orchestrator.ledger.records import NewJob, Script
from orchestrator.notify.address import Network, check_url
from orchestrator.prompts import (
    LanguageInvalid,
    Library,
    PromptError,
    VariablesInvalid,
    find_template,
    length,
    prepare,
)
from orchestrator.validate import Fault, Invalid

MAX_JOB_BYTES: Final = 64 * 1024
ROUNDING: Final = 5
"""A play's length is stored in steps of so many seconds: the exact one would tell something of the code."""
_SPOKEN: Final = frozenset({"kind", "code", "template", "language", "variables", "plays", "max_duration"})
"""The fields that decide what is said; without them nothing can be prepared."""
_NAMING: Final = frozenset({"kind", "template", "language"})
"""The fields that name the template."""

_encode = msgspec.json.Encoder().encode


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about jobs."""

    library: Library
    seal: Seal
    language: str
    min_code_digits: int
    caller_ids: frozenset[str]
    notify_url: str | None
    signs: bool
    """Whether there is a secret to sign notifications with."""
    allow_networks: tuple[Network, ...]

    def __repr__(self) -> str:
        return "Rules(…)"


def new_id(now: float, entropy: bytes) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then `entropy` (10 bytes)."""
    value = int(now * 1000) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def accept(raw: bytes | str, rules: Rules, now: float, entropy: bytes) -> NewJob:
    """Check one job and make it ready to be stored.

    Raises `Invalid` with every fault; none of them holds the code or a variable.
    """
    if len(raw) > MAX_JOB_BYTES:
        raise Invalid([Fault("$", f"longer than {MAX_JOB_BYTES} bytes")])
    job, faults = examine(raw, min_code_digits=rules.min_code_digits)
    faulty = fields_of(faults)
    if job.from_ is not None and job.from_ not in rules.caller_ids:
        allowed = ", ".join(sorted(rules.caller_ids)) or "none"
        faults.append(Fault("$.from", f"not among the configuration's caller_ids ({allowed})."))
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
    script = Script((), 0)
    if not faulty & _SPOKEN:
        script = _script(job, rules, faults)
    elif not faulty & _NAMING:
        _check_names(job, rules, faults)
    if faults:
        raise Invalid(faults)
    job_id = new_id(now, entropy) if job.id is UNSET else job.id
    return NewJob(
        id=job_id,
        fingerprint=rules.seal.fingerprint(canonical(job)),
        sealed=rules.seal.seal(job_id, _encode(script)),
        body=_body(job, script),
        priority=job.priority,
        caller_id=job.from_,
        created_at=now,
        not_before=not_before,
        expires_at=expires_at,
    )


def _check_names(job: Job, rules: Rules, faults: list[Fault]) -> None:
    """What can be said of the template before the job's other fields are mended."""
    try:
        find_template(
            rules.library, job.language or rules.language, job.template or job.kind.value, rules.language
        )
    except LanguageInvalid as error:
        faults.append(Fault("$.language", str(error)))
    except PromptError as error:
        faults.append(Fault("$.template", str(error)))


def _script(job: Job, rules: Rules, faults: list[Fault]) -> Script:
    nothing = Script((), 0)
    try:
        prepared = prepare(
            rules.library,
            job.language or rules.language,
            job.template or job.kind.value,
            code=job.code,
            variables=job.variables,
            plays=job.plays,
            default_language=rules.language,
        )
    except LanguageInvalid as error:
        faults.append(Fault("$.language", str(error)))
        return nothing
    except VariablesInvalid as error:
        faults.append(Fault("$.variables", str(error)))
        return nothing
    except PromptError as error:
        faults.append(Fault("$.template", str(error)))
        return nothing
    lengths = [length(playlist) / 1000 for playlist in prepared.plays]
    if sum(lengths) > job.longest:
        needed = _rounded(sum(lengths))
        faults.append(
            Fault("$.max_duration", f"the prompt takes up to {needed} s in all; raise it, or lower plays.")
        )
    sounds = tuple(tuple(item.sound for item in playlist) for playlist in prepared.plays)
    return Script(sounds, _rounded(max(lengths)))


def _rounded(seconds: float) -> int:
    return ROUNDING * math.ceil(seconds / ROUNDING)


def _body(job: Job, script: Script) -> bytes:
    """The job's public part, with what the other rooms need of it."""
    stored = public(job)
    stored.pop("id", None)
    notify = stored.pop("notify", None) or {}
    stored["max_duration"] = job.longest
    stored["play_seconds"] = script.seconds
    stored["notify_url"] = notify.get("url")
    stored["notify_events"] = notify.get("events")
    return _encode(stored)
