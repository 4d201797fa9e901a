"""One connection to the event socket: what it sends is carried out in order, and events go out to it."""

import asyncio
import contextlib
import hmac
from collections import deque
from typing import TYPE_CHECKING, Final

from orchestrator.pbx.virtual.causes import NORMAL, cause_named
from orchestrator.pbx.virtual.dice import Dice, Dropped, Outlet
from orchestrator.pbx.virtual.esl import api, wire
from orchestrator.pbx.virtual.esl.commands import Broken, Command, CommandReader
from orchestrator.pbx.virtual.esl.fields import Fields
from orchestrator.pbx.virtual.esl.filters import Wishes
from orchestrator.pbx.virtual.faults import Kind

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.face import EslFace

MAX_WAITING: Final = 20_000
"""Frames that may wait for a slow reader; beyond it the connection is closed (FreeSWITCH: 500 events
behind)."""
_CHUNK: Final = 64 * 1024
_NOT_FOUND: Final = "-ERR command not found"
_KINDS: Final[dict[str, Kind]] = {
    "originate": "originate",
    "uuid_kill": "hangup",
    "uuid_dump": "ask",
    "uuid_exists": "ask",
    "show": "ask",
    "uuid_broadcast": "play",
}


class Session:
    """One connection."""

    def __init__(
        self,
        face: "EslFace",
        dice: Dice,
        password: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._face = face
        self._dice = dice
        self._password = password.encode()
        self._reader = reader
        self._writer = writer
        self._wishes = Wishes()
        self._encoding: wire.Encoding = "plain"
        self._known = False
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._outlet = Outlet(dice, self._put)
        self._late: asyncio.Queue[tuple[float, Command]] = asyncio.Queue(MAX_WAITING)

    def hears(self, name: str) -> bool:
        """Whether it asked for events of this name."""
        return self._wishes.hears(name)

    def take(self, fields: Fields, body: str) -> None:
        """Take an event; never waits."""
        if self._wishes.passes(fields):
            self._outlet.push(wire.event(fields, body, self._encoding))

    def cut(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    async def run(self) -> None:
        """Until the connection ends."""
        self._put(wire.AUTH_REQUEST)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write())
            serving = tasks.create_task(self._serve_late())
            with contextlib.suppress(ConnectionError, Dropped, Broken):
                if await self._read():
                    await self._say_goodbye()
            for task in (writing, serving):
                task.cancel()
        if self in self._face.listeners:
            self._face.listeners.remove(self)

    async def _read(self) -> bool:
        """True when the connection is to be closed with a word."""
        reader = CommandReader()
        loop = asyncio.get_running_loop()
        while data := await self._reader.read(_CHUNK):
            if self._dice.faults.half_open:
                await self._dice.until_moving()
            for command in reader.feed(data):
                if self._dice.calm and self._late.empty():
                    if await self._serve(command):
                        return True
                else:
                    await self._late.put((loop.time() + self._dice.faults.latency, command))
        return False

    async def _serve_late(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, command = await self._late.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            try:
                if await self._serve(command):
                    await self._say_goodbye()
                    self.cut()
                    return
            except Dropped:
                self.cut()
                return

    async def _serve(self, command: Command) -> bool:
        """Carry one out. True when the connection ends with it."""
        if not self._dice.calm:
            kind = _kind_of(command)
            fate = await self._dice.before(kind)
            if fate is None:
                return False
            if not fate:
                self._refuse(command)
                return False
            if not await self._dice.after(kind):
                await self._carry_out(command, mute=True)
                return False
        return await self._carry_out(command)

    async def _carry_out(self, command: Command, mute: bool = False) -> bool:
        verb, _, rest = command.line.partition(" ")
        if not self._known:
            return self._authenticate(verb, rest)
        match verb:
            case "api":
                text = await self._answer_of(rest)
                if not mute:
                    self._put(wire.answer(text))
            case "bgapi":
                self._in_background(rest, command.headers.get("job-uuid", ""), mute)
            case "exit":
                self._reply("+OK bye")
                return True
            case _:
                text = self._simple(verb, rest, command)
                if not mute:
                    self._reply(text)
        return False

    def _authenticate(self, verb: str, rest: str) -> bool:
        if verb == "auth":
            self._known = hmac.compare_digest(rest.strip().encode(), self._password)
            self._reply("+OK accepted" if self._known else "-ERR invalid")
            if self._known:
                self._face.listeners.append(self)
            return not self._known
        if verb == "exit":
            self._reply("+OK bye")
            return True
        self._reply(_NOT_FOUND)
        return False

    def _simple(self, verb: str, rest: str, command: Command) -> str:
        words = rest.split()
        match verb:
            case "event" | "events":
                return self._listen(words)
            case "nixevent":
                self._wishes.refuse(words)
                return "+OK event listener disabled"
            case "noevents":
                self._wishes.clear()
                return "+OK no longer listening for events"
            case "filter":
                return self._filter(rest)
            case "sendmsg":
                return self._message(rest.strip(), command)
            case "sendevent":
                self._face.tell(rest.strip() or "CUSTOM", {"Event-Subclass": "virtual"}, command.body)
                return f"+OK {self._face.new_uuid()}"
            case "log" | "nolog" | "linger" | "nolinger" | "divert_events":
                return "+OK"
            case _:
                return _NOT_FOUND

    def _listen(self, words: list[str]) -> str:
        encoding = words[0].lower() if words else ""
        if encoding in ("plain", "json", "xml"):
            self._encoding = "json" if encoding == "json" else "xml" if encoding == "xml" else "plain"
            words = words[1:]
        if not self._wishes.ask(words):
            return "-ERR no keywords supplied"
        return f"+OK event listener enabled {self._encoding}"

    def _filter(self, rest: str) -> str:
        words = rest.split(" ", 2)
        if words and words[0] == "delete":
            self._wishes.remove_filters(words[1] if len(words) > 1 else "", " ".join(words[2:]))
            return f"+OK filter deleted. {words[1:2]}"
        header, _, value = rest.partition(" ")
        if not header or not value or not self._wishes.add_filter(header, value):
            return "-ERR invalid syntax"
        return f"+OK filter added. [{header}]=[{value}]"

    def _message(self, uuid: str, command: Command) -> str:
        """`sendmsg`: for a channel's own thread."""
        channel = self._face.channels.get(uuid)
        if channel is None:
            return f"-ERR invalid session id [{uuid[:64]}]"
        headers = command.headers
        match headers.get("call-command", ""):
            case "execute":
                application = headers.get("execute-app-name", "")
                argument = headers.get("execute-app-arg", "") or command.body
                locked = headers.get("event-lock", "").lower() == "true"
                given = headers.get("event-uuid", "")
                # Answered +OK before the application is looked for: that there is none shows in a log only.
                self._face.queue(channel, application, argument, given, locked)
                return "+OK"
            case "hangup":
                cause = cause_named(headers.get("hangup-cause", "") or "NORMAL_CLEARING")
                self._face.soon(channel, lambda: channel.hang_up(cause.code if cause else NORMAL))
                return "+OK"
            case "":
                return "-ERR Missing call-command"
            case _:
                return "+OK"

    def _in_background(self, line: str, job: str, mute: bool) -> None:
        job = job or self._face.new_uuid()
        if not mute:
            self._put(wire.reply(f"+OK Job-UUID: {job}", {"Job-UUID": job}))
        name, _, argument = line.strip().partition(" ")

        def report(text: str) -> None:
            fields = {"Job-UUID": job, "Job-Command": name}
            if argument:
                fields["Job-Command-Arg"] = argument
            self._face.tell("BACKGROUND_JOB", fields, text)

        api.run(self._face, line, report)

    async def _answer_of(self, line: str) -> str:
        """What a command answers; an originate's answer is waited for, as FreeSWITCH does."""
        later: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def done(text: str) -> None:
            if not later.done():
                later.set_result(text)

        api.run(self._face, line, done)
        return later.result() if later.done() else await later

    def _refuse(self, command: Command) -> None:
        """A fault by configuration: what FreeSWITCH says when it makes no session, or refuses."""
        verb, _, rest = command.line.partition(" ")
        text = "-ERR DESTINATION_OUT_OF_ORDER\n"
        if verb == "api":
            self._put(wire.answer(text))
        elif verb == "bgapi":
            job = command.headers.get("job-uuid", "") or self._face.new_uuid()
            self._put(wire.reply(f"+OK Job-UUID: {job}", {"Job-UUID": job}))
            fields = {"Job-UUID": job, "Job-Command": rest.split(" ")[0]}
            self._face.tell("BACKGROUND_JOB", fields, text)
        else:
            self._reply(text)

    def _reply(self, text: str) -> None:
        self._put(wire.reply(text))

    def _put(self, frame: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.cut()
            return
        self._waiting.append(frame)
        self._wake.set()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                frames = b"".join(self._waiting)
                self._waiting.clear()
                self._writer.write(frames)
                await self._writer.drain()

    async def _say_goodbye(self) -> None:
        self._put(wire.DISCONNECT)
        frames = b"".join(self._waiting)
        self._waiting.clear()
        with contextlib.suppress(ConnectionError):
            self._writer.write(frames)
            await self._writer.drain()


def _kind_of(command: Command) -> Kind:
    verb, _, rest = command.line.partition(" ")
    if verb == "sendmsg":
        return "play"
    return _KINDS.get(rest.split(" ", 1)[0], "other") if verb in ("api", "bgapi") else "other"
