"""Whose job it is: the application's name stands in the stored job, and nobody else sees it.

The name goes into the fingerprint too: another application that sends the same id and the same content has
not sent the same job.
"""

import msgspec

from orchestrator.guard.seal import Seal
from orchestrator.ledger.records import NewJob


class _Owned(msgspec.Struct, frozen=True):
    application: str | None = None


_decode = msgspec.json.Decoder(_Owned).decode


def owner_of(body: bytes) -> str | None:
    """The application of a stored job; None for one that came in another way."""
    return _decode(body).application


def owned(job: NewJob, application: str, seal: Seal, calls: int | None = None) -> NewJob:
    """The job as this application's. `calls` is how many of it may live at the same time, by the key."""
    body = msgspec.json.decode(job.body, type=dict[str, msgspec.Raw])
    body["application"] = msgspec.Raw(msgspec.json.encode(application))
    if calls is not None:
        body["application_calls"] = msgspec.Raw(msgspec.json.encode(calls))
    return msgspec.structs.replace(
        job,
        body=msgspec.json.encode(body),
        fingerprint=seal.fingerprint(b"application\0" + application.encode() + b"\0" + job.fingerprint),
    )
