"""The FreeSWITCH adapter: keeps the `Pbx` port over the event socket.

`run` connects, and connects again with back-off; `send` hands requests to the connection of the moment. Every
request is entered before it leaves, and told off through the sink however it ends. FreeSWITCH tells of every
outbound channel, whoever made it, so only ours are listened to: those that carry our mark, and those that we
have dialled or asked about.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Final

import structlog

from orchestrator.call.commands import Bridge, Ringback, StopPlay
from orchestrator.call.events import Alive, Answered, Bridged, Ended, Gone, Ready, Refused
from orchestrator.pbx.backoff import full_jitter
from orchestrator.pbx.errors import PbxConfigError, PbxError, PbxUnreachable
from orchestrator.pbx.esl import census, commands, fates, recordings, sounds
from orchestrator.pbx.esl.commands import Command
from orchestrator.pbx.esl.connection import Connection
from orchestrator.pbx.esl.events import Event
from orchestrator.pbx.esl.handshake import open_stream
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.esl.table import Full, RequestTable, unsent
from orchestrator.pbx.esl.translate import Told, translate
from orchestrator.pbx.esl.watch import Watch
from orchestrator.pbx.fit import Unfit
from orchestrator.pbx.port import Dial, Link, PlaySounds, Request, Signal, Sink, SoundCheck

log = structlog.get_logger(__name__)

_STOPPED: Final = "stopped"
_LATER_ENDS: Final = frozenset({"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"})


class EslPbx:
    """One FreeSWITCH node. `clock` gives seconds since the epoch, `random` the jitter of reconnecting.

    `reacted` is told how long each answered call waited for its first play: from the moment when its park was
    read until the play's command was written.
    """

    def __init__(
        self,
        settings: EslSettings,
        sink: Sink,
        *,
        clock: Callable[[], float],
        random: Random,
        reacted: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._random = random
        self._reacted = reacted
        self._ready_at: dict[str, float] = {}
        self._ours: set[str] = set()
        self._watch = Watch(settings)
        self._over: set[str] = set()
        """Channels whose end was told, and which FreeSWITCH has yet to destroy."""
        self._table = RequestTable(settings)
        self._connection: Connection | None = None
        self._dialled_meanwhile: set[str] | None = None
        self._ever_up = False
        self._said: tuple[bool, str] | None = None

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def run(self) -> None:
        """Keep connected until cancelled. `PbxConfigError` for what waiting does not mend, before the first
        connection only: later the same fault is logged and tried again."""
        attempt = 0
        try:
            while True:
                began = asyncio.get_running_loop().time()
                fault = await self._one_connection()
                if isinstance(fault, PbxConfigError) and not self._ever_up:
                    raise fault
                self._say(False, str(fault), grave=isinstance(fault, PbxConfigError))
                lasted = asyncio.get_running_loop().time() - began
                attempt = 0 if lasted > self._settings.backoff_cap else attempt + 1
                settings = self._settings
                pause = full_jitter(attempt, settings.backoff_base, settings.backoff_cap, self._random)
                await asyncio.sleep(pause)
        finally:
            if self._said is not None and self._said[0]:
                self._say(False, _STOPPED)

    def send(self, request: Request) -> None:
        """Never waits. What must not be sent, or cannot be sent now, is told through the sink at once."""
        connection = self._connection
        if connection is None:
            self._tell_all(unsent(request, "not connected"))
            return
        if not self._watch.partner(request.channel) and (told := fates.without_bridge(request)) is not None:
            self._tell_all([(request.channel, event) for event in told])
            return
        now = asyncio.get_running_loop().time()
        try:
            outgoing = self._table.submit(request, now)
        except Unfit as fault:
            log.warning("esl_unfit_request", pbx=self.name, channel=request.channel, reason=str(fault))
            if isinstance(request, Dial):
                self._tell((request.channel, Refused(400, str(fault))))
            else:
                self._tell_all(unsent(request, str(fault)))
            return
        except Full as fault:
            log.warning("esl_too_many_requests", pbx=self.name, reason=str(fault))
            self._tell_all(unsent(request, str(fault)))
            return
        if isinstance(request, Dial):
            self._ours.add(request.channel)
            if self._dialled_meanwhile is not None:
                self._dialled_meanwhile.add(request.channel)
        connection.put(outgoing)
        connection.note(*self._besides(request, now))

    async def reconcile(self, channels: Collection[str]) -> None:
        """Raises `PbxUnreachable` when FreeSWITCH cannot be asked now: the next `Link(up=True)` brings a new
        occasion."""
        connection = self._usable()
        meanwhile = self._table.dialling()
        self._dialled_meanwhile = meanwhile
        self._ours |= {*channels}
        asked = list(channels)
        try:
            answers = await connection.ask_all([commands.dump(channel) for channel in asked])
            listed = census.outbound(await connection.ask(commands.LIST_CHANNELS))
            strangers = census.strangers(listed, {*asked, *meanwhile})
            owners = await connection.ask_all([commands.owner(channel) for channel in strangers])
        finally:
            self._dialled_meanwhile = None
        states = {channel: fates.of_ask(text) for channel, text in zip(asked, answers, strict=True)}
        now = asyncio.get_running_loop().time()
        for channel, text in zip(asked, answers, strict=True):
            if partner := fates.partner_of(text):
                self._watch.bridged(channel, partner)
            else:
                connection.note(*self._watch.parted(channel, now))
        if not all(states.values()):
            raise PbxUnreachable(f"pbx {self.name}: FreeSWITCH does not say what became of each call")
        app = self._settings.app
        strays = [each for each, owner in zip(strangers, owners, strict=True) if owner.strip() == app]
        self._ours = {channel for channel in self._ours if channel in states or channel in meanwhile}
        for channel, state in states.items():
            if state == (Gone(),) and channel in meanwhile:
                continue  # it is being dialled at this moment: its own answer tells
            self._tell_all([(channel, event) for event in state])
            if any(isinstance(event, Alive) and event.up for event in state):
                connection.note(*self._watch.renewed(channel, now))
        connection.note(*(commands.hang_up(stray) for stray in strays))
        log.info("esl_reconciled", pbx=self.name, asked=len(asked), hung_up_strays=len(strays))

    async def check_sounds(self, sounds_asked: Sequence[str]) -> SoundCheck:
        """Raises `PbxUnreachable` when FreeSWITCH cannot be asked now."""
        return await sounds.check(self._usable(), self._settings, self._table.sounds_dir, sounds_asked)

    async def fetch_recording(self, recording: str) -> bytes:
        """Read the file that FreeSWITCH wrote."""
        return await asyncio.to_thread(recordings.read, self._settings, recording)

    async def delete_recording(self, recording: str) -> None:
        """Delete the file that FreeSWITCH wrote."""
        await asyncio.to_thread(recordings.delete, self._settings, recording)

    async def _one_connection(self) -> PbxError:
        """Connect and serve. Returns the fault that ended it, after every request's fate has been told."""
        try:
            stream = await open_stream(self._settings)
            try:
                connection = Connection(
                    self._settings,
                    stream,
                    self._table,
                    job_prefix=f"{self._random.getrandbits(32):08x}",
                    heard=self._hear,
                    tell=self._tell,
                    left=self._left,
                )
                await connection.run(lambda: self._up(connection))
            finally:
                self._connection = None
                self._ready_at.clear()
                self._over.clear()
                self._tell_all(self._table.lose_all("the connection was lost").told)
                await stream.close()
        except PbxError as fault:
            return fault
        return PbxUnreachable(f"pbx {self.name}: the connection ended")

    def _hear(self, event: Event) -> None:
        """An event of some outbound channel."""
        channel = event.channel
        if event.owner != self._settings.app and channel not in self._ours and channel not in self._over:
            return
        if channel in self._over and event.name in _LATER_ENDS:
            if event.name == "CHANNEL_DESTROY":
                self._over.discard(channel)
            return
        if event.name == "CHANNEL_EXECUTE" and event.application == "playback":
            self._note(commands.forget_played(channel))
        elif event.name == "CHANNEL_BRIDGE":
            self._watch.bridged(event.bridge_a, event.bridge_b)
        elif event.name == "CHANNEL_UNBRIDGE":
            # FreeSWITCH records a channel, and would go on.
            self._note(commands.stop_recordings(channel))
            self._note(*self._watch.parted(channel, asyncio.get_running_loop().time()))
        elif event.name == "RECORD_STOP" and not recordings.is_ours(self._settings, event.record_path):
            return
        meant = translate(event)
        if not meant:
            return
        self._table.created(channel)
        for each in meant:
            self._tell((channel, each))
        if event.name == "CHANNEL_HANGUP":
            self._over.add(channel)

    def _besides(self, request: Request, now: float) -> tuple[Command, ...]:
        """What goes out with a request: for the other side of a bridge, and against FreeSWITCH's own end."""
        partner = self._watch.partner(request.channel)
        match request:
            case PlaySounds() if request.both and partner:
                return (commands.echo(request, partner, self._settings, self._table.sounds_dir),)
            case PlaySounds() | Ringback():
                return self._watch.played(request.channel, now)
            case StopPlay() if partner:
                return (commands.stop_plays(partner),)
            case Bridge():
                self._watch.asked(request.channel, request.other)
        return ()

    def _note(self, *noted: Command) -> None:
        if self._connection is not None:
            self._connection.note(*noted)

    def _usable(self) -> Connection:
        if self._connection is None:
            raise PbxUnreachable(f"pbx {self.name}: not connected")
        return self._connection

    def _up(self, connection: Connection) -> None:
        self._connection = connection
        self._ever_up = True
        log.info("esl_connected", pbx=self.name)
        self._say(True, "")

    def _say(self, up: bool, reason: str, *, grave: bool = False) -> None:
        if self._said == (up, reason):
            return
        self._said = (up, reason)
        if not up and reason != _STOPPED:
            write = log.error if grave else log.warning
            write("esl_link_down", pbx=self.name, reason=reason)
        self._sink(Link(self.name, up, self._clock(), reason))

    def _tell_all(self, told: Sequence[Told]) -> None:
        for each in told:
            self._tell(each)

    def _tell(self, told: Told) -> None:
        channel, event = told
        now = self._clock()
        ticks = asyncio.get_running_loop().time()
        match event:
            case Ready():
                self._ready_at[channel] = now
            case Answered():
                self._watch.answered(channel, ticks)
            case Bridged():
                self._watch.bridged(channel)
            case Ended() | Gone() | Refused():
                self._ready_at.pop(channel, None)
                self._note(*self._watch.gone(channel, ticks))
                self._ours.discard(channel)
        self._sink(Signal(self.name, channel, event, now))

    def _left(self, number: int) -> None:
        """A command was written."""
        ready_at = self._ready_at.pop(self._table.plays_to(number), None)
        if ready_at is not None:
            self._reacted(self._clock() - ready_at)
