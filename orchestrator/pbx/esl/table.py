"""The requests under way: who asked what, how far it came, until when an answer is awaited. No I/O, no clock.

A request is entered here before its command leaves, so an answer or event that overtakes it finds it known.
FreeSWITCH replies to the commands of one connection in their order and without a name, so the order in which
they left is kept. The output of a background job comes later, under the Job-UUID that we gave it.
"""

from collections import deque
from typing import Final

import msgspec

from orchestrator.call.commands import (
    Ask,
    Bridge,
    DropBridge,
    Hangup,
    Record,
    Ringback,
    StopPlay,
    StopRecording,
)
from orchestrator.call.events import CallEvent, Stage
from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl import fates
from orchestrator.pbx.esl.commands import Command, bridging, build, dump, file_exists
from orchestrator.pbx.esl.fates import Kind
from orchestrator.pbx.esl.recordings import path_of
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.esl.translate import Told
from orchestrator.pbx.port import Dial, PlaySounds, Request


class Full(Exception):
    """More requests are under way than `max_inflight` allows."""


class Outgoing(msgspec.Struct, frozen=True):
    """A command ready to leave, by the number under which its answer will come."""

    id: int
    command: Command


class Outcome(msgspec.Struct, frozen=True):
    """What to tell the sink, and what to send next."""

    told: tuple[Told, ...] = ()
    next: tuple[Outgoing, ...] = ()


class _Pending(msgspec.Struct):
    kind: Kind
    channel: str
    subject: str
    """The playback, the recording, or the channel to be bridged to."""
    deadline: float
    then: tuple[Command, ...] = ()
    """What bridges two channels, unless they are bridged already; or what asks for a recording's file."""
    sent: bool = False


NOTHING: Final = Outcome()


class RequestTable:
    """The requests of one node. Times are seconds on any one monotonic clock.

    `sounds_dir` is FreeSWITCH's folder of sounds, known once connected.
    """

    def __init__(self, settings: EslSettings) -> None:
        self.sounds_dir = ""
        self._settings = settings
        self._pending: dict[int, _Pending] = {}
        self._dials: dict[str, int] = {}
        self._left: deque[int] = deque()
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending)

    def submit(self, request: Request, now: float) -> Outgoing:
        """Enter a request. Raises `Unfit` or `Full`; then nothing was entered and nothing may be sent."""
        kind, subject = _kind(request)
        # Ending a call and asking after one must still go through when originates have filled the table.
        limit = self._settings.max_inflight * (1 if kind in ("dial", "play") else 2)
        if len(self._pending) >= limit:
            raise Full(f"{len(self._pending)} requests are under way")
        command = build(request, self._settings, self.sounds_dir)
        then = _then(request, self._settings)
        return self._enter(kind, request.channel, subject, command, now, then)

    def own(self, command: Command, now: float) -> Outgoing:
        """Enter a command of the connection itself. Its answer is the connection's affair."""
        return self._enter("own", "", "", command, now)

    def leave(self, number: int) -> bool:
        """Note that the command is handed to the transport now. False: no longer wanted, do not send."""
        pending = self._pending.get(number)
        if pending is None:
            return False
        pending.sent = True
        self._left.append(number)
        return True

    def plays_to(self, number: int) -> str:
        """The channel that a play request is for; empty for any other request."""
        pending = self._pending.get(number)
        return pending.channel if pending is not None and pending.kind == "play" else ""

    def reply(self, text: str, now: float) -> tuple[int, Outcome]:
        """A reply came: to which number, and what it means. One that came too late means nothing.

        Raises `PbxProtocolError` when nothing was asked.
        """
        if not self._left:
            raise PbxProtocolError("FreeSWITCH answers what was not asked")
        number = self._left.popleft()
        pending = self._pending.get(number)
        if pending is None:
            return number, NOTHING
        if pending.kind == "bridged" and fates.of_bridged(text, pending.subject) is None:
            self._drop(number)
            return number, Outcome(next=self._follow(pending, "bridge", now))
        if pending.kind == "stop_record" and not fates.is_ok(text):
            self._drop(number)
            return number, Outcome(next=self._follow(pending, "kept", now))
        told = self._of_reply(pending, text)
        if not told and pending.kind in ("dial", "ask"):
            return number, NOTHING  # a job has begun, or the question stays open until it is asked again
        self._drop(number)
        return number, _tell(pending.channel, told)

    def job(self, number: int, text: str, now: float) -> Outcome:
        """The output of a background job. One that nobody awaits (late, or twice) changes nothing."""
        pending = self._pending.get(number)
        if pending is None or pending.kind != "dial":
            return NOTHING
        self._drop(number)
        told = fates.of_dial_job(text)
        if told is None:
            return Outcome(next=(self._question("adopt", pending.channel, now),))
        return _tell(pending.channel, (told,))

    def created(self, channel: str) -> None:
        """The channel lives or lived: its originate has its fate, and an output that says otherwise none."""
        number = self._dials.get(channel)
        if number is not None:
            self._drop(number)

    def lose(self, number: int, stage: Stage, why: str) -> Outcome:
        """No answer will come."""
        pending = self._drop(number)
        if pending is None:
            return NOTHING
        return _tell(pending.channel, (fates.of_loss(pending.kind, pending.subject, stage, why),))

    def expire(self, now: float) -> Outcome:
        """End what is past its deadline. A question past it is asked again."""
        due = [number for number, pending in self._pending.items() if pending.deadline <= now]
        told: list[Told] = []
        again: list[Outgoing] = []
        for number in due:
            pending = self._pending[number]
            told += self.lose(number, _stage(pending), "no answer in time").told
            if pending.kind == "ask":
                again.append(self._question("ask", pending.channel, now))
        return Outcome(tuple(told), tuple(again)) if due else NOTHING

    def lose_all(self, why: str) -> Outcome:
        """The connection is gone, and with it every answer that was still to come."""
        told: list[Told] = []
        for number in list(self._pending):
            told += self.lose(number, _stage(self._pending[number]), why).told
        self._left.clear()
        return Outcome(tuple(told))

    def dialling(self) -> set[str]:
        """Channels whose originate has no fate yet."""
        return {pending.channel for pending in self._pending.values() if pending.kind in ("dial", "adopt")}

    def _of_reply(self, pending: _Pending, text: str) -> tuple[CallEvent | None, ...]:
        match pending.kind:
            case "dial":
                told = fates.of_dial_reply(text)
                return () if told is None else (told,)
            case "adopt":
                return fates.of_adopt(text)
            case "play":
                return (fates.of_play(text, pending.subject),)
            case "bridged":
                return (fates.of_bridged(text, pending.subject),)
            case "bridge":
                return (fates.of_bridge(text),)
            case "record":
                return (fates.of_record(text, pending.subject),)
            case "hangup":
                return (fates.of_hangup(text),)
            case "ask":
                return fates.of_ask(text)
            case "kept":
                return (fates.of_kept(text, pending.subject),)
            case "stop" | "stop_record" | "own":
                return ()

    def _question(self, kind: Kind, channel: str, now: float) -> Outgoing:
        return self._enter(kind, channel, "", dump(channel), now)

    def _follow(self, asked: _Pending, kind: Kind, now: float) -> tuple[Outgoing, ...]:
        """What follows an answer. Of the last command the answer counts."""
        *before, last = asked.then
        return (
            *(self.own(command, now) for command in before),
            self._enter(kind, asked.channel, asked.subject, last, now),
        )

    def _enter(
        self,
        kind: Kind,
        channel: str,
        subject: str,
        command: Command,
        now: float,
        then: tuple[Command, ...] = (),
    ) -> Outgoing:
        self._last += 1
        settings = self._settings
        timeout = settings.originate_timeout if kind == "dial" else settings.request_timeout
        self._pending[self._last] = _Pending(kind, channel, subject, now + timeout, then)
        if kind == "dial":
            self._dials[channel] = self._last
        return Outgoing(self._last, command)

    def _drop(self, number: int) -> _Pending | None:
        pending = self._pending.pop(number, None)
        if pending is not None and self._dials.get(pending.channel) == number:
            del self._dials[pending.channel]
        return pending


def unsent(request: Request, why: str) -> tuple[Told, ...]:
    """What to tell when a request never came into the table."""
    kind, subject = _kind(request)
    return _tell(request.channel, (fates.of_loss(kind, subject, "not_sent", why),)).told


def _then(request: Request, settings: EslSettings) -> tuple[Command, ...]:
    match request:
        case Bridge():
            return bridging(request.channel, request.other, settings)
        case StopRecording():
            return (file_exists(path_of(settings, request.recording)),)
        case _:
            return ()


def _kind(request: Request) -> tuple[Kind, str]:
    match request:
        case Dial():
            return "dial", ""
        case PlaySounds() | Ringback():
            return "play", request.playback
        case StopPlay():
            return "stop", request.playback
        case StopRecording():
            return "stop_record", request.recording
        case DropBridge():
            return "stop", ""
        case Bridge():
            return "bridged", request.other
        case Record():
            return "record", request.recording
        case Hangup():
            return "hangup", ""
        case Ask():
            return "ask", ""


def _stage(pending: _Pending) -> Stage:
    return "unconfirmed" if pending.sent else "not_sent"


def _tell(channel: str, events: tuple[CallEvent | None, ...]) -> Outcome:
    return Outcome(tuple((channel, event) for event in events if event is not None))
