"""A peer on loopback that speaks ESL as far as told, and breaks where told. Real sockets, no FreeSWITCH."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from time import time
from typing import Any, TypeVar

from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.port import Dial, PlaySounds
from tests.pbx.ari.fake_ari import PATIENCE, Worker

NO_CHANNEL = "-ERR No such channel!\n"
PASSWORD = "hush-hush-s3cret"
APP = "orchestrator"
FOLDER = "/usr/share/freeswitch/sounds"
C1 = str(uuid.uuid5(uuid.NAMESPACE_OID, "c1"))
C2 = str(uuid.uuid5(uuid.NAMESPACE_OID, "c2"))
DIAL = Dial(C1, "+12025550100", "+15550100", 30)
PLAY = PlaySounds(C1, "p1", ("en/digits/4", "en/digits/2"))


def settings_for(url: str, **changed: Any) -> EslSettings:
    """Settings that make every wait short."""
    return EslSettings(
        **{
            "name": "fs1",
            "url": url,
            "password": PASSWORD,
            "app": APP,
            "dial": "sofia/lab/{number}@127.0.0.1:5080",
            "backoff_base": 0.002,
            "backoff_cap": 0.01,
            **changed,
        }
    )


@dataclass(frozen=True)
class Seen:
    """A command that reached the fake."""

    text: str

    @property
    def line(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def verb(self) -> str:
        words = self.line.split(" ")
        return words[1] if words[0] in ("api", "bgapi") else words[0]

    @property
    def args(self) -> str:
        words = self.line.split(" ", 2)
        return words[2] if words[0] in ("api", "bgapi") and len(words) > 2 else ""

    def header(self, name: str) -> str:
        for line in self.text.split("\n")[1:]:
            key, _, value = line.partition(": ")
            if key == name:
                return value
        return ""


Script = Callable[[Seen], str | None]
"""What to answer: the output of an `api` or of a job, or the text of a reply. None: never answer."""


def obliging(seen: Seen) -> str | None:
    """Answers as a FreeSWITCH to which nothing is unusual. An originate never comes to an end."""
    match seen.verb:
        case "originate":
            return None
        case "uuid_dump":
            return "-ERR No such channel!\n"
        case "uuid_getvar":
            return "_undef_"
        case "show":
            return '{"row_count":0}\n'
        case "file_exists" | "module_exists":
            return "true"
        case "global_getvar":
            return FOLDER
        case "status":
            return (
                "UP 0 years, 0 days, 0 hours, 1 minute\nFreeSWITCH (Version 1.10.12 64bit) is ready\n"
                "0 session(s) per Sec out of max 30, peak 2, last 5min 1\n1000 session(s) max\n"
            )
        case "version":
            return "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit\n"
        case "fsctl":
            return "+OK log level: NOTICE [5]\n"
        case "sofia":
            return "Name    \tcarrier\nState   \tREGED\nStatus  \tUP\n"
        case _:
            return "+OK\n"


def answering(**by_verb: str | None) -> Script:
    """As `obliging`, but for the commands given."""

    def script(seen: Seen) -> str | None:
        return by_verb[seen.verb] if seen.verb in by_verb else obliging(seen)

    return script


def dump(channel: str, **fields: str) -> str:
    """The answer to `uuid_dump … json` for an answered channel that is parked."""
    values = {
        "Event-Name": "CHANNEL_DATA",
        "Unique-ID": channel,
        "Channel-State": "CS_EXECUTE",
        "Channel-Call-State": "ACTIVE",
        "Answer-State": "answered",
        "variable_current_application": "park",
    }
    return json.dumps(values | fields)


@dataclass
class FakeEsl:
    script: Script = obliging
    greeting: bytes = b"Content-Type: auth/request\n\n"
    password: str = PASSWORD
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    silent: bool = False
    """Takes commands and says nothing."""
    unread: bool = False
    """Does not even read."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"esl://127.0.0.1:{self.port}"

    # ── what a test says for the server ──

    def send(self, raw: bytes) -> None:
        """Bytes to the newest connection."""
        self.writers[-1].write(raw)

    def event(self, name: str, channel: str = "", **fields: str) -> None:
        """An event of one of our outbound channels, as JSON. `_` in a field's name stands for `-`, except in
        `variable_…`."""
        values = {"Event-Name": name, "Call-Direction": "outbound"}
        if channel:
            values |= {"Unique-ID": channel, "variable_orchestrator_app": APP}
        for key, value in fields.items():
            values[key if key.startswith(("variable_", "_")) else key.replace("_", "-")] = value
        self.send(frame("text/event-json", json.dumps(values).encode()))

    def job(self, seen: Seen, output: str) -> None:
        """The output of a background job."""
        self.event("BACKGROUND_JOB", Job_UUID=seen.header("Job-UUID"), _body=output)

    def drop(self, partial: bytes = b"") -> None:
        """Break the newest connection off, after part of a frame when given."""
        self.writers[-1].write(partial)
        self.writers[-1].close()

    # ── what a test waits for ──

    async def until_seen(self, verb: str, count: int = 1) -> Seen:
        """The `count`-th command of this verb."""
        await self._until(lambda: sum(seen.verb == verb for seen in self.seen) >= count)
        return [seen for seen in self.seen if seen.verb == verb][count - 1]

    async def until_connections(self, count: int) -> None:
        await self._until(lambda: self.connections >= count)

    def lines(self, verb: str) -> list[str]:
        return [seen.line for seen in self.seen if seen.verb == verb]

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    # ── the server ──

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.connections += 1
        self._changed.set()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(self.greeting)
            while True:
                if self.unread:
                    await asyncio.Event().wait()
                text = (await reader.readuntil(b"\n\n")).decode().strip("\n")
                self.take(Seen(text))
        writer.close()

    def take(self, seen: Seen) -> None:
        """A command came."""
        self.seen.append(seen)
        self._changed.set()
        if self.silent:
            return
        if seen.verb == "auth":
            right = seen.line == f"auth {self.password}"
            self.reply("+OK accepted" if right else "-ERR invalid")
            if not right:
                self.send(frame("text/disconnect-notice", b"Disconnected, goodbye.\n"))
                self.writers[-1].close()
            return
        if seen.text.startswith("bgapi "):
            job = seen.header("Job-UUID")
            self.send(
                f"Content-Type: command/reply\nReply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n".encode()
            )
            output = self.script(seen)
            if output is not None:
                self.job(seen, output)
            return
        answer = self.script(seen)
        if answer is None:
            return
        if seen.text.startswith("api "):
            self.send(frame("api/response", answer.encode()))
        else:
            self.reply(answer.strip())

    def reply(self, text: str) -> None:
        self.send(f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode())


_F = TypeVar("_F", bound=FakeEsl)


def frame(kind: str, body: bytes) -> bytes:
    return f"Content-Length: {len(body)}\nContent-Type: {kind}\n\n".encode() + body


@contextlib.asynccontextmanager
async def serving(fake: _F) -> AsyncIterator[_F]:
    """The fake, listening; on the port it had before, if any."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(fake.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", fake.port)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in fake.writers:
            writer.transport.abort()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def running(settings: EslSettings, worker: Worker) -> AsyncIterator[EslPbx]:
    """The adapter, running; stopped at the end whatever happened."""
    pbx = EslPbx(settings, worker.take, clock=time, random=Random(1))
    task = asyncio.create_task(pbx.run())
    try:
        yield pbx
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def park(fake: FakeEsl, channel: str = C1) -> None:
    """All that FreeSWITCH says of a call up to where we may play."""
    fake.event("CHANNEL_CREATE", channel)
    fake.event("CHANNEL_PROGRESS", channel)
    fake.event("CHANNEL_ANSWER", channel)
    fake.event("CHANNEL_EXECUTE", channel, Application="park", Answer_State="answered")


async def settled(pbx: EslPbx) -> None:
    """All that either side said before now has been taken."""
    await pbx.check_sounds(())


async def given_up(fake: FakeEsl, worker: Worker) -> None:
    """The adapter alone, until it gives up."""
    async with asyncio.timeout(PATIENCE):
        await EslPbx(settings_for(fake.url), worker.take, clock=time, random=Random(1)).run()
