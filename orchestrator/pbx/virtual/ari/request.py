"""One REST request and its answer, whichever way it came: over HTTP or over the WebSocket."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from orchestrator.pbx.virtual.ari.shapes import encode

_decode = msgspec.json.Decoder().decode


class BadBody(ValueError):
    """The body is not JSON."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Status, reason phrase and body. `kind` is the media type of a body."""

    status: int
    reason: str
    body: bytes = b""
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def ok(value: object, status: int = 200, location: str = "") -> Answer:
    """An answer with JSON in it."""
    headers = (("Location", f"/ari/{location}"),) if location else ()
    return Answer(status, "Created" if status == 201 else "OK", encode(value), headers=headers)


NO_CONTENT = Answer(204, "No Content")


def fault(status: int, message: str, reason: str = "") -> Answer:
    """An answer that says what is wrong."""
    return Answer(status, reason or _REASONS[status], encode({"message": message}))


_REASONS = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Request:
    """Method, path and parameters. A parameter of the body counts before one of the query [measured]."""

    __slots__ = ("_parameters", "body", "ids", "method", "segments")

    def __init__(self, method: str, path: str, query: Sequence[tuple[str, str]], body: object) -> None:
        self.method = method
        self.segments = [unquote(part) for part in path.split("/") if part]
        self.ids: list[str] = []
        self.body: Mapping[str, Any] = body if isinstance(body, dict) else {}
        self._parameters: dict[str, Any] = {}
        for name, value in query:
            self._parameters[name] = value
        self._parameters.update(self.body)

    def text(self, name: str) -> str:
        """A parameter as text; empty when it is not given or is no text."""
        value = self._parameters.get(name)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""

    def number(self, name: str, default: int = 0) -> int:
        """A parameter as C's atoi() would read it: 0 for what is no number."""
        value = self._parameters.get(name)
        if value is None:
            return default
        if isinstance(value, int | float):
            return int(max(-(2**31), min(2**31, value)))
        text = str(value).strip()[:11]
        return int(text) if text.lstrip("-").isdecimal() and text.isascii() and text.count("-") < 2 else 0

    def flag(self, name: str, default: bool) -> bool:
        """A parameter as true or false."""
        value = self._parameters.get(name)
        if isinstance(value, bool):
            return value
        return default if value is None else str(value).lower() in ("true", "yes", "1", "on")

    def texts(self, name: str) -> list[str]:
        """A parameter that may be given several times: a list in JSON, or text parted by commas."""
        value = self._parameters.get(name)
        if isinstance(value, list):
            return [each for each in value if isinstance(each, str)]
        return [each for each in value.split(",") if each] if isinstance(value, str) else []


def read_body(body: bytes, kind: str) -> object:
    """A body as its media type says: JSON, or a form. Raises `BadBody`."""
    if not body:
        return None
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace")))
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadBody("the body is not JSON") from None
