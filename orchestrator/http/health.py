"""Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`. Jobs are not taken here."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

RETRY_EVERY = 1.0
"""Seconds between two tries to listen on an address that is in use."""

_log = structlog.get_logger(__name__)


class ListenError(Exception):
    """The address cannot be listened on."""


def app_of(registry: CollectorRegistry, why_not_ready: Callable[[], str | None]) -> web.Application:
    """The application. `why_not_ready` gives the reason, or None while calls can be made."""

    async def livez(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        why = why_not_ready()
        if why is None:
            return web.json_response({"status": "ok"})
        return web.json_response({"status": "unavailable", "reason": why}, status=503)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
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
