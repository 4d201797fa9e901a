"""A call's state: where it stands, what is known of it, and the clocks that get it on."""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

import msgspec

from orchestrator.call.commands import Command
from orchestrator.call.events import Notice
from orchestrator.call.facts import Fact, Leg


class State(StrEnum):
    """Where a call stands."""

    NEW = "new"
    PLANNED = "planned"
    LOST = "lost"
    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    PLAYING = "playing"
    COLLECTING = "collecting"
    HELD = "held"
    """A leg of a callback that has heard what it was to hear alone."""
    HANGING_UP = "hanging_up"
    ENDED = "ended"


Why = Literal[
    "done",
    "callee",
    "pbx",
    "cancel",
    "ring_timeout",
    "max_duration",
    "play_failed",
    "not_ready",
    "not_confirmed",
    "other_leg",
]
"""Why a call is being ended."""

RING_GRACE: Final = 5.0
"""Seconds that the PBX gets beyond the ring time-out before we end the ringing ourselves."""
READY_TIMEOUT: Final = 5.0
"""Seconds from the answer until the channel must be ours."""
PLAY_START_TIMEOUT: Final = 5.0
"""Seconds from asking for a playback until it must have begun."""
PLAY_MARGIN: Final = 5.0
"""Seconds that a playback may last beyond the length of its sounds."""
SPARE_KEY: Final = 3.0
"""Seconds after a full input in which its terminator, pressed all the same, means nothing."""
HANGUP_RETRY: Final = 5.0
"""Seconds after which an unheard hang-up is asked for again."""
HANGUP_TRIES: Final = 6
"""How often, before the call is given up as ended."""
ASK_RETRY: Final = 2.0
"""Seconds between two questions after a lost originate."""
ASK_TRIES: Final = 15
"""How often the PBX is asked, before the call is given up."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one call. Times are seconds since the epoch."""

    id: str
    state: State = State.NEW
    pbx: str = ""
    number: str = ""
    caller_id: str | None = None
    plays: int = 0
    play_seconds: int = 0
    notice: Notice | None = None
    leg: Leg = "callee"
    hold: bool = False
    """A leg of a callback: held, not hung up, when its prompts are done."""
    ring_timeout: float = 30.0
    max_duration: float = 120.0
    planned_at: float | None = None
    dialed_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    play: int = 0
    replays: int = 0
    plays_completed: int = 0
    asked: int = 0
    """How often the present prompt was asked for again, by key or for want of one."""
    digits: str = ""
    """The keys pressed at the present prompt."""
    collected: int = 0
    """How many keys were collected in all."""
    spare: str = ""
    """The terminator of the last input that was full without it."""
    spare_until: float = 0.0
    """Until when a terminator still belongs to that input."""
    dial_status: str = ""
    why: Why | None = None
    tries: int = 0
    timers: dict[str, float] = {}

    @property
    def playback(self) -> str:
        """The id of the playback that is on, or was last."""
        return f"{self.id}-{self.play}" + (f"r{self.replays}" if self.replays else "")


class Step(NamedTuple):
    """What an event makes of a call."""

    call: Call
    commands: tuple[Command, ...] = ()
    facts: tuple[Fact, ...] = ()


def between(start: float | None, end: float) -> float:
    """Seconds from `start`, 0 when it never was or the clock stepped back."""
    return 0.0 if start is None else max(0.0, end - start)


def ring_timed_out(call: Call, now: float) -> bool:
    """Whether the ring time-out has passed by our own clock, give or take half a second."""
    started = call.dialed_at or call.planned_at
    return started is not None and now - started >= call.ring_timeout - 0.5
