"""All that the ESL face holds: channels, recordings, and who listens, over one switch."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Protocol
from uuid import UUID

from orchestrator.pbx.virtual.causes import cause_named
from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.esl.applications import execution_of
from orchestrator.pbx.virtual.esl.channel import EslChannel
from orchestrator.pbx.virtual.esl.dialstring import Originate, read_endpoint
from orchestrator.pbx.virtual.esl.execution import Parked
from orchestrator.pbx.virtual.esl.fields import Fields
from orchestrator.pbx.virtual.esl.recording import Recorded, Recording, recorded_clip
from orchestrator.pbx.virtual.esl.wire import fit_name
from orchestrator.pbx.virtual.switch import Refusal, Switch
from orchestrator.pbx.virtual.timeline import Act

SOUNDS_DIR = "/usr/share/freeswitch/sounds"
RECORDINGS_DIR = "/var/lib/freeswitch/recordings"
_HOST = "virtual"
_SAME_CAUSE = "DESTINATION_OUT_OF_ORDER"
"""What an originate answers for a uuid that is taken, a throttle and the session limit alike [measured]."""
_THREAD_LOOKS = 0.02
MAX_STORED = 100
_DEFAULT_TIMEOUT = 60


class Listener(Protocol):
    """A connection that takes events."""

    def hears(self, name: str) -> bool:
        """Whether it asked for events of this name."""

    def take(self, fields: Fields, body: str) -> None:
        """Take one; never waits."""


class EslFace:
    """The state of the face. `random` makes ids; `trunks` names gateways and profiles, none for any;
    `recordings` is where recordings become files, None for nowhere."""

    def __init__(
        self,
        switch: Switch,
        random: Random,
        *,
        trunks: tuple[str, ...] = (),
        recordings: Path | None = None,
    ) -> None:
        self.switch = switch
        self.random = random
        self.core_uuid = self.new_uuid()
        self.channels: dict[str, EslChannel] = {}
        self.listeners: list[Listener] = []
        self.recordings = recordings
        self.recorded: dict[str, Recorded] = {}
        """Recordings that are over, by path."""
        self.globals: dict[str, str] = {
            "sounds_dir": SOUNDS_DIR,
            "recordings_dir": RECORDINGS_DIR,
            "hostname": _HOST,
        }
        self.started_at = switch.timeline.now()
        self.paused = False
        self._trunks = frozenset(trunks)
        self._sequence = 0
        self._tasks = 0

    def now(self) -> float:
        """The switch's time."""
        return self.switch.timeline.now()

    def new_uuid(self) -> str:
        """A new id."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def soon(self, channel: EslChannel, act: Act) -> None:
        """Do it after what is being done now, if the channel still lives."""
        self.switch.timeline.soon(lambda: None if channel.hung_up else act())

    # ── events ──

    def heard(self, name: str) -> bool:
        """Whether anybody listens to events of this name."""
        return any(listener.hears(name) for listener in self.listeners)

    def tell(self, name: str, fields: Fields, body: str = "") -> None:
        """Send an event to everybody who listens."""
        self._sequence += 1
        now = self.now()
        second = _dates(int(now))
        told = {
            "Event-Name": name,
            "Core-UUID": self.core_uuid,
            "FreeSWITCH-Hostname": _HOST,
            "FreeSWITCH-Switchname": _HOST,
            "FreeSWITCH-IPv4": "127.0.0.1",
            "FreeSWITCH-IPv6": "::1",
            "Event-Date-Local": second[0],
            "Event-Date-GMT": second[1],
            "Event-Date-Timestamp": str(int(now * 1_000_000)),
            "Event-Calling-File": "virtual",
            "Event-Calling-Function": "tell",
            "Event-Calling-Line-Number": "1",
            "Event-Sequence": str(self._sequence),
            **fields,
        }
        for listener in list(self.listeners):
            if listener.hears(name):
                listener.take(told, body)

    # ── channels ──

    def originate(
        self, wanted: Originate, begin: Callable[[EslChannel], None], done: Callable[[str], None]
    ) -> None:
        """Make a channel and ring. `begin` runs its application, `done` is told the answer."""
        variables = {fit_name(name): value for name, value in wanted.variables.items()}
        where = read_endpoint(wanted.endpoint)
        leg_id = variables.get("origination_uuid") or self.new_uuid()
        if isinstance(where, str):
            done(f"-ERR {where}\n")
            return
        if self.paused:
            done(f"-ERR {_SAME_CAUSE}\n")
            return
        name = f"sofia/{where.trunk}/{where.number}"
        channel = EslChannel(self, name, variables, begin, done)
        caller = variables.get("origination_caller_id_number", "0000000000")
        if self._trunks and where.trunk not in self._trunks:
            self._no_trunk(channel, leg_id, where.number, caller)
            done(f"-ERR {'INVALID_PROFILE' if where.profile else 'INVALID_GATEWAY'}\n")
            return
        try:
            channel.leg = self.switch.create(leg_id, where.number, caller, channel)
        except Refusal:
            done(f"-ERR {_SAME_CAUSE}\n")
            return
        self.channels[leg_id] = channel
        channel.created()
        given = variables.get("originate_timeout", "")
        timeout = int(given[:6]) if given.isascii() and given.isdecimal() else _DEFAULT_TIMEOUT
        self.switch.ring(channel.leg, float(timeout) if timeout else None)

    def on_answer(self, channel: EslChannel) -> None:
        """`execute_on_answer`, and the time after which a parked channel is given up."""
        wanted = channel.variables.get("execute_on_answer", "")
        application, _, argument = wanted.replace("::", ":").replace(":", " ", 1).partition(" ")
        execution = (
            execution_of(channel, application, argument, self.new_uuid(), False) if application else None
        )
        if execution is not None:
            execution.start()
        self.schedule_hangup(channel, channel.variables.get("park_timeout", "").partition(":")[0], "")

    def execute(self, channel: EslChannel, application: str, argument: str, uuid: str, locked: bool) -> bool:
        """Run an application on a channel. False when there is none of this name."""
        execution = execution_of(channel, application, argument, uuid or self.new_uuid(), locked)
        if execution is None:
            return False
        channel.execute(execution)
        return True

    def queue(self, channel: EslChannel, application: str, argument: str, uuid: str, locked: bool) -> None:
        """Run an application when the channel's own thread gets to it: it looks every 20 ms."""

        def run() -> None:
            self.execute(channel, application, argument, uuid, locked)

        self.switch.timeline.at(self.now() + _THREAD_LOOKS, run)

    def park(self, channel: EslChannel) -> None:
        """Park it where it is. What runs on it goes on within."""
        channel.state = "CS_PARK"
        channel.stack.insert(0, Parked(channel))
        channel.tell("CHANNEL_PARK")
        timeout = channel.variables.pop("park_timeout", "")
        if timeout:
            channel.variables.pop("park_after_bridge", None)
            self.schedule_hangup(channel, timeout.partition(":")[0], "NORMAL_CLEARING")

    def end(self, channel: EslChannel) -> None:
        """A channel is over: its recordings end, its timers too."""
        for path in list(channel.recordings or ()):
            self.stop_recording(channel, path)
        for timer in (channel.scheduled or {}).values():
            timer.cancel()
        channel.scheduled = None
        if self.channels.get(channel.leg.id) is channel:
            del self.channels[channel.leg.id]
        self.switch.end(channel.leg, channel.cause_code)

    def schedule_hangup(self, channel: EslChannel, after: str, cause: str) -> int | None:
        """Hang up after so many seconds; the task's number, or None when that is no time."""
        text = after.removeprefix("+")
        if not (text.isascii() and text.isdecimal()) or len(text) > 9 or channel.hung_up:
            return None
        named = cause_named(cause.strip()) or cause_named("ALLOTTED_TIMEOUT")
        code = named.code if named else 16
        self._tasks += 1
        if channel.scheduled is None:
            channel.scheduled = {}
        channel.scheduled[self._tasks] = self.switch.timeline.at(
            self.now() + int(text), lambda: channel.hang_up(code)
        )
        return self._tasks

    def unschedule(self, name: str) -> int:
        """Cancel what is scheduled for a channel, or one task by its number; how many there were."""
        if name in self.channels:
            scheduled = self.channels[name].scheduled or {}
            self.channels[name].scheduled = None
            for timer in scheduled.values():
                timer.cancel()
            return len(scheduled)
        for channel in self.channels.values():
            if name.isascii() and name.isdecimal() and channel.scheduled:
                timer_found = channel.scheduled.pop(int(name[:9]), None)
                if timer_found is not None:
                    timer_found.cancel()
                    return 1
        return 0

    # ── sound ──

    def find_file(self, path: str) -> Clip | None:
        """A sound file: by its full path, or as it is named below the sounds folder."""
        if self.recordings is not None and (found := recorded_clip(self.recordings, path)) is not None:
            return found
        clips = self.switch.clips
        return clips.find_file(path) if path.startswith("/") else clips.find(path)

    def record(self, channel: EslChannel, path: str, longest: int = 0) -> None:
        """Record both directions of a channel, for so many seconds at most. One that runs goes on."""
        if channel.recordings is None:
            channel.recordings = {}
        path = self._full(path)
        if path not in channel.recordings:
            recording = channel.recordings[path] = Recording(channel, path, longest)
            recording.start()

    def stop_recording(self, channel: EslChannel, path: str) -> bool:
        """End one recording, or `all`. False when there was none."""
        recordings = channel.recordings or {}
        ending = list(recordings) if path == "all" else [self._full(path)]
        ended = False
        for name in ending:
            recording = recordings.pop(name, None)
            if recording is None:
                continue
            ended = True
            self.recorded.pop(name, None)
            self.recorded[name] = recording.finish()
            while len(self.recorded) > MAX_STORED:
                del self.recorded[next(iter(self.recorded))]
        return ended

    def forget(self) -> None:
        """Everything is forgotten at once and nobody is told, as when FreeSWITCH is killed."""
        self.listeners.clear()
        for channel in list(self.channels.values()):
            channel.hung_up = True
            for timer in (channel.scheduled or {}).values():
                timer.cancel()
        self.channels.clear()
        self.core_uuid = self.new_uuid()
        self.started_at = self.now()
        self._sequence = 0

    def _full(self, path: str) -> str:
        return path if path.startswith("/") else f"{RECORDINGS_DIR}/{path}"

    def _no_trunk(self, channel: EslChannel, leg_id: str, number: str, caller: str) -> None:
        """There is no such gateway: a channel is torn down that never came to be [measured]."""
        try:
            channel.leg = self.switch.create(leg_id, number, caller, channel, unlimited=True)
        except Refusal:
            return
        channel.state = "CS_NONE"
        channel.variables = {}
        channel.tell("CHANNEL_DESTROY")
        self.switch.end(channel.leg, 0)


@lru_cache(maxsize=16)
def _dates(second: int) -> tuple[str, str]:
    moment = datetime.fromtimestamp(second, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S"), format_datetime(moment, usegmt=True)
