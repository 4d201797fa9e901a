"""The requests under way: who asked what, how far it came, until when an answer is awaited. No I/O, no clock.

A request is entered here before its frame leaves, so an answer or event that overtakes it finds it known.
"""

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
from orchestrator.pbx.ari import fates, two_legs
from orchestrator.pbx.ari.fates import Answer, Kind, Step
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
    dials: bool = False
    """An originate, or what must not overtake one: asked after a channel that is still to be made, Asterisk
    would say that there is none."""


class Outcome(msgspec.Struct, frozen=True):
    """What to tell the sink, and what to send next."""

    told: tuple[Told, ...] = ()
    next: tuple[Outgoing, ...] = ()


class _Pending(msgspec.Struct):
    kind: Kind
    request: Request
    call: RestCall
    deadline: float
    sent: bool = False
    stop: StopPlay | None = None
    """Of a play that is not answered: what is to stop it then."""


NOTHING = Outcome()


class RequestTable:
    """The requests of one node. Times are seconds on any one monotonic clock."""

    def __init__(self, settings: AriSettings) -> None:
        self._settings = settings
        self._pending: dict[int, _Pending] = {}
        self._dials: dict[int, str] = {}
        """The channels of originates that Asterisk may still have before it, also past their deadline."""
        self._last = 0

    def __len__(self) -> int:
        return len(self._pending)

    def hold(self, stop: StopPlay) -> bool:
        """Whether the stop waits, because its playback is only just asked for; it then leaves by itself.

        Over HTTP it could overtake the play, find nothing to stop, and leave a ringing tone on for ever.
        """
        for pending in self._pending.values():
            request = pending.request
            if isinstance(request, PlaySounds | Ringback) and request.playback == stop.playback:
                pending.stop = stop
                return True
        return False

    def submit(self, request: Request, now: float) -> Outgoing:
        """Enter a request. Raises `Unfit` or `Full`; then nothing was entered and nothing may be sent."""
        kind = _kind(request)
        # Ending a call and asking after one must still go through when originates have filled the table.
        limit = self._settings.max_inflight * (1 if kind in ("dial", "play") else 2)
        if len(self._pending) >= limit:
            raise Full(f"{len(self._pending)} requests are under way")
        return self._enter(kind, request, build(request, self._settings), now)

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
        return pending.request.channel if pending is not None and pending.kind == "play" else ""

    def answer(self, number: int, answer: Answer, now: float) -> Outcome:
        """An answer came. One that nobody awaits (late, or twice) tells nothing."""
        self._dials.pop(number, None)
        pending = self._pending.get(number)
        if pending is None:
            return NOTHING
        step = self._fate(pending, answer)
        if step.open:
            return NOTHING  # stays under way until its deadline asks again
        del self._pending[number]
        return self._then_stop(pending, self._take(pending.request, step, now), now)

    def lose(self, number: int, stage: Stage, why: str) -> Outcome:
        """The transport says that no answer will come."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return NOTHING
        self._dials.pop(number, None)
        step = _loss(pending.kind, pending.request, stage, why)
        outcome = self._take(pending.request, step, pending.deadline)
        return outcome if stage == "not_sent" else self._then_stop(pending, outcome, pending.deadline)

    def expire(self, now: float) -> Outcome:
        """End what is past its deadline. A question past it is asked again."""
        due = [number for number, pending in self._pending.items() if pending.deadline <= now]
        told: list[Told] = []
        again: list[Outgoing] = []
        for number in due:
            pending = self._pending[number]
            dialled = self._dials.get(number)
            lost = self.lose(number, _stage(pending), "no answer in time")
            if dialled is not None and pending.sent:
                self._dials[number] = dialled  # Asterisk may come to it yet
            told += lost.told
            again += lost.next
            if pending.kind == "ask":
                again.append(self._enter("ask", pending.request, pending.call, now))
        return Outcome(tuple(told), tuple(again)) if due else NOTHING

    def lose_all(self, why: str) -> Outcome:
        """The connection is gone, and with it every answer that was still to come. Questions that are to be
        asked on the next one stay, until it has been `resumed`."""
        told: list[Told] = []
        self._dials.clear()
        for number in list(self._pending):
            told += self.lose(number, _stage(self._pending[number]), why).told
        return Outcome(tuple(told))

    def resumed(self, now: float) -> Outcome:
        """There is a connection again: what is left to be asked."""
        left = list(self._pending.items())
        self._pending.clear()
        return Outcome(next=tuple(self._enter(each.kind, each.request, each.call, now) for _, each in left))

    def dialling(self) -> set[str]:
        """Channels whose originate has no fate yet."""
        return {
            pending.request.channel for pending in self._pending.values() if pending.kind in ("dial", "adopt")
        }

    def _fate(self, pending: _Pending, answer: Answer) -> Step:
        request, app = pending.request, self._settings.app
        match pending.kind, request:
            case "dial", Dial():
                if answer.status == 409:
                    return Step(asks=(("adopt", build(Ask(request.channel), self._settings)),))
                return Step((fates.of_dial(answer),))
            case "adopt", _:
                return Step(fates.of_adopt(answer, app))
            case "play", PlaySounds() | Ringback():
                return Step((fates.of_play(answer, request.playback),))
            case "hangup", _:
                return _told(fates.of_hangup(answer))
            case "ask", _:
                event = fates.of_ask(answer, app)
                return Step(open=True) if event is None else Step((event,))
            case "bridge", Bridge():
                return two_legs.of_bridge(request, answer)
            case "inside", Bridge():
                return two_legs.of_inside(request, answer)
            case "join", _:
                return two_legs.of_join(answer)
            case "joined", Bridge():
                return two_legs.of_joined(request, answer)
            case "record", Record():
                return two_legs.of_record(request, answer)
            case "live", Record():
                return two_legs.of_live(request, answer)
            case "stored", Record() | StopRecording():
                return two_legs.of_stored(request, answer)
            case "stop_recording", StopRecording():
                return two_legs.of_stop(request, answer)
            case _:  # what stops a playback or drops a bridge: whatever the answer, nothing is told
                return Step()

    def _then_stop(self, pending: _Pending, outcome: Outcome, now: float) -> Outcome:
        """What a request came to, and after it the stop that has waited for that."""
        if pending.stop is None:
            return outcome
        stop = self._enter("stop", pending.stop, build(pending.stop, self._settings), now)
        return Outcome(outcome.told, (*outcome.next, stop))

    def _take(self, request: Request, step: Step, now: float) -> Outcome:
        told = tuple((request.channel, event) for event in step.told)
        return Outcome(told, tuple(self._enter(kind, request, call, now) for kind, call in step.asks))

    def _enter(self, kind: Kind, request: Request, call: RestCall, now: float) -> Outgoing:
        self._last += 1
        settings = self._settings
        timeout = settings.originate_timeout if kind == "dial" else settings.request_timeout
        self._pending[self._last] = _Pending(kind, request, call, now + timeout)
        if kind == "dial":
            self._dials[self._last] = request.channel
        dials = kind == "dial" or (kind in ("hangup", "ask") and request.channel in self._dials.values())
        return Outgoing(self._last, call, dials)


def unsent(request: Request, why: str) -> tuple[Told, ...]:
    """What to tell when a request never came into the table."""
    step = _loss(_kind(request), request, "not_sent", why)
    return tuple((request.channel, event) for event in step.told)


def _loss(kind: Kind, request: Request, stage: Stage, why: str) -> Step:
    match request:
        case Bridge():
            return two_legs.lost_bridge(kind, request, stage, why)
        case Record() | StopRecording():
            return two_legs.lost_recording(kind, request, stage, why)
        case PlaySounds() | Ringback():
            return _told(fates.of_loss(kind, request.playback, stage, why))
        case _:
            return _told(fates.of_loss(kind, "", stage, why))


def _kind(request: Request) -> Kind:
    match request:
        case Dial():
            return "dial"
        case PlaySounds() | Ringback():
            return "play"
        case StopPlay():
            return "stop"
        case Bridge():
            return "bridge"
        case DropBridge():
            return "drop"
        case Record():
            return "record"
        case StopRecording():
            return "stop_recording"
        case Hangup():
            return "hangup"
        case Ask():
            return "ask"


def _stage(pending: _Pending) -> Stage:
    return "unconfirmed" if pending.sent else "not_sent"


def _told(event: CallEvent | None) -> Step:
    return Step() if event is None else Step((event,))
