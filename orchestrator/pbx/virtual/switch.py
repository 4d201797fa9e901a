"""The virtual switch: legs to callees that behave as their numbers say, on a clock that is an argument.

It knows no protocol. The face that made a leg is told what the far end does, and decides what becomes of
the leg.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from orchestrator.pbx.virtual.callees import KEY_LASTS, Callee, callee_of, key_times
from orchestrator.pbx.virtual.causes import NORMAL, cause_of
from orchestrator.pbx.virtual.clips import Clips
from orchestrator.pbx.virtual.hearing import Ear, Room, Sounding
from orchestrator.pbx.virtual.leg import Face, Leg
from orchestrator.pbx.virtual.playing import Playing
from orchestrator.pbx.virtual.timeline import Timeline

NETWORK_DELAY = 0.002
"""Seconds until the far end's first answer comes, as on a loopback."""


class Refusal(Exception):
    """The switch makes no leg. Each kind below says why."""


class IdTaken(Refusal):
    """A leg of this id lives."""


class TooManyLegs(Refusal):
    """The switch holds as many legs as it may."""


class TooFast(Refusal):
    """More legs were asked for within a second than the switch starts."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the switch takes at most. 0: no limit."""

    calls: int = 0
    per_second: int = 0


class Heard(msgspec.Struct, frozen=True):
    """A leg that is over, and what its callee heard."""

    id: str
    number: str
    caller: str
    answered_at: float | None
    ended_at: float
    cause: int
    keys: str
    ear: Ear | None


class Switch:
    """Legs by id. `keep_heard` is of how many legs, over or not, it is kept what the callee heard: 0 for
    none."""

    def __init__(
        self,
        timeline: Timeline,
        clips: Clips,
        *,
        callees: Mapping[str, Callee] | None = None,
        limits: Callable[[], Limits] = Limits,
        keep_heard: int = 0,
    ) -> None:
        self.timeline = timeline
        self.clips = clips
        self.legs: dict[str, Leg] = {}
        self.dialled = 0
        self.ended: OrderedDict[str, Heard] = OrderedDict()
        self._callees = callees or {}
        self._limits = limits
        self._keep_heard = keep_heard
        self._second = 0
        self._this_second = 0

    def dial(
        self,
        leg_id: str,
        number: str,
        caller: str,
        face: Face,
        *,
        timeout: float | None,
        unlimited: bool = False,
    ) -> Leg:
        """Make a leg and ring its callee. `timeout` is how long it may go unanswered; None: for ever.

        Raises `IdTaken`, `TooManyLegs`, `TooFast`.
        """
        leg = self.create(leg_id, number, caller, face, unlimited=unlimited)
        self.ring(leg, timeout)
        return leg

    def create(self, leg_id: str, number: str, caller: str, face: Face, *, unlimited: bool = False) -> Leg:
        """Make a leg; nothing is rung yet. Raises as `dial`."""
        if leg_id in self.legs:
            raise IdTaken(f"a leg {leg_id} lives")
        now = self.timeline.now()
        if not unlimited:
            self._admit(now)
        leg = Leg(leg_id, number, caller, callee_of(number, self._callees), face, now)
        self.legs[leg_id] = leg
        self.dialled += 1
        return leg

    def ring(self, leg: Leg, timeout: float | None) -> None:
        """Ring its callee."""
        now = self.timeline.now()
        if timeout is not None and timeout > 0:
            leg.timeout = self.timeline.at(now + timeout, lambda: self._timed_out(leg))
        leg.timer = self.timeline.at(now + NETWORK_DELAY, lambda: self._alert(leg))

    def end(self, leg: Leg, cause: int) -> None:
        """The leg is over: everything that was to come of it does not."""
        if not leg.alive:
            return
        now = self.timeline.now()
        leg.state = "over"
        leg.ended_at = now
        leg.cause = cause
        for timer in (leg.timer, leg.timeout):
            if timer is not None:
                timer.cancel()
        leg.timer = leg.timeout = None
        if leg.speech is not None:
            leg.speech.stop()
            leg.speech = None
        self.leave(leg)
        if self.legs.get(leg.id) is leg:
            del self.legs[leg.id]
        if self._keep_heard:
            self._remember(leg, now)

    def forget(self) -> None:
        """Everything is forgotten at once and nobody is told, as when the switch is killed."""
        for leg in list(self.legs.values()):
            self.end(leg, 0)

    # ── what a callee may be made to do ──

    def hang_up_callee(self, leg: Leg, cause: int = NORMAL) -> None:
        """The callee hangs up, or refuses when it has not answered."""
        if leg.alive and leg.state == "up":
            leg.face.left(leg, cause)
        elif leg.alive:
            leg.face.refused(leg, cause, cause_of(cause).sip)

    def press(self, leg: Leg, keys: str) -> None:
        """The callee presses these keys now."""
        for key in keys:
            if leg.state == "up":
                leg.face.pressed(leg, key, KEY_LASTS)

    def answer(self, leg: Leg) -> None:
        """The callee answers now."""
        if leg.state in ("new", "ringing", "early"):
            self._answer(leg)

    # ── bridges ──

    def enter(self, leg: Leg, room: Room) -> None:
        """Leave whatever bridge it is in, and enter this one."""
        self.leave(leg)
        now = self.timeline.now()
        leg.room = room
        for ear in (leg.ear or Ear(now), *(leg.monitors or ())):
            room.enter(leg, ear, now)
        if leg.voice is not None:
            room.begin(leg.voice, leg, now)

    def leave(self, leg: Leg) -> None:
        """Leave the bridge that it is in, if any."""
        if leg.room is not None:
            leg.room.leave(leg, self.timeline.now())
            leg.room = None

    def listen(self, leg: Leg) -> Ear:
        """An ear for what the callee says from now on."""
        now = self.timeline.now()
        ear = Ear(now)
        if leg.listeners is None:
            leg.listeners = []
        leg.listeners.append(ear)
        if leg.voice is not None:
            ear.begin(leg.voice, now)
        return ear

    def monitor(self, leg: Leg) -> Ear:
        """An ear for both directions from now on."""
        ear = self.listen(leg)
        if leg.monitors is None:
            leg.monitors = []
        leg.monitors.append(ear)
        if leg.room is not None:
            leg.room.enter(leg, ear, self.timeline.now())
        return ear

    def stop_listening(self, leg: Leg, ear: Ear) -> None:
        """An ear of this leg has heard enough."""
        ear.close(self.timeline.now())
        for ears in (leg.listeners, leg.monitors):
            if ears is not None and ear in ears:
                ears.remove(ear)

    # ── the callee's own course ──

    def _admit(self, now: float) -> None:
        limits = self._limits()
        if limits.calls and len(self.legs) >= limits.calls:
            raise TooManyLegs(f"{limits.calls} legs live")
        if int(now) != self._second:
            self._second, self._this_second = int(now), 0
        if limits.per_second and self._this_second >= limits.per_second:
            raise TooFast(f"more than {limits.per_second} legs a second")
        self._this_second += 1

    def _alert(self, leg: Leg) -> None:
        callee = leg.callee
        if callee.cause is not None:
            leg.timer = None
            leg.face.refused(leg, callee.cause, callee.sip_status or cause_of(callee.cause).sip)
            return
        wait = 0.0
        if callee.rings is not None:
            leg.state, wait = "ringing", callee.rings
            leg.face.rang(leg)
        elif callee.early_media is not None:
            leg.state, wait = "early", callee.early_media
            leg.face.sounded(leg)
        if not leg.alive:
            return
        if not callee.answers:
            leg.timer = None
        elif wait:
            leg.timer = self.timeline.at(self.timeline.now() + wait, lambda: self._answer(leg))
        else:
            self._answer(leg)

    def _answer(self, leg: Leg) -> None:
        for timer in (leg.timer, leg.timeout):
            if timer is not None:
                timer.cancel()
        leg.timer = leg.timeout = None
        now = self.timeline.now()
        leg.state = "up"
        leg.answered_at = now
        if self._keep_heard:
            leg.ear = Ear(now)
        callee = leg.callee
        if callee.hangs_up is not None:
            leg.timer = self.timeline.at(now + callee.hangs_up, lambda: self.hang_up_callee(leg))
        if callee.presses:
            self._plan_keys(leg, key_times(callee))
        leg.face.answered(leg)
        if callee.says and leg.alive:
            self._speak(leg)

    def _plan_keys(self, leg: Leg, keys: list[tuple[float, str]]) -> None:
        """One key after another; never more than one timer for a leg's keys."""
        (after, key), *rest = keys
        answered = leg.answered_at or 0.0

        def press() -> None:
            if leg.alive:
                if rest:
                    self._plan_keys(leg, rest)
                leg.face.pressed(leg, key, KEY_LASTS)

        timer = self.timeline.at(answered + after, press)
        if leg.callee.hangs_up is None:
            leg.timer = timer

    def _speak(self, leg: Leg) -> None:
        """The callee says what it has to say, and says it again if it is one who does."""
        found = (self.clips.find(name) for name in leg.callee.says.split("&"))
        clips = [clip for clip in found if clip is not None]
        if clips:
            leg.speech = Playing(
                self.timeline,
                clips,
                over=lambda at: self._said(leg, at),
                sounds=lambda voice, at: self._voice(leg, voice, at),
                silent=lambda voice, at: self._hush(leg, voice, at),
            )
            leg.speech.start(self.timeline.now())

    def _said(self, leg: Leg, at: float) -> None:
        leg.speech = None
        if leg.callee.says_again is not None:
            self.timeline.at(at + leg.callee.says_again, lambda: self._speak(leg) if leg.alive else None)

    def _voice(self, leg: Leg, voice: Sounding, at: float) -> None:
        leg.voice = voice
        for ear in leg.listeners or ():
            ear.begin(voice, at)
        if leg.room is not None:
            leg.room.begin(voice, leg, at)

    def _hush(self, leg: Leg, voice: Sounding, at: float) -> None:
        for ear in leg.listeners or ():
            ear.finish(voice, at)
        if leg.room is not None:
            leg.room.finish(voice, at)
        leg.voice = None

    def _timed_out(self, leg: Leg) -> None:
        leg.timeout = None
        if leg.alive and leg.state != "up":
            leg.face.timed_out(leg)

    def _remember(self, leg: Leg, now: float) -> None:
        if leg.ear is not None:
            leg.ear.close(now)
        self.ended.pop(leg.id, None)
        self.ended[leg.id] = Heard(
            leg.id, leg.number, leg.caller, leg.answered_at, now, leg.cause, leg.heard_keys, leg.ear
        )
        while len(self.ended) > self._keep_heard:
            self.ended.popitem(last=False)
