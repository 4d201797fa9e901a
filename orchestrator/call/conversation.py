"""A callback's state: two legs, what they are doing together, and the clocks that get that on.

Each leg is a call of its own (state.py) and knows nothing of the other. A conversation has the id of its
first leg, and offers what a call does to whoever drives it or writes its CDR.
"""

from enum import StrEnum
from math import ceil
from typing import Final, Literal, NamedTuple

import msgspec

from orchestrator.call.commands import Command, Commit
from orchestrator.call.events import Second
from orchestrator.call.facts import Fact, Over
from orchestrator.call.state import Call, State

TEXT: Final = 1
"""Heard by the caller before the callee is rung."""
ANNOUNCEMENT: Final = 2
"""Heard by both before the recording begins."""
WARNING: Final = 3
"""Heard some seconds before the longest duration is reached."""
BUSY: Final = 4
"""Heard by the caller when the callee is busy, or rejects the call."""
NO_ANSWER: Final = 5
"""Heard by the caller when the callee does not answer."""
FAILED: Final = 6
"""Heard by the caller when the two could not be connected for any other reason."""
PLAYS: Final = 6
"""How many plays a callback's script has."""

BRIDGE_TIMEOUT: Final = 5.0
"""Seconds in which the PBX has to connect the two."""
RECORD_START_TIMEOUT: Final = 5.0
"""Seconds in which a recording has to begin."""
RECORDING_GRACE: Final = 5.0
"""Seconds after the end in which the PBX can tell what became of the recording."""
LEG_SLACK: Final = 60.0
"""Seconds that a leg may last beyond all that is planned for it, should everything else that ends it fail."""


class Phase(StrEnum):
    """What the two legs are doing together."""

    CALLER = "caller"
    """The caller is rung, answers and hears the text."""
    CALLEE = "callee"
    """The callee is rung; the caller hears ringback."""
    JOINING = "joining"
    """Both have answered, and the PBX was asked to connect them."""
    ANNOUNCING = "announcing"
    """They are connected, and hear that they will be recorded."""
    TALKING = "talking"
    TELLING = "telling"
    """The caller hears why there is nobody to talk to."""
    CLOSING = "closing"
    """What is left of the two is being hung up."""
    OVER = "over"


class Recording(StrEnum):
    """What is known of the recording."""

    NONE = "none"
    ASKED = "asked"
    RUNNING = "running"
    KEPT = "kept"
    FAILED = "failed"


Ending = Literal["caller", "callee", "cancel", "max_duration", "not_connected"]
"""What ended a conversation: one of its legs, or one of our own reasons."""


def second_leg(call_id: str) -> str:
    """The channel id of the second leg of the callback `call_id`."""
    return f"{call_id}-to"


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one callback. Times are seconds since the epoch."""

    id: str
    caller: Call
    callee: Call
    phase: Phase = Phase.CALLER
    second: Second | None = None
    max_duration: float = 0.0
    rung: bool = False
    """Whether the originate of the callee was asked for."""
    play: int = 0
    """Which play is on, or was last; 0 for the ringback. The text is the caller's leg's own affair."""
    replays: int = 0
    recording: Recording = Recording.NONE
    ending: Ending | None = None
    connected_at: float | None = None
    parted_at: float | None = None
    ended_at: float | None = None
    caller_over: Over | None = None
    callee_over: Over | None = None
    clocks: dict[str, float] = {}
    """The conversation's own timers."""

    @property
    def playback(self) -> str:
        """The id of the conversation's own playback that is on, or was last."""
        return f"{self.id}-{self.play or 'ringback'}" + (f"r{self.replays}" if self.replays else "")

    @property
    def longest(self) -> int:
        """The longest that a recording can last, in seconds."""
        return ceil(self.max_duration) + 1

    def seconds(self, play: int) -> int:
        """How long a play may last; 0 for one that the script does not have."""
        known = self.second.play_seconds if self.second is not None else ()
        return known[play - 1] if play <= len(known) else 0

    # ── what a call offers ──

    @property
    def state(self) -> State:
        """The caller's leg's; `ENDED` when all is over, and not before."""
        if self.phase is Phase.OVER:
            return State.ENDED
        return State.HANGING_UP if self.caller.state is State.ENDED else self.caller.state

    @property
    def timers(self) -> dict[str, float]:
        """All timers: those of the legs as `caller:ring` and `callee:ring`, our own as they are."""
        legs = (("caller", self.caller), ("callee", self.callee))
        of_legs = {f"{name}:{timer}": at for name, leg in legs for timer, at in leg.timers.items()}
        return {**of_legs, **self.clocks}

    @property
    def pbx(self) -> str:
        """The node that dials both."""
        return self.caller.pbx

    @property
    def caller_id(self) -> str | None:
        """The number that the caller is shown."""
        return self.caller.caller_id

    @property
    def planned_at(self) -> float | None:
        """When the caller was to be dialled."""
        return self.caller.planned_at

    @property
    def dialed_at(self) -> float | None:
        """When the caller was dialled."""
        return self.caller.dialed_at

    @property
    def ringing_at(self) -> float | None:
        """When the caller's phone rang."""
        return self.caller.ringing_at

    @property
    def answered_at(self) -> float | None:
        """When the caller answered."""
        return self.caller.answered_at

    @property
    def collected(self) -> int:
        """How many keys were collected: a callback asks for none."""
        return 0


def new_conversation(call_id: str) -> Conversation:
    """A callback before its intent to dial."""
    return Conversation(
        call_id, Call(id=call_id, leg="caller", hold=True), Call(id=second_leg(call_id), hold=True)
    )


class Turn(NamedTuple):
    """What an event makes of a conversation."""

    conversation: Conversation
    commands: tuple[Command | Commit, ...] = ()
    facts: tuple[Fact, ...] = ()

    def then(self, more: "Turn") -> "Turn":
        """This, and after it what `more` made of its conversation."""
        return Turn(more.conversation, self.commands + more.commands, self.facts + more.facts)
