"""Keys of the HTTP API: one or several an application, each with what it may ask for.

A key is `ork_<id>_<secret>`. Its id is public and finds it; the secret is 32 random bytes, so a plain
SHA-256 of the whole key is enough at rest: nobody guesses 256 bits, however fast they hash. Keys are compared
in constant time.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from orchestrator.job import E164, Job, Kind, TemplateName
from orchestrator.validate import Fault

ENTROPY: Final = 6 + 32
"""Bytes of randomness that a key is made of."""
_FORM: Final = re.compile(r"ork_([0-9a-f]{12})_[A-Za-z0-9_\-]{43}(?![\s\S])")
_END: Final = r"(?![\s\S])"

Application = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9._\-]{{1,64}}{_END}", description="1 to 64 of A-Z a-z 0-9 . _ -")
]
ToPrefix = Annotated[
    str, Meta(pattern=rf"^\+[0-9]{{1,15}}{_END}", description="A plus and the first digits, such as +1.")
]


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One key as it is stored. An empty list allows everything."""

    id: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{12}}{_END}")]
    application: Application
    sha256: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{_END}")]
    created_at: Annotated[datetime, Meta(tz=True)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    kinds: tuple[Kind, ...] = ()
    caller_ids: tuple[E164, ...] = ()
    """The caller IDs that jobs may, and then must, name."""
    templates: tuple[TemplateName, ...] = ()
    """The templates that may be spoken. Where there are some, a sound or a text of one's own may not."""
    to_prefixes: tuple[ToPrefix, ...] = ()
    rate: Annotated[float, Meta(gt=0)] | None = None
    """Requests a second."""
    concurrent: Annotated[int, Meta(ge=1)] | None = None
    """Requests at the same time, streams included."""
    calls: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Calls of its application at the same time that the jobs of this key wait for, instead of the
    configuration's `limits.application_calls`."""

    def __repr__(self) -> str:
        return f"Key({self.id!r}, application={self.application!r})"


def make_key(application: str, now: datetime, entropy: bytes, **may: Any) -> tuple[Key, str]:
    """A new key, and the text that its application holds: the only place where the secret is.

    `entropy` is `ENTROPY` random bytes; `may` are the limits, fields of `Key`. Raises
    `msgspec.ValidationError` for fields that do not fit.
    """
    id_ = entropy[:6].hex()
    secret = urlsafe_b64encode(entropy[6:ENTROPY]).rstrip(b"=").decode()
    text = f"ork_{id_}_{secret}"
    stored = {"id": id_, "application": application, "sha256": _digest(text), "created_at": now, **may}
    return msgspec.convert(stored, Key), text


def check_key(keys: Mapping[str, Key], text: str, now: datetime) -> Key | None:
    """The key that `text` is, by `keys` under their ids; None when it is none, or has expired."""
    form = _FORM.match(text)
    key = keys.get(form.group(1)) if form is not None else None
    stored = key.sha256 if key is not None else "0" * 64  # an unknown id takes as long as a wrong secret
    same = hmac.compare_digest(stored, _digest(text))
    if key is None or not same or (key.expires_at is not None and key.expires_at <= now):
        return None
    return key


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def instant(at: float) -> datetime:
    """Seconds since the epoch as the time that keys are compared by."""
    return datetime.fromtimestamp(at, UTC)


def beyond(key: Key, job: Job) -> list[Fault]:
    """What the job asks for and the key does not allow. No fault shows a secret."""
    faults: list[Fault] = []
    if key.kinds and job.kind not in key.kinds:
        faults.append(Fault("$.kind", f"this key may ask for {_listed(key.kinds)} only."))
    if key.caller_ids:
        shown = {"$.from": job.from_}
        if job.caller_from is not None:
            shown["$.caller_from"] = job.caller_from
        faults += (
            Fault(path, f"this key must name one of {_listed(key.caller_ids)}.")
            for path, number in shown.items()
            if number not in key.caller_ids
        )
    for path, number in (("$.to", job.to), ("$.caller", job.caller)):
        if number is not None and key.to_prefixes and not number.startswith(key.to_prefixes):
            faults.append(Fault(path, f"this key may call {_listed(key.to_prefixes)} only."))
    if key.templates:
        faults += _unspoken(key, job)
    return faults


def _unspoken(key: Key, job: Job) -> list[Fault]:
    only = f"this key may have {_listed(key.templates)} spoken only."
    faults = []
    template = job.template or (job.kind.value if job.kind is Kind.CODE else None)
    if template is not None and template not in key.templates:
        faults.append(Fault("$.template", only))
    for n, item in enumerate(job.items or ()):
        if item.template not in key.templates:
            which = next((name for name in ("sound", "text") if getattr(item, name) is not None), "template")
            faults.append(Fault(f"$.items[{n}].{which}", only))
    if job.gate is not None and job.gate.template not in (*key.templates, "gate"):
        faults.append(Fault("$.gate.template", only))
    return faults


def _listed(allowed: tuple[Any, ...]) -> str:
    return ", ".join(str(each) for each in allowed)
