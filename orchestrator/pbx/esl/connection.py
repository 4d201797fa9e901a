"""One connection's life: a reader that never waits, a lane that carries commands out, a sweep for deadlines.

All its tasks live in one task group; the first to fail ends the connection with a `PbxError` that says why.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from orchestrator.pbx.cancelled import for_ever, raise_if_cancelled
from orchestrator.pbx.errors import PbxConfigError, PbxError, PbxUnreachable, weightiest
from orchestrator.pbx.esl import commands
from orchestrator.pbx.esl.commands import Command
from orchestrator.pbx.esl.events import Event, decode
from orchestrator.pbx.esl.fates import is_ok, reason
from orchestrator.pbx.esl.frames import Frame
from orchestrator.pbx.esl.handshake import Stream, refuse_rude
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.esl.table import Outcome, Outgoing, RequestTable
from orchestrator.pbx.esl.translate import Told
from orchestrator.pbx.pings import keep_alive

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 64
"""Questions under way at the same time: FreeSWITCH sends no event while commands wait to be read."""


class Connection:
    """Reads one event socket and carries commands to it.

    `heard` takes events of channels, `tell` what requests came to, `left` the number of each command that was
    written. `job_prefix` is 8 hexadecimal digits by which jobs of this connection are known.
    """

    def __init__(
        self,
        settings: EslSettings,
        stream: Stream,
        table: RequestTable,
        *,
        job_prefix: str,
        heard: Callable[[Event], None],
        tell: Callable[[Told], None],
        left: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._node = f"pbx {settings.name}"
        self._stream = stream
        self._table = table
        self._prefix = job_prefix
        self._heard = heard
        self._tell = tell
        self._left = left
        self._now = asyncio.get_running_loop().time
        # Bounded by the table: nothing is queued that is not entered there.
        self._out: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._asked: dict[int, asyncio.Future[str | None]] = {}
        self._frames = 0

    def put(self, outgoing: Outgoing) -> None:
        """Queue a command that is entered in the table."""
        self._out.put_nowait(outgoing)

    def note(self, *noted: Command) -> None:
        """Send commands whose answer nobody waits for."""
        for command in noted:
            self.put(self._table.own(command, self._now()))

    async def ask(self, command: Command) -> str:
        """Send a command and wait for what it gives. Raises `PbxUnreachable` when nothing comes."""
        return (await self.ask_all([command]))[0]

    async def ask_all(self, asked: Sequence[Command]) -> list[str]:
        """As `ask`, several at once, and no more than FreeSWITCH answers between two events."""
        answers: list[str] = []
        for start in range(0, len(asked), _AT_ONCE):
            answers += await self._ask_some(asked[start : start + _AT_ONCE])
        return answers

    async def _ask_some(self, asked: Sequence[Command]) -> list[str]:
        awaited: dict[int, asyncio.Future[str | None]] = {}
        for command in asked:
            outgoing = self._table.own(command, self._now())
            awaited[outgoing.id] = asyncio.get_running_loop().create_future()
            self.put(outgoing)
        self._asked |= awaited
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                answers = [await answer for answer in awaited.values()]
        except TimeoutError:
            raise PbxUnreachable(f"{self._node}: no answer to `{asked[0].verb}` in time") from None
        finally:
            for number in awaited:
                del self._asked[number]
        told = [answer for answer in answers if answer is not None]
        if len(told) < len(answers):
            raise PbxUnreachable(f"{self._node}: the connection was lost")
        return told

    async def run(self, established: Callable[[], None]) -> None:
        """Until the connection ends; always by raising. `established` is called once it is usable."""
        failure: PbxError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(), name="esl reader")
                tasks.create_task(self._lane(), name="esl lane")
                tasks.create_task(self._sweep(), name="esl deadlines")
                tasks.create_task(self._keep_alive(), name="esl pings")
                await self._prepare()
                established()
                await for_ever()
        except* PbxError as group:
            failure = weightiest(group)
        finally:
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_result(None)
        if failure is not None:
            raise_if_cancelled()
            raise failure

    async def _prepare(self) -> None:
        """Ask for the events that we use and no others, and where the sounds are."""
        answer = await self.ask(commands.SUBSCRIBE)
        if not is_ok(answer):
            raise PbxConfigError(f"{self._node}: FreeSWITCH gives no events: {reason(answer)}")
        for each in commands.filters(self._prefix):
            if not is_ok(await self.ask(each)):
                log.warning("esl_no_event_filter", pbx=self._settings.name)
        folder = (await self.ask(commands.SOUNDS_DIR)).strip()
        if not self._settings.sounds_folder.startswith("/") and not commands.is_folder(folder):
            raise PbxConfigError(
                f"{self._node}: FreeSWITCH does not say where its sounds are; give pbx.sounds as a full path"
            )
        self._table.sounds_dir = folder

    async def _read(self) -> None:
        """Nothing but decode and hand over: no await but for the next bytes."""
        while True:
            for frame in await self._stream.receive():
                self._frames += 1
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case "text/event-json" | "text/event-plain":
                event = decode(frame)
                if event.name == "BACKGROUND_JOB":
                    self._take_job(event)
                else:
                    self._heard(event)
            case "command/reply":
                self._take_reply(frame.reply)
            case "api/response":
                self._take_reply(frame.body.decode("utf-8", "replace"))
            case "text/disconnect-notice":
                raise PbxUnreachable(f"{self._node}: FreeSWITCH closed the connection")
            case _:
                refuse_rude(frame, self._node)

    def _take_reply(self, text: str) -> None:
        number, outcome = self._table.reply(text, self._now())
        answer = self._asked.get(number)
        if answer is None:
            self._carry(outcome)
        elif not text.startswith("+OK Job-UUID") and not answer.done():
            answer.set_result(text)

    def _take_job(self, event: Event) -> None:
        if not event.job.startswith(self._prefix):
            return
        try:
            number = int(event.job[-12:], 16)
        except ValueError:
            return
        answer = self._asked.get(number)
        if answer is None:
            self._carry(self._table.job(number, event.body, self._now()))
        elif not answer.done():
            answer.set_result(event.body)

    def _carry(self, outcome: Outcome) -> None:
        """Pass on what a request came to."""
        for told in outcome.told:
            self._tell(told)
        for outgoing in outcome.next:
            self.put(outgoing)

    async def _lane(self) -> None:
        while True:
            waiting = [await self._out.get()]
            while not self._out.empty():
                waiting.append(self._out.get_nowait())
            self._write(waiting)
            await self._stream.drain()

    def _write(self, waiting: Sequence[Outgoing]) -> None:
        """All at once: each write is a call into the system, and costs more than making the command does."""
        self._stream.check_open()
        leaving = [outgoing for outgoing in waiting if self._table.leave(outgoing.id)]
        self._stream.write(b"".join(each.command.wire(self._job(each.id)) for each in leaving))
        for outgoing in leaving:
            self._left(outgoing.id)

    def _job(self, number: int) -> str:
        return f"{self._prefix}-0000-4000-8000-{number:012x}"

    async def _sweep(self) -> None:
        """One timer for all deadlines: cheaper than one a request, and no finer than anybody needs."""
        pause = min(0.25, self._settings.request_timeout / 10, self._settings.originate_timeout / 10)
        while True:
            await asyncio.sleep(pause)
            self._carry(self._table.expire(self._now()))

    async def _keep_alive(self) -> None:
        silent = f"{self._node}: no answer to a ping; the network or FreeSWITCH stalls"
        await keep_alive(self._settings.ping_interval, lambda: self._frames, self._ping, silent)

    async def _ping(self) -> None:
        self.note(commands.PING)
