"""A short connection of its own, to ask a FreeSWITCH something beside a running worker."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

from orchestrator.pbx.errors import PbxError, PbxUnreachable
from orchestrator.pbx.esl.connection import Connection
from orchestrator.pbx.esl.handshake import open_stream
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.esl.table import RequestTable


class Visit:
    """What a visitor may use: the connection, and FreeSWITCH's folder of sounds."""

    def __init__(self, connection: Connection, sounds_dir: str) -> None:
        self.connection = connection
        self.sounds_dir = sounds_dir


@contextlib.asynccontextmanager
async def visiting(settings: EslSettings) -> AsyncIterator[Visit]:
    """Connected for as long as the block lasts. Raises `PbxConfigError`, `PbxUnreachable`."""
    stream = await open_stream(settings)
    table = RequestTable(settings)
    connection = Connection(
        settings,
        stream,
        table,
        job_prefix=secrets.token_hex(4),
        heard=lambda event: None,
        tell=lambda told: None,
        left=lambda number: None,
    )
    up = asyncio.Event()
    serving = asyncio.create_task(connection.run(up.set), name="esl visit")
    waiting = asyncio.create_task(up.wait(), name="esl visit begins")
    try:
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not up.is_set():
            await serving
            raise PbxUnreachable(f"pbx {settings.name}: the connection ended")
        yield Visit(connection, table.sounds_dir)
    finally:
        for task in (serving, waiting):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, PbxError):
            await serving
        await stream.close()
