"""Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`; and the listener of the whole API."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from orchestrator.http.body import json_answer
from orchestrator.http.problems import Refusal
from orchestrator.http.shapes import Health

RETRY_EVERY: Final = 1.0
"""Seconds between two tries to listen on an address that is in use."""
IDLE_TIMEOUT: Final = 30.0
"""Seconds that a connection may take to send its first request's head, or its next one's."""

_log = structlog.get_logger(__name__)
_SILENT: Final = logging.getLogger(f"{__name__}.silent")
"""For aiohttp, which would log what it cannot read of a request, and with it somebody's key or code."""
_SILENT.addFilter(lambda record: False)


class ListenError(Exception):
    """The address cannot be listened on."""


def health_routes(
    registry: CollectorRegistry,
    why_not_ready: Callable[[], str | None],
    trusts: Callable[[web.Request], bool] = lambda request: True,
) -> list[web.RouteDef]:
    """The routes. `why_not_ready` gives the reason, or None while calls can be made; `trusts` says who may
    hear that reason, and read the metrics."""

    async def livez(_request: web.Request) -> web.Response:
        return json_answer(Health("ok"))

    async def readyz(request: web.Request) -> web.Response:
        why = why_not_ready()
        if why is None:
            return json_answer(Health("ok"))
        told = Health("unavailable", why) if trusts(request) else Health("unavailable")
        return json_answer(told, 503)

    async def metrics(request: web.Request) -> web.Response:
        if not trusts(request):
            raise Refusal("forbidden", "metrics are for loopback, http.metrics_networks and key holders.")
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]


@contextlib.asynccontextmanager
async def listening(app: web.Application, listen: str, *, patient: bool = False) -> AsyncIterator[None]:
    """Serve `app` on `listen` (`host:port`) for as long as the block runs.

    With `patient` an address in use is tried again until it is free: the worker that was taken over may hold
    it still.

    Raises `ListenError`.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise ListenError(f"http.listen is {listen!r}; write it as 127.0.0.1:8090")
    runner = web.AppRunner(
        app, access_log=None, logger=_SILENT, shutdown_timeout=2.0, keepalive_timeout=IDLE_TIMEOUT
    )
    await runner.setup()
    later: asyncio.Task[None] | None = None
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            if not patient or error.errno != errno.EADDRINUSE:
                raise ListenError(
                    f"http.listen {listen} cannot be used: {error.strerror or error}. Choose another port."
                ) from None
            _log.warning("http_address_in_use", listen=listen, note="tried again until it is free")
            later = asyncio.create_task(_listen_when_free(runner, host.strip("[]"), int(port)))
        yield
    finally:
        if later is not None:
            later.cancel()
            await asyncio.wait([later])
        await runner.cleanup()


async def _listen_when_free(runner: web.AppRunner, host: str, port: int) -> None:
    while True:
        await asyncio.sleep(RETRY_EVERY)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            continue
        _log.info("http_listening", host=host, port=port)
        return
