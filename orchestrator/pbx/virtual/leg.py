"""One leg: a call from the virtual switch to one callee, and what is known of it."""

from typing import TYPE_CHECKING, Protocol

from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.hearing import Ear, Room, Sounding
from orchestrator.pbx.virtual.playing import Playing
from orchestrator.pbx.virtual.timeline import Timer

if TYPE_CHECKING:
    from typing import Literal

    State = Literal["new", "ringing", "early", "up", "over"]


class Face(Protocol):
    """Whoever made a leg, and is told what happens to it. All are called with the leg in its new state."""

    def rang(self, leg: "Leg") -> None:
        """The far end alerts (SIP 180)."""

    def sounded(self, leg: "Leg") -> None:
        """The far end sends sound before its answer (SIP 183)."""

    def answered(self, leg: "Leg") -> None:
        """The far end answered (SIP 200)."""

    def pressed(self, leg: "Leg", key: str, seconds: float) -> None:
        """The callee held a key for so long."""

    def refused(self, leg: "Leg", cause: int, sip_status: int) -> None:
        """The far end will not take the call. The face ends the leg."""

    def left(self, leg: "Leg", cause: int) -> None:
        """The callee hung up. The face ends the leg."""

    def timed_out(self, leg: "Leg") -> None:
        """Nobody answered in time. The face ends the leg."""


class Leg:
    """A call to one callee. Slots, and nothing that is not needed: ten thousand of them live at once."""

    __slots__ = (
        "answered_at",
        "callee",
        "caller",
        "cause",
        "created_at",
        "ear",
        "ended_at",
        "face",
        "heard_keys",
        "id",
        "listeners",
        "monitors",
        "number",
        "room",
        "speech",
        "state",
        "timeout",
        "timer",
        "voice",
    )

    def __init__(
        self, leg_id: str, number: str, caller: str, callee: Callee, face: Face, created_at: float
    ) -> None:
        self.id = leg_id
        self.number = number
        self.caller = caller
        self.callee = callee
        self.face = face
        self.created_at = created_at
        self.state: State = "new"
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.cause = 0
        self.timer: Timer | None = None
        """What the callee does next."""
        self.timeout: Timer | None = None
        """When the ringing has lasted long enough."""
        self.ear: Ear | None = None
        """What the callee hears; None when nobody asked for it."""
        self.speech: Playing | None = None
        """What the callee says, sound after sound."""
        self.voice: Sounding | None = None
        """The sound of it that is heard now."""
        self.listeners: list[Ear] | None = None
        """Who records what the callee says."""
        self.monitors: list[Ear] | None = None
        """Who records both directions: what the callee says and what he hears. They are listeners as well."""
        self.room: Room | None = None
        """The bridge that it is in."""
        self.heard_keys = ""
        """Keys that were sent to the callee."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.state != "over"

    def hear(self, sounding: Sounding, now: float) -> None:
        """Something is played to this leg alone."""
        if self.ear is not None:
            self.ear.begin(sounding, now)
        for ear in self.monitors or ():
            ear.begin(sounding, now)

    def unhear(self, sounding: Sounding, now: float) -> None:
        """It is played no more."""
        if self.ear is not None:
            self.ear.finish(sounding, now)
        for ear in self.monitors or ():
            ear.finish(sounding, now)
