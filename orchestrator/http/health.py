"""Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`. Jobs are not taken here."""

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


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
async def listening(app: web.Application, listen: str) -> AsyncIterator[None]:
    """Serve `app` on `listen` (`host:port`) for as long as the block runs.

    Raises `ListenError`.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise ListenError(f"http.listen is {listen!r}; write it as 127.0.0.1:8090")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise ListenError(
                f"http.listen {listen} cannot be used: {error.strerror or error}. Choose another port."
            ) from None
        yield
    finally:
        await runner.cleanup()
