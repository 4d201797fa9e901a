"""The requests under way: who asked what, how far it came, until when an answer is awaited. No I/O, no clock.

A request is entered here before its frame leaves, so an answer or event that overtakes it finds it known.
"""

import msgspec

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import CallEvent, Stage
from orchestrator.pbx.ari import fates
from orchestrator.pbx.ari.fates import Answer, Kind
from orchestrator.pbx.ari.requests import RestCall, build
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.ari.translate import Told
from orchestrator.pbx.port import Dial, PlaySounds, Request


class Full(Exception):
    """More requests are under way than `max_inflight` allows."""


class Outgoing(msgspec.Struct, frozen=True):
    """A request ready to leave, by the number under which its answer will come."""

    id: int
    call: RestCall


class Outcome(msgspec.Struct, frozen=True):
    """What to tell the sink, and what to send next."""

    told: tuple[Told, ...] = ()
    next: tuple[Outgoing, ...] = ()


class _Pending(msgspec.Struct):
    kind: Kind
    channel: str
    playback: str
    deadline: float
    sent: bool = False


NOTHING = Outcome()


class RequestTable:
    """The requests of one node. Times are seconds on any one monotonic clock."""

    def __init__(self, settings: AriSettings) -> None:
        self._settings = settings
        self._pending: dict[int, _Pending] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending)

    def submit(self, request: Request, now: float) -> Outgoing:
        """Enter a request. Raises `Unfit` or `Full`; then nothing was entered and nothing may be sent."""
        kind, playback = _kind(request)
        # Ending a call and asking after one must still go through when originates have filled the table.
        limit = self._settings.max_inflight * (1 if kind in ("dial", "play") else 2)
        if len(self._pending) >= limit:
            raise Full(f"{len(self._pending)} requests are under way")
        return self._enter(kind, request.channel, playback, build(request, self._settings), now)

    def leave(self, number: int) -> bool:
        """Note that the request is handed to the transport now. False: no longer wanted, do not send."""
        pending = self._pending.get(number)
        if pending is None:
            return False
        pending.sent = True
        return True

    def plays_to(self, number: int) -> str:
        """The channel that a play request is for; empty for any other request."""
        pending = self._pending.get(number)
        return pending.channel if pending is not None and pending.kind == "play" else ""

    def answer(self, number: int, answer: Answer, now: float) -> Outcome:
        """An answer came. One that nobody awaits (late, or twice) changes nothing."""
        pending = self._pending.get(number)
        if pending is None:
            return NOTHING
        if pending.kind == "dial" and answer.status == 409:
            del self._pending[number]
            return Outcome(next=(self._question("adopt", pending.channel, now),))
        told = self._fate(pending, answer)
        if not told and pending.kind == "ask":
            return NOTHING  # stays under way until its deadline asks again
        del self._pending[number]
        return _tell(pending.channel, told)

    def lose(self, number: int, stage: Stage, why: str) -> Outcome:
        """The transport says that no answer will come."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return NOTHING
        return _tell(pending.channel, (fates.of_loss(pending.kind, pending.playback, stage, why),))

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
        return Outcome(tuple(told))

    def dialling(self) -> set[str]:
        """Channels whose originate has no fate yet."""
        return {pending.channel for pending in self._pending.values() if pending.kind in ("dial", "adopt")}

    def _fate(self, pending: _Pending, answer: Answer) -> tuple[CallEvent | None, ...]:
        match pending.kind:
            case "dial":
                return (fates.of_dial(answer),)
            case "adopt":
                return fates.of_adopt(answer, self._settings.app)
            case "play":
                return (fates.of_play(answer, pending.playback),)
            case "stop":
                return ()
            case "hangup":
                return (fates.of_hangup(answer),)
            case "ask":
                event = fates.of_ask(answer, self._settings.app)
                return () if event is None else (event,)

    def _question(self, kind: Kind, channel: str, now: float) -> Outgoing:
        return self._enter(kind, channel, "", build(Ask(channel), self._settings), now)

    def _enter(self, kind: Kind, channel: str, playback: str, call: RestCall, now: float) -> Outgoing:
        self._last += 1
        settings = self._settings
        timeout = settings.originate_timeout if kind == "dial" else settings.request_timeout
        self._pending[self._last] = _Pending(kind, channel, playback, now + timeout)
        return Outgoing(self._last, call)


def unsent(request: Request, why: str) -> tuple[Told, ...]:
    """What to tell when a request never came into the table."""
    kind, playback = _kind(request)
    return _tell(request.channel, (fates.of_loss(kind, playback, "not_sent", why),)).told


def _kind(request: Request) -> tuple[Kind, str]:
    match request:
        case Dial():
            return "dial", ""
        case PlaySounds():
            return "play", request.playback
        case StopPlay():
            return "stop", request.playback
        case Hangup():
            return "hangup", ""
        case Ask():
            return "ask", ""


def _stage(pending: _Pending) -> Stage:
    return "unconfirmed" if pending.sent else "not_sent"


def _tell(channel: str, events: tuple[CallEvent | None, ...]) -> Outcome:
    return Outcome(tuple((channel, event) for event in events if event is not None))
