"""The ESL face on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from orchestrator.pbx.virtual.dice import Dice
from orchestrator.pbx.virtual.esl.face import EslFace
from orchestrator.pbx.virtual.esl.session import Session


class EslServer:
    """Serves clients of one face."""

    def __init__(self, face: EslFace, dice: Dice, password: str) -> None:
        self._face = face
        self._dice = dice
        self._password = password
        self._sessions: set[Session] = set()

    def cut_all(self) -> int:
        """Break every connection off; how many there were."""
        sessions = list(self._sessions)
        for session in sessions:
            session.cut()
        return len(sessions)

    @contextlib.asynccontextmanager
    async def listening(self, address: tuple[str, int]) -> AsyncIterator[tuple[str, int]]:
        """Serve until the block ends; the address that it really has. Raises OSError."""
        tasks: set[asyncio.Task[None]] = set()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(serve, address[0], address[1], backlog=1024)
        try:
            host, port = server.sockets[0].getsockname()[:2]
            yield str(host), int(port)
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._dice.faults.refuse:
            writer.transport.abort()
            return
        session = Session(self._face, self._dice, self._password, reader, writer)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            if session in self._face.listeners:
                self._face.listeners.remove(session)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
