"""The AsyncAPI 3 document of the intakes (https://www.asyncapi.com/docs/reference/specification/v3.0.0), made
from the very types that validate jobs and encode notifications, and from the configured places."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from orchestrator import __version__
from orchestrator.intake.accept import MAX_JOB_BYTES
from orchestrator.intake.options import Intake
from orchestrator.job import Job
from orchestrator.notify import payload

Json = dict[str, Any]
NOTIFICATIONS: Final[tuple[type[payload.Notification], ...]] = (
    payload.Dialing,
    payload.Ringing,
    payload.Answered,
    payload.Digits,
    payload.HungUp,
    payload.JobEnded,
)
EXAMPLES: Final = (
    Intake(
        name="redis", kind="redis", url="redis://127.0.0.1:6379/0", jobs="calls:jobs", replies="calls:events"
    ),
    Intake(name="amqp", kind="amqp", url="amqp://127.0.0.1:5672/", jobs="calls.jobs", replies="calls.events"),
    Intake(name="nats", kind="nats", url="nats://127.0.0.1:4222", jobs="calls.jobs", replies="calls.events"),
    Intake(name="folder", kind="folder", jobs="/var/spool/orchestrator", replies="replies"),
)
"""What is described where no intake is configured: one of each kind."""
_PORTS: Final = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "nats": 4222, "tls": 4222}
_TEXT: Final[Json] = {"type": "string"}
_ABOUT: Final = (
    "Jobs go in as JSON, one a message; notifications come back as CloudEvents 1.0 in structured JSON mode. "
    f"Delivery is at least once both ways. A job may have {MAX_JOB_BYTES} bytes. What cannot be taken is put "
    "among the dead letters, with the reason."
)


def document(intakes: Sequence[Intake]) -> Json:
    """The document. It holds no password."""
    channels: Json = {}
    operations: Json = {}
    for intake in intakes:
        for role, place in (("jobs", intake.jobs), ("dead", intake.dead_place), ("replies", intake.replies)):
            if place is None:
                continue
            key = f"{intake.name}.{role}"
            channels[key] = _channel(intake, role, place)
            operations[key] = {
                "action": "receive" if role == "jobs" else "send",
                "channel": {"$ref": f"#/channels/{key}"},
                "messages": [
                    {"$ref": f"#/channels/{key}/messages/{name}"} for name in channels[key]["messages"]
                ],
            }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Call orchestrator", "version": __version__, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {intake.name: _server(intake) for intake in intakes},
        "channels": channels,
        "operations": operations,
        "components": {"messages": _messages(intakes), "schemas": _schemas()},
    }


def _server(intake: Intake) -> Json:
    if intake.url is None:
        return {"host": "localhost", "pathname": intake.jobs, "protocol": "file"}
    parts = urlsplit(intake.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    server: Json = {"host": f"{host}:{parts.port or _PORTS[parts.scheme]}", "protocol": parts.scheme}
    if parts.path.strip("/"):
        server["pathname"] = parts.path
    return server


def _channel(intake: Intake, role: str, place: str) -> Json:
    names = {
        "jobs": ["job"],
        "dead": ["dead"],
        "replies": [*(each.TYPE for each in NOTIFICATIONS), payload.CDR],
    }
    address = {"folder": f"{place}/incoming" if role == "jobs" else place}.get(intake.kind, place)
    channel: Json = {
        "address": address,
        "servers": [{"$ref": f"#/servers/{intake.name}"}],
        "messages": {name: {"$ref": f"#/components/messages/{intake.kind}.{name}"} for name in names[role]},
    }
    if intake.kind == "amqp":
        queue = {"name": place, "durable": True, "exclusive": False, "autoDelete": False}
        channel["bindings"] = {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}}
    return channel


def _messages(intakes: Sequence[Intake]) -> Json:
    messages: Json = {}
    for kind in sorted({intake.kind for intake in intakes}):
        job = _ref("Job")
        messages[f"{kind}.job"] = {
            "title": "A job",
            "contentType": "application/json",
            "payload": _fields({"job": _inside("application/json", job)}) if kind == "redis" else job,
        }
        messages[f"{kind}.dead"] = _dead(kind)
        for name in (*(each.TYPE for each in NOTIFICATIONS), payload.CDR):
            messages[f"{kind}.{name}"] = _event(kind, name)
    return messages


def _dead(kind: str) -> Json:
    letter: Json = {"title": "A message that could not be taken, as it came, with the reason"}
    reason = _TEXT | {"description": "Every fault with its JSON path. It never shows a value."}
    match kind:
        case "redis":
            extra = {"reason": reason, "message_id": _TEXT}
            return letter | {"payload": {"type": "object", "properties": extra, "required": [*extra]}}
        case "folder":
            return letter | {
                "payload": {},
                "description": "The reason is in a file beside it, `NAME.reason`.",
            }
        case _:
            name = "reason" if kind == "amqp" else "Reason"
            headers = {"type": "object", "properties": {name: reason}, "required": [name]}
            return letter | {"headers": headers, "payload": {}}


def _event(kind: str, name: str) -> Json:
    schema = _ref(f"event.{name}")
    if kind == "redis":
        fields = {
            "id": _TEXT,
            "type": {"const": name},
            "content_type": {"const": payload.CONTENT_TYPE},
            "event": _inside(payload.CONTENT_TYPE, schema),
        }
        return {"name": name, "payload": _fields(fields)}
    return {"name": name, "contentType": payload.CONTENT_TYPE, "payload": schema}


def _schemas() -> Json:
    types: list[Any] = [Job, *NOTIFICATIONS, payload.CdrBatch]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for each in NOTIFICATIONS:
        schemas[f"event.{each.TYPE}"] = _cloud_event(each.TYPE, each.__name__, subject=True)
    schemas[f"event.{payload.CDR}"] = _cloud_event(payload.CDR, "CdrBatch", subject=False)
    return dict(schemas)


def _cloud_event(type_: str, data: str, *, subject: bool) -> Json:
    properties: Json = {
        "specversion": {"const": "1.0"},
        "id": _TEXT | {"description": "The same whenever the event is sent again."},
        "source": _TEXT | {"format": "uri-reference"},
        "type": {"const": type_},
        **({"subject": _TEXT | {"description": "The job's id."}} if subject else {}),
        "time": _TEXT | {"format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": _ref(data),
    }
    return {"type": "object", "properties": properties, "required": [*properties]}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _inside(media: str, schema: Json) -> Json:
    """JSON in a field of a stream's entry."""
    return {"type": "string", "contentMediaType": media, "contentSchema": schema}


def _fields(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": [*properties]}
