"""The OpenAPI 3.1 document, generated from the types that validate what comes and encode what goes."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from orchestrator import __version__
from orchestrator.http.letters import MOST, USUAL
from orchestrator.http.problems import BY_STATUS, CONTENT_TYPE, SORTS, Problem
from orchestrator.http.shapes import Accepted, Cancelled, DeadLetters, Health, JobView, Replay, Replayed
from orchestrator.job import Job
from orchestrator.notify import payload

REF: Final = "#/components/schemas/{name}"
_ANYWHERE: Final = (401, 403, 429, 500, 503)
"""Problems that any request with a key may meet."""
_NOTIFICATIONS: Final = tuple(payload.Notification.__subclasses__())
_ABOUT: Final = """
Hand in a phone call, follow it, end it. A job's `id` is its idempotency key: the same id with the same
content is the same job, however often it is sent. Errors are RFC 9457 problem details.
"""

_Object = dict[str, Any]

EXAMPLES: Final[dict[str, _Object]] = {
    "Job": {"id": "login-8841", "to": "+12025550100", "code": "730265", "user_data": "login 8841"},
    "Replay": {"jobs": ["login-8841"]},
}
"""A body for each operation that takes one."""


def document(*, keyed: bool) -> _Object:
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
        "paths": _paths(keyed),
        "components": {
            "schemas": _schemas(),
            "responses": {
                str(sort.status): _response(sort.meaning, CONTENT_TYPE, "Problem") for sort in SORTS.values()
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


def _schemas() -> _Object:
    types = [Job, Accepted, Cancelled, JobView, DeadLetters, Replay, Replayed, Health, Problem]
    _, schemas = msgspec.json.schema_components([*types, *_NOTIFICATIONS], ref_template=REF)
    schemas["Event"] = _event()
    tidied: _Object = _tidy(schemas)
    return tidied


def _event() -> _Object:
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


def _paths(keyed: bool) -> _Object:
    by_id = [
        {**_parameter("id", "path", {"type": "string"}, "The job's id."), "example": EXAMPLES["Job"]["id"]}
    ]
    one = "/v1/jobs/{id}"
    paths: dict[str, _Object] = {
        "/v1/jobs": {
            "post": _operation(
                "submitJob",
                "Hand in a job",
                "Checked, its prompt prepared, and stored before the answer: what is answered with 202 is"
                " dialled or ends, whatever breaks. Where no answer comes, send it again with the same `id`.",
                {
                    "202": _located("The job is stored."),
                    "200": _located("The same job was stored before; this is where it stands."),
                },
                (400, 408, 409, 413, 415, 422),
                body="Job",
            )
        },
        one: {
            "get": _operation(
                "showJob",
                "See a job",
                "Where it stands, its calls' records, and what became of its notifications. The code, the"
                " variables and the items are never shown.",
                {"200": _response("The job.", "application/json", "JobView")},
                (404,),
                parameters=by_id,
            ),
            "delete": _operation(
                "cancelJob",
                "End a job",
                "A waiting job is not dialled any more, a call is hung up. Both end as `cancelled`, unless"
                " another end comes first.",
                {
                    "202": _response("Its end has been asked for.", "application/json", "Cancelled"),
                    "200": _response("It has ended as cancelled already.", "application/json", "Cancelled"),
                },
                (404, 409),
                parameters=by_id,
            ),
        },
        f"{one}/events": {"get": _events(by_id)},
        f"{one}/recording": {
            "get": _operation(
                "getRecording",
                "Hear a recorded call",
                "The latest recording among the job's calls, from the PBX that made it.",
                {
                    "200": {
                        "description": "A WAV file.",
                        "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
                    }
                },
                (400, 404),
                parameters=[
                    *by_id,
                    _parameter(
                        "format",
                        "query",
                        {"enum": ["wav", "alaw"], "default": "wav"},
                        "As it is, or as A-law, which is half the size.",
                    ),
                ],
            )
        },
        "/v1/deadletters": {
            "get": _operation(
                "listDeadLetters",
                "List dead letters",
                "Notifications that were given up after the last try, the oldest first.",
                {"200": _response("The letters.", "application/json", "DeadLetters")},
                (400,),
                tag="dead letters",
                parameters=[
                    _parameter(
                        "limit",
                        "query",
                        {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
                        "How many at most.",
                    )
                ],
            )
        },
        "/v1/deadletters/replay": {
            "post": _operation(
                "replayDeadLetters",
                "Deliver dead letters again",
                "Those of some jobs, or all. The events keep their ids.",
                {"200": _response("How many there were.", "application/json", "Replayed")},
                (400, 408, 413, 415, 422),
                tag="dead letters",
                body="Replay",
            )
        },
    }
    for path in paths.values():
        for operation in path.values():
            operation["security"] = [{"key": []}] if keyed else []
    return paths | _operator_paths()


def _events(parameters: Sequence[_Object]) -> _Object:
    event = {"$ref": REF.format(name="Event")}
    return _operation(
        "listEvents",
        "Hear of a job",
        "The job's notifications so far. With `Accept: text/event-stream` they come live, each with its"
        " sequence as `id`; the stream ends after `job.ended`. Come again with `Last-Event-ID` to miss"
        " nothing.",
        {
            "200": {
                "description": "The events, in order.",
                "content": {
                    "application/json": {"schema": {"type": "array", "items": event}},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            "204": {"description": "The stream's client has seen the last event: there is nothing to come."},
        },
        (400, 404),
        parameters=[
            *parameters,
            _parameter(
                "Last-Event-ID", "header", {"type": "integer", "minimum": 0}, "The last event that came."
            ),
        ],
    )


def _operator_paths() -> _Object:
    health = _response("All is well.", "application/json", "Health")
    away = _response("No call can be made now.", "application/json", "Health")
    text = {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    live = _operation("livez", "Alive", "The process runs.", {"200": health}, (), tag="operation", common=())
    ready = _operation(
        "readyz", "Ready", "Calls can be made.", {"200": health, "503": away}, (), tag="operation", common=()
    )
    metrics = _operation(
        "metrics", "Metrics", "For Prometheus.", {"200": text}, (403,), tag="operation", common=()
    )
    return {"/livez": {"get": live}, "/readyz": {"get": ready}, "/metrics": {"get": metrics}}


def _operation(
    id_: str,
    summary: str,
    description: str,
    answers: _Object,
    problems: Sequence[int],
    *,
    tag: str = "jobs",
    body: str | None = None,
    parameters: Sequence[_Object] = (),
    common: Sequence[int] = _ANYWHERE,
) -> _Object:
    refused = {str(status): _problem(status) for status in sorted({*problems, *common})}
    operation: _Object = {
        "operationId": id_,
        "summary": summary,
        "description": description,
        "tags": [tag],
        "responses": {**answers, **refused},
    }
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        content = {"schema": {"$ref": REF.format(name=body)}, "example": EXAMPLES[body]}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _problem(status: int) -> _Object:
    assert status in BY_STATUS  # noqa: S101 - the table of problems names every one
    return {"$ref": f"#/components/responses/{status}"}


def _response(description: str, media: str, schema: str) -> _Object:
    return {"description": description, "content": {media: {"schema": {"$ref": REF.format(name=schema)}}}}


def _located(description: str) -> _Object:
    header = {"description": "The job's path.", "schema": {"type": "string"}}
    links = {
        each: {"operationId": each, "parameters": {"id": "$response.body#/id"}}
        for each in ("showJob", "listEvents", "cancelJob", "getRecording")
    }
    located = _response(description, "application/json", "Accepted")
    return {**located, "headers": {"Location": header}, "links": links}


def _parameter(name: str, place: str, schema: _Object, description: str) -> _Object:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }
