"""Jobs over HTTP: hand one in, see it, end it, hear of it."""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from orchestrator.guard.keys import Key
from orchestrator.http.body import json_answer, read_json
from orchestrator.http.door import Door
from orchestrator.http.history import notifications
from orchestrator.http.owner import owner_of
from orchestrator.http.problems import Refusal, later
from orchestrator.http.shapes import Accepted, Cancelled, view_of
from orchestrator.http.streams import Streams, last_seen
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import JobState, Summary
from orchestrator.meters import Meters

_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,64}(?![\s\S])")


class _Kind(msgspec.Struct, frozen=True):
    kind: str


_decode_kind = msgspec.json.Decoder(_Kind).decode


class Jobs:
    """What a request about jobs is answered with. `key` is None where no keys are configured."""

    def __init__(
        self,
        ledger: Ledger,
        door: Door,
        streams: Streams,
        meters: Meters,
        *,
        may_take: Callable[[], bool],
        wake: Callable[[], None],
        worker: str,
        still: Callable[[Key | None], bool],
    ) -> None:
        self._ledger = ledger
        self._door = door
        self._streams = streams
        self._meters = meters
        self._may_take = may_take
        self._wake = wake
        self._worker = worker
        self._still = still
        """Whether a key is one yet: a stream outlives the request's own look."""

    async def submit(self, request: web.Request, key: Key | None) -> web.Response:
        """POST /v1/jobs"""
        raw = await read_json(request)
        if not self._may_take():
            raise later("unavailable", "the ledger cannot take more now; nothing was stored.", 2.0)
        job, became = await self._door.take(raw, key)
        where = {"Location": f"/v1/jobs/{job.id}"}
        if became == "conflict":
            raise Refusal("conflict", "the id is known with other content; give the new job another id.")
        if became == "new":
            self._meters.accepted(_decode_kind(job.body).kind)
            return json_answer(Accepted(job.id, JobState.QUEUED), 202, where)
        known = await self._ledger.summary(job.id)
        state = known.job.state if known is not None else JobState.QUEUED
        return json_answer(Accepted(job.id, state), 200, where)

    async def show(self, request: web.Request, key: Key | None) -> web.Response:
        """GET /v1/jobs/{id}"""
        return json_answer(view_of(await self.own(request, key)))

    async def cancel(self, request: web.Request, key: Key | None) -> web.Response:
        """DELETE /v1/jobs/{id}"""
        await self.own(request, key)
        found = await self._ledger.request_cancel(request.match_info["id"])
        if found is None:
            raise _unknown()
        if found.state is JobState.ENDED:
            if found.outcome != "cancelled":
                raise Refusal("conflict", f"the job has ended already: {found.outcome}, {found.reason}.")
            return json_answer(Cancelled(found.id, found.state, True))
        self._wake()
        return json_answer(Cancelled(found.id, found.state, True), 202)

    async def events(self, request: web.Request, key: Key | None) -> web.StreamResponse:
        """GET /v1/jobs/{id}/events"""
        await self.own(request, key)
        job_id = request.match_info["id"]
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._streams.serve(request, job_id, lambda: self._still(key))
        seen = last_seen(request)
        followed = await self._ledger.follow(job_id)
        if followed is None:
            raise _unknown()
        told = notifications(followed, self._worker)
        return json_answer([msgspec.Raw(event.body) for event in told if event.sequence > seen])

    async def own(self, request: web.Request, key: Key | None) -> Summary:
        """The job that the path names, if it is the key's.

        Raises `Refusal`: another's job is as unknown as one that is not there.
        """
        job_id = request.match_info["id"]
        summary = await self._ledger.summary(job_id) if _ID.match(job_id) else None
        if summary is None or (key is not None and owner_of(summary.job.body) != key.application):
            raise _unknown()
        return summary


def _unknown() -> Refusal:
    return Refusal("not-found", "there is no such job.")
