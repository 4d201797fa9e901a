"""Every way in which a request can fail, as RFC 9457 problem details.

`type` is a reference to the problem's place on the reference page, such as `/docs#problem-conflict`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from orchestrator.validate import Fault

CONTENT_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457). Decide by `status` or `type`; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] | UnsetType = UNSET
    """Every fault of what was sent, by JSON path, where there are some. No fault shows a value."""


class Sort(msgspec.Struct, frozen=True):
    """One sort of problem: its status and what it means."""

    status: int
    title: str
    meaning: str


SORTS: Final[dict[str, Sort]] = {
    "malformed": Sort(400, "Malformed", "The body is not JSON, or a parameter is out of its range."),
    "unauthorized": Sort(401, "No valid key", "The bearer key is missing, unknown, revoked or expired."),
    "forbidden": Sort(403, "Not allowed", "The key does not allow what is asked for; `errors` says which."),
    "not-found": Sort(404, "Not found", "There is no such thing, or it is another application's."),
    "method-not-allowed": Sort(405, "Method not allowed", "The path knows other methods; see `Allow`."),
    "too-slow": Sort(408, "Too slow", "The body did not come in time."),
    "conflict": Sort(409, "Conflict", "The id is known with other content, or the job has ended already."),
    "too-large": Sort(413, "Too large", "The body is longer than a job may be."),
    "unsupported": Sort(415, "Unsupported media type", "The body must be application/json, uncompressed."),
    "invalid": Sort(422, "Invalid", "`errors` names every fault by JSON path. Nothing was stored."),
    "too-many": Sort(429, "Too many requests", "The key's rate or number is used up; see `Retry-After`."),
    "fault": Sort(500, "A fault of ours", "Something broke in here; tell the operator."),
    "unavailable": Sort(503, "Unavailable", "The service cannot do it now; see `Retry-After`."),
}
BY_STATUS: Final = {sort.status: name for name, sort in SORTS.items()}


class Refusal(Exception):
    """A request that is answered with a problem. `sort` is one of `SORTS`."""

    def __init__(
        self,
        sort: str,
        detail: str,
        *,
        errors: Iterable[Fault] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.sort = sort
        self.errors = UNSET if errors is None else tuple(errors)
        self.headers = headers


def later(sort: str, detail: str, seconds: float) -> Refusal:
    """A refusal that asks to come again after so many seconds (whole ones, one at least)."""
    return Refusal(sort, detail, headers={"Retry-After": str(max(1, int(-(-seconds // 1))))})


def answer(refusal: Refusal) -> web.Response:
    """The refusal as it goes out."""
    sort = SORTS[refusal.sort]
    problem = Problem(
        type=f"/docs#problem-{refusal.sort}",
        title=sort.title,
        status=sort.status,
        detail=str(refusal),
        errors=refusal.errors,
    )
    return web.Response(
        status=sort.status,
        body=msgspec.json.encode(problem),
        content_type=CONTENT_TYPE,
        headers=refusal.headers,
    )


def of_http(error: web.HTTPException) -> Refusal:
    """What aiohttp raised, as a refusal of ours."""
    details = {404: "there is nothing at this path.", 405: "the path does not know this method."}
    headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    sort = BY_STATUS.get(error.status, "malformed" if error.status < 500 else "fault")
    return Refusal(sort, details.get(error.status, "the request cannot be read."), headers=headers)


def place_of(error: BaseException) -> str:
    """What broke and where, and nothing of what it worked on: that may hold a code."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        place = f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return f"{type(error).__name__} at {place}"
