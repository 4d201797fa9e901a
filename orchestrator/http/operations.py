"""The operations of the OpenAPI document: what each takes, and every answer that it can give."""

from collections.abc import Sequence
from typing import Any, Final

from orchestrator.http.letters import MOST, USUAL
from orchestrator.http.problems import BY_STATUS

REF: Final = "#/components/schemas/{name}"
Object = dict[str, Any]
_ANYWHERE: Final = (401, 403, 429, 500, 503)
"""Problems that any request with a key may meet."""

EXAMPLES: Final[dict[str, Object]] = {
    "Job": {"id": "login-8841", "to": "+12025550100", "code": "730265", "user_data": "login 8841"},
    "Replay": {"jobs": ["login-8841"]},
}
"""A body for each operation that takes one."""


def paths(*, keyed: bool) -> Object:
    """Every path. `keyed` says whether those under /v1 need a key."""
    by_id = [
        {**_parameter("id", "path", {"type": "string"}, "The job's id."), "example": EXAMPLES["Job"]["id"]}
    ]
    one = "/v1/jobs/{id}"
    served: dict[str, Object] = {
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
                {"200": response("The job.", "application/json", "JobView")},
                (404,),
                parameters=by_id,
            ),
            "delete": _operation(
                "cancelJob",
                "End a job",
                "A waiting job is not dialled any more, a call is hung up. Both end as `cancelled`, unless"
                " another end comes first.",
                {
                    "202": response("Its end has been asked for.", "application/json", "Cancelled"),
                    "200": response("It has ended as cancelled already.", "application/json", "Cancelled"),
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
                {"200": response("The letters.", "application/json", "DeadLetters")},
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
                {"200": response("How many there were.", "application/json", "Replayed")},
                (400, 408, 413, 415, 422),
                tag="dead letters",
                body="Replay",
            )
        },
    }
    for path in served.values():
        for operation in path.values():
            operation["security"] = [{"key": []}] if keyed else []
    return served | _operator_paths()


def _events(parameters: Sequence[Object]) -> Object:
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


def _operator_paths() -> Object:
    health = response("All is well.", "application/json", "Health")
    away = response("No call can be made now.", "application/json", "Health")
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
    answers: Object,
    problems: Sequence[int],
    *,
    tag: str = "jobs",
    body: str | None = None,
    parameters: Sequence[Object] = (),
    common: Sequence[int] = _ANYWHERE,
) -> Object:
    refused = {str(status): _problem(status) for status in sorted({*problems, *common})}
    operation: Object = {
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


def _problem(status: int) -> Object:
    assert status in BY_STATUS  # noqa: S101 - the table of problems names every one
    return {"$ref": f"#/components/responses/{status}"}


def response(description: str, media: str, schema: str) -> Object:
    """A response whose body is of one of the schemas."""
    return {"description": description, "content": {media: {"schema": {"$ref": REF.format(name=schema)}}}}


def _located(description: str) -> Object:
    header = {"description": "The job's path.", "schema": {"type": "string"}}
    links = {
        each: {"operationId": each, "parameters": {"id": "$response.body#/id"}}
        for each in ("showJob", "listEvents", "cancelJob", "getRecording")
    }
    located = response(description, "application/json", "Accepted")
    return {**located, "headers": {"Location": header}, "links": links}


def _parameter(name: str, place: str, schema: Object, description: str) -> Object:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }
