"""The API as one aiohttp application: every route, and what all of them have in common."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from typing import Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from orchestrator.clock import Clock
from orchestrator.guard.keyfile import KeyFile
from orchestrator.guard.keys import Key
from orchestrator.http.door import Door, JudgingBroke
from orchestrator.http.gate import Gate
from orchestrator.http.health import health_routes
from orchestrator.http.jobs import Jobs
from orchestrator.http.letters import Letters
from orchestrator.http.openapi import document
from orchestrator.http.problems import Refusal, answer, later, of_http, place_of
from orchestrator.http.recordings import stream_recording
from orchestrator.http.reference import SECURITY, page
from orchestrator.http.settings import Http
from orchestrator.http.streams import Pace, Streams
from orchestrator.http.watching import Watching
from orchestrator.intake.accept import MAX_JOB_BYTES, Rules
from orchestrator.ledger.errors import LedgerError
from orchestrator.ledger.port import Ledger
from orchestrator.meters import Meters
from orchestrator.pbx.port import Pbx

REQUEST_TIMEOUT: Final = 30.0
"""Seconds that a request may take in here, a speech engine's work included; streams have no such end."""
STUCK: Final = 5.0
"""Seconds after which to come again when the ledger is stuck."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Server": "call-orchestrator",
}

_log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Keyed = Callable[[web.Request, Key | None], Awaitable[web.StreamResponse]]


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """What the API stands on."""

    http: Http
    keys: KeyFile | None
    ledger: Ledger
    rules: Rules
    clock: Clock
    meters: Meters
    nodes: Mapping[str, Pbx]
    worker: str
    watching: Watching
    why_not_ready: Callable[[], str | None]
    may_take: Callable[[], bool]
    """Whether the ledger can take more jobs now."""
    wake: Callable[[], None]
    """Called when there is something new in the ledger."""
    pace: Pace = Pace()


def app_of(front: Front) -> web.Application:
    """The application."""
    gate = Gate(front.http, front.keys, front.clock, time.monotonic)
    door = Door(front.ledger, front.rules, front.clock, front.wake)
    streams = Streams(front.ledger, front.watching, front.http.max_streams, front.worker, front.pace)
    jobs = Jobs(
        front.ledger,
        door,
        streams,
        front.meters,
        may_take=front.may_take,
        wake=front.wake,
        worker=front.worker,
        still=gate.still,
    )
    letters = Letters(front.ledger, front.clock, front.wake)

    async def recording(request: web.Request, key: Key | None) -> web.StreamResponse:
        summary = await jobs.own(request, key)
        return await stream_recording(request, summary.cdrs, front.nodes)

    def keyed(handler: Keyed, *, endless: bool = False) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            key = gate.key_of(request)
            with gate.passing(key):
                if front.ledger.fault is not None:
                    raise later("unavailable", "the ledger is stuck; nothing was stored.", STUCK)
                try:
                    async with asyncio.timeout(None if endless else REQUEST_TIMEOUT):
                        return await handler(request, key)
                except TimeoutError:
                    why = "it took too long; send it again with the same id to learn what became of it."
                    raise later("unavailable", why, STUCK) from None

        return handle

    app = web.Application(middlewares=[_shell(front.meters)], client_max_size=MAX_JOB_BYTES)
    one = "/v1/jobs/{id}"
    app.add_routes(
        [
            web.post("/v1/jobs", keyed(jobs.submit)),
            web.get(one, keyed(jobs.show), allow_head=False),
            web.delete(one, keyed(jobs.cancel)),
            web.get(f"{one}/events", keyed(jobs.events, endless=True), allow_head=False),
            web.get(f"{one}/recording", keyed(recording, endless=True), allow_head=False),
            web.get("/v1/deadletters", keyed(letters.list), allow_head=False),
            web.post("/v1/deadletters/replay", keyed(letters.replay)),
            *health_routes(front.meters.registry, front.why_not_ready, gate.trusts),
            *_papers(front.keys is not None),
        ]
    )

    async def close_streams(_app: web.Application) -> None:
        streams.close()

    async def doors(_app: web.Application) -> AsyncIterator[None]:
        yield
        await door.close()

    app.on_response_prepare.append(_mark)
    app.on_shutdown.append(close_streams)
    app.cleanup_ctx.append(doors)
    return app


@cache
def _described(keyed: bool) -> tuple[bytes, str]:
    described = document(keyed=keyed)
    return msgspec.json.encode(described), page(described)


def _papers(keyed: bool) -> list[web.RouteDef]:
    """The API's description, for programs and for people."""
    as_json, as_page = _described(keyed)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=as_json, content_type="application/json")

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(text=as_page, content_type="text/html", headers=SECURITY)

    return [web.get("/openapi.json", openapi), web.get("/docs", docs)]


async def _mark(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _shell(meters: Meters) -> Middleware:
    @web.middleware
    async def shell(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        response = await _answered(request, handler)
        resource = request.match_info.route.resource
        streamed = response.content_type == "text/event-stream"
        meters.requested(
            request.method if resource is not None else "other",
            resource.canonical if resource is not None else "other",
            response.status,
            None if streamed else time.perf_counter() - began,
        )
        return response

    return shell


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return answer(refusal)
    except web.HTTPException as error:
        return answer(of_http(error))
    except LedgerError as error:
        _log.warning("http_ledger_refused", error=str(error))
        return answer(later("unavailable", "the ledger cannot be used now.", STUCK))
    except ConnectionError:
        raise  # the client has gone; aiohttp knows what to do
    except Exception as error:  # noqa: BLE001 - no stack of ours goes out, nor into the log: it may hold a code
        what = str(error) if isinstance(error, JudgingBroke) else place_of(error)
        _log.error("http_fault", error=what)
        return answer(Refusal("fault", "something broke in here; the log of the worker says where."))
