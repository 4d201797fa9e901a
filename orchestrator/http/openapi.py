"""The OpenAPI 3.1 document, generated from the types that validate what comes and encode what goes."""

from typing import Any, Final

import msgspec

from orchestrator import __version__
from orchestrator.http.operations import REF, Object, paths, response
from orchestrator.http.problems import CONTENT_TYPE, SORTS, Problem
from orchestrator.http.shapes import Accepted, Cancelled, DeadLetters, Health, JobView, Replay, Replayed
from orchestrator.job import Job
from orchestrator.notify import payload

_NOTIFICATIONS: Final = tuple(payload.Notification.__subclasses__())
_ABOUT: Final = """
Hand in a phone call, follow it, end it. A job's `id` is its idempotency key: the same id with the same
content is the same job, however often it is sent. Errors are RFC 9457 problem details.
"""


def document(*, keyed: bool) -> Object:
    """The whole document. `keyed` says whether requests need a key."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Call orchestrator",
            "version": __version__,
            "summary": "Outbound voice calls: verification codes, notices, callbacks.",
            "description": " ".join(_ABOUT.split()),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "jobs", "description": "Calls to be made."},
            {"name": "dead letters", "description": "Notifications that were given up."},
            {"name": "operation", "description": "For load balancers and Prometheus. No key on loopback."},
        ],
        "paths": paths(keyed=keyed),
        "components": {
            "schemas": _schemas(),
            "responses": {
                str(sort.status): response(sort.meaning, CONTENT_TYPE, "Problem") for sort in SORTS.values()
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`orchestrator keys add NAME` makes one.",
                }
            },
        },
    }


def _schemas() -> Object:
    types = [Job, Accepted, Cancelled, JobView, DeadLetters, Replay, Replayed, Health, Problem]
    _, schemas = msgspec.json.schema_components([*types, *_NOTIFICATIONS], ref_template=REF)
    schemas["Event"] = _event()
    tidied: Object = _tidy(schemas)
    return tidied


def _event() -> Object:
    """The CloudEvents envelope, around the data of any notification."""
    text = {"type": "string"}
    return {
        "title": "Event",
        "description": "A notification as a CloudEvent 1.0, the same that a receiver gets.",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": {"enum": [notification.TYPE for notification in _NOTIFICATIONS]},
            "subject": {**text, "description": "The job's id."},
            "time": {**text, "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": {"anyOf": [{"$ref": REF.format(name=each.__name__)} for each in _NOTIFICATIONS]},
        },
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
    }


def _tidy(node: Any) -> Any:
    """A docstring's line ends are of no meaning; `$` is the very end in ECMA's dialect of patterns."""
    if isinstance(node, dict):
        tidied = {key: _tidy(value) for key, value in node.items()}
        if isinstance(tidied.get("description"), str):
            tidied["description"] = " ".join(tidied["description"].split())
        if isinstance(tidied.get("pattern"), str):
            tidied["pattern"] = tidied["pattern"].replace(r"(?![\s\S])", "$")
        return tidied
    return [_tidy(member) for member in node] if isinstance(node, list) else node
