"""What has become true of a call: what the machine tells the world.

Notifications, CDRs and the live display are all made from these, so they can never disagree.
"""

from typing import Literal

import msgspec

from orchestrator.call.outcome import Outcome

Leg = Literal["caller", "callee"]
"""Whose phone: a callback's first leg is the caller's; all others are the callee's."""

HungUpBy = Literal["caller", "callee", "orchestrator", "network"]


class Dialing(msgspec.Struct, frozen=True, gc=False, tag="dialing"):
    """The PBX accepted the originate."""

    at: float
    leg: Leg = "callee"


class Rings(msgspec.Struct, frozen=True, gc=False, tag="ringing"):
    """The far end is alerted, or sends early media."""

    at: float
    early_media: bool
    leg: Leg = "callee"


class Answer(msgspec.Struct, frozen=True, gc=False, tag="answered"):
    """Answered. `ring_seconds` from the first ringing, 0 when none was signalled."""

    at: float
    ring_seconds: float
    leg: Leg = "callee"


class PlayBegan(msgspec.Struct, frozen=True, gc=False, tag="play_began"):
    """The prompt began to play for the `play`-th time."""

    at: float
    play: int


class PlayDone(msgspec.Struct, frozen=True, gc=False, tag="play_done"):
    """The prompt was played whole for the `play`-th time."""

    at: float
    play: int


class Pressed(msgspec.Struct, frozen=True, gc=False, tag="pressed"):
    """The callee pressed a key while no digits were wanted. Which key is nobody's business."""

    at: float


class Collected(msgspec.Struct, frozen=True, gc=False, tag="collected"):
    """The keys pressed at item number `item` (from 1); `complete` when they were all that it asked for, or
    ended by its terminator."""

    at: float
    item: int
    digits: str
    complete: bool

    def __repr__(self) -> str:
        return f"Collected(item={self.item}, digits=<{len(self.digits)}>, complete={self.complete})"


class Undialed(msgspec.Struct, frozen=True, gc=False, tag="undialed"):
    """The originate never left us: nobody was rung, and the same attempt may be made again."""

    at: float


class Connected(msgspec.Struct, frozen=True, gc=False, tag="connected"):
    """The two legs of a callback hear each other."""

    at: float


class NotRecorded(msgspec.Struct, frozen=True, gc=False, tag="not_recorded"):
    """A callback that was to be recorded is not, and why; its people talk on."""

    at: float
    reason: str


class Over(msgspec.Struct, frozen=True, gc=False, tag="over"):
    """The call is over; of a callback, both legs are. `certain` is false when we cannot know whether a phone
    rang, or whether somebody is still on the line: then nothing is dialled again, because a duplicate call is
    worse than a missed one."""

    at: float
    outcome: Outcome
    reason: str
    cause: int | None
    sip_status: int | None
    ring_seconds: float
    talk_seconds: float
    plays_completed: int
    hung_up_by: HungUpBy | None
    certain: bool
    leg: Leg = "callee"
    """The leg that decided the outcome; `cause` and `sip_status` are its own."""
    recording: str | None = None
    """The name of the recording of a callback, where there is one."""


Fact = (
    Dialing
    | Rings
    | Answer
    | PlayBegan
    | PlayDone
    | Pressed
    | Collected
    | Undialed
    | Connected
    | NotRecorded
    | Over
)
