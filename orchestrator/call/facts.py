"""What has become true of a call: what the machine tells the world.

Notifications, CDRs and the live display are all made from these, so they can never disagree.
"""

from typing import Literal

import msgspec

from orchestrator.call.outcome import Outcome

HungUpBy = Literal["callee", "orchestrator", "network"]


class Dialing(msgspec.Struct, frozen=True, gc=False, tag="dialing"):
    """The PBX accepted the originate."""

    at: float


class Rings(msgspec.Struct, frozen=True, gc=False, tag="ringing"):
    """The far end is alerted, or sends early media."""

    at: float
    early_media: bool


class Answer(msgspec.Struct, frozen=True, gc=False, tag="answered"):
    """Answered. `ring_seconds` from the first ringing, 0 when none was signalled."""

    at: float
    ring_seconds: float


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


class Over(msgspec.Struct, frozen=True, gc=False, tag="over"):
    """The call is over. `certain` is false when we cannot know whether a phone rang, or whether the callee is
    still on the line: then nothing is dialled again, because a duplicate call is worse than a missed one."""

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


Fact = Dialing | Rings | Answer | PlayBegan | PlayDone | Pressed | Collected | Undialed | Over
