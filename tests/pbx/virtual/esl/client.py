"""A plain ESL client that cuts frames by itself and keeps everything that came."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from time import time
from typing import Any
from urllib.parse import unquote

import msgspec

from orchestrator.pbx.virtual.pbx import Settings, VirtualPbx, running

PATIENCE = 10.0
ALL = "event plain ALL"


class Frame(msgspec.Struct, frozen=True):
    """One frame: its headers, its body, and the event in it if there is one."""

    headers: dict[str, str]
    body: str

    @property
    def kind(self) -> str:
        return self.headers["Content-Type"]

    @property
    def reply(self) -> str:
        return self.headers.get("Reply-Text", "")

    @property
    def event(self) -> dict[str, str]:
        """The fields of the event, decoded; `_body` is its body."""
        if self.kind == "text/event-json":
            told: dict[str, str] = json.loads(self.body)
            return told
        head, _, rest = self.body.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in head.split("\n"))
        return {name: unquote(value) for name, value in fields.items()} | ({"_body": rest} if rest else {})


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Event()
        self.frames: list[Frame] = []
        self.closed = False

    def send(self, text: str | bytes) -> None:
        """A command, with its empty line put behind."""
        self._writer.write(text if isinstance(text, bytes) else f"{text}\n\n".encode())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def ask(self, text: str) -> Frame:
        """A command's reply or answer."""
        before = len(self.answers)
        self.send(text)
        await self.until(lambda: len(self.answers) > before)
        return self.answers[before]

    async def job(self, text: str, job: str) -> str:
        """What a background job comes to."""
        assert (await self.ask(f"bgapi {text}\nJob-UUID: {job}")).reply == f"+OK Job-UUID: {job}"
        return (await self.event("BACKGROUND_JOB", **{"Job-UUID": job}))["_body"]

    @property
    def answers(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind in ("command/reply", "api/response")]

    @property
    def events(self) -> list[dict[str, str]]:
        return [frame.event for frame in self.frames if frame.kind.startswith("text/event")]

    def of(self, name: str, **fields: str) -> list[dict[str, str]]:
        return [
            event
            for event in self.events
            if event["Event-Name"] == name and all(event.get(key) == value for key, value in fields.items())
        ]

    async def event(self, name: str, **fields: str) -> dict[str, str]:
        """The first such event, now or when it comes."""
        await self.until(lambda: bool(self.of(name, **fields)))
        return self.of(name, **fields)[0]

    async def read(self) -> None:
        """Take frames until the end."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await self._reader.readuntil(b"\n\n")).decode().strip("\n")
                headers = dict(line.split(": ", 1) for line in head.split("\n"))
                length = int(headers.get("Content-Length", "0"))
                body = (await self._reader.readexactly(length)).decode()
                self.frames.append(Frame(headers, body))
                self._news.set()
        self.closed = True
        self._news.set()


@contextlib.asynccontextmanager
async def connected(pbx: VirtualPbx, password: str | None = "virtual") -> AsyncIterator[Client]:  # noqa: S107
    """A client of its own; with a password it is let in."""
    assert pbx.esl_address is not None
    reader, writer = await asyncio.open_connection(*pbx.esl_address)
    client = Client(reader, writer)
    task = asyncio.create_task(client.read())
    try:
        await client.until(lambda: bool(client.frames))
        assert client.frames[0].kind == "auth/request"
        if password is not None:
            assert (await client.ask(f"auth {password}")).reply == "+OK accepted"
        yield client
    finally:
        task.cancel()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def virtual(**changed: Any) -> AsyncIterator[VirtualPbx]:
    """A virtual FreeSWITCH, fifty times as fast as the clock on the wall."""
    settings = Settings(ari=None, esl=("127.0.0.1", 0), speed=50.0)
    async with running(msgspec.structs.replace(settings, **changed), time) as pbx:
        yield pbx


def originate(number: str, uuid: str, application: str = "park()", **variables: str) -> str:
    """An originate; `ignore_early_media` unless told otherwise."""
    given = {"origination_uuid": uuid, "ignore_early_media": "true", **variables}
    listed = ",".join(f"{name}={value}" for name, value in given.items())
    number = f"1202555{number}" if len(number) == 4 else number
    return f"originate {{{listed}}}sofia/gateway/lab/{number} &{application}"
