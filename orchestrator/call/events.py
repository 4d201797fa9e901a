"""What a PBX can tell us, in words that belong to no PBX.

Adapters translate their wire's events into these; the call machine knows nothing else. Every event is
frozen, tagged for the journal, and carries no secret; none can be part of a cycle, hence `gc=False`. The time
at which it happened travels beside it.
"""

from typing import Literal

import msgspec

Stage = Literal["not_sent", "unconfirmed"]
"""How far a lost request came. `not_sent`: it never left, so asking again is safe.
`unconfirmed`: it left and no answer came, so the PBX must be asked what it did."""


class Event(msgspec.Struct, frozen=True, gc=False, tag_field="e", omit_defaults=True):
    """Anything that can happen to a call."""


class Collect(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The keys that an item of a notice asks for. Times in seconds."""

    max_digits: int
    timeout: float = 5.0
    """From the end of the prompt, and from each key."""
    terminator: str = "#"
    """The key that ends the input; empty for none."""
    replay_on: str = "1"
    """The key that, pressed first, has the prompt played again; empty for none."""
    max_replays: int = 2


class Gate(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The key to press before a notice says anything."""

    digit: str
    plays: int
    """How often it is asked for."""
    timeout: float = 5.0
    """Seconds that each asking waits after its prompt."""


class Notice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A notice as far as the machine knows it: for each item the keys it asks for, if any."""

    collects: tuple[Collect | None, ...]
    gate: Gate | None = None


class Second(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A callback's second leg, and what is done with the two. Seconds throughout."""

    number: str
    ring_timeout: float
    play_seconds: tuple[int, ...] = ()
    """How long each play of the callback's script may last, from play 1; 0, or left out, for one that it
    does not have."""
    caller_id: str | None = None
    record: bool = False
    warn_before: float = 0.0
    """How long before the longest duration is reached it is announced; 0 for never."""
    warn_to: Literal["caller", "callee", "both"] = "both"


# Our own side: what became of the requests we made.


class Planned(Event, frozen=True, gc=False, tag="planned"):
    """The intent to dial is durable. `pbx` is the node that will dial; `plays` how often the prompt plays.

    `play_seconds` is the longest prompt's length, rounded up so far that it tells nothing of the code.
    """

    pbx: str
    number: str
    plays: int
    play_seconds: int
    ring_timeout: float
    max_duration: float
    caller_id: str | None = None
    notice: Notice | None = None
    second: Second | None = None
    """Of a callback, whose `number` is the caller's. Its `plays` and `play_seconds` mean nothing, and its
    `max_duration` counts from when the two are connected."""


class Accepted(Event, frozen=True, gc=False, tag="accepted"):
    """The PBX took the originate: a channel of our id exists or existed."""


class Refused(Event, frozen=True, gc=False, tag="refused"):
    """The PBX answered that it will not originate: no channel was made, nobody's phone rang."""

    status: int
    reason: str


class OriginateLost(Event, frozen=True, gc=False, tag="originate_lost"):
    """No answer to the originate. Only the PBX knows; see `stage`."""

    stage: Stage


class PlayRefused(Event, frozen=True, gc=False, tag="play_refused"):
    """The PBX would not play (`status`, 0 when the request itself was lost)."""

    playback: str
    status: int
    reason: str


class HangupRefused(Event, frozen=True, gc=False, tag="hangup_refused"):
    """The PBX did not take our hang-up. With `gone` the channel no longer existed."""

    gone: bool
    reason: str = ""


# The PBX's side.


class Ringing(Event, frozen=True, gc=False, tag="ringing"):
    """The far end is being alerted (SIP 180), or sends sound before the answer (183, `early_media`)."""

    early_media: bool = False


class Dialed(Event, frozen=True, gc=False, tag="dialed"):
    """The PBX's own word for how its dial ended, e.g. `BUSY`. Evidence, not a verdict: the cause decides."""

    status: str


class Answered(Event, frozen=True, gc=False, tag="answered"):
    """The far end answered (SIP 200)."""


class Ready(Event, frozen=True, gc=False, tag="ready"):
    """The answered channel is ours to play to (Asterisk: StasisStart; FreeSWITCH: parked)."""


class PlayStarted(Event, frozen=True, gc=False, tag="play_started"):
    """The PBX has begun the playback of this id."""

    playback: str


class PlayFinished(Event, frozen=True, gc=False, tag="play_finished"):
    """The playback of this id is over. With `ok` false the PBX says that it failed."""

    playback: str
    ok: bool = True


class Digit(Event, frozen=True, gc=False, tag="digit"):
    """The callee pressed a key (RFC 4733): one of 0-9 * # A-D."""

    digit: str


class Bridged(Event, frozen=True, gc=False, tag="bridged"):
    """The two legs of a callback hear each other. Told of the caller's channel."""


class BridgeRefused(Event, frozen=True, gc=False, tag="bridge_refused"):
    """The PBX did not connect the legs (`status`, 0 when the request itself was lost)."""

    status: int
    reason: str


class RecordingStarted(Event, frozen=True, gc=False, tag="recording_started"):
    """The PBX records what the legs say to each other."""

    recording: str


class RecordingFinished(Event, frozen=True, gc=False, tag="recording_finished"):
    """The recording is over and lies on the PBX. With `ok` false there is none."""

    recording: str
    ok: bool = True
    reason: str = ""


class HangupRequested(Event, frozen=True, gc=False, tag="hangup_requested"):
    """Somebody asked to end the call; the channel still exists. `by_us`: from the PBX's own side, such as by
    our request; else the far end hung up."""

    by_us: bool
    cause: int = 0


class Ended(Event, frozen=True, gc=False, tag="ended"):
    """The channel is gone. `cause` is ITU-T Q.850 (0 unknown); `sip_status` where the PBX tells it."""

    cause: int
    sip_status: int | None = None


# What reconciliation finds when it asks the PBX which channels live.


class Alive(Event, frozen=True, gc=False, tag="alive"):
    """The channel lives. `up` when it is answered, `ready` when it is also ours to play to."""

    ringing: bool
    up: bool
    ready: bool


class Gone(Event, frozen=True, gc=False, tag="gone"):
    """The PBX has no such channel, and did not tell us how it ended."""


# The worker's side.


class CancelRequested(Event, frozen=True, gc=False, tag="cancel_requested"):
    """Somebody asked to end this job's call."""


class TimerFired(Event, frozen=True, gc=False, tag="timer"):
    """A timer that the machine asked for has run out."""

    timer: str


class OfCallee(Event, frozen=True, gc=False, tag="of_callee"):
    """An event of a callback's second leg; those of the first stand alone."""

    event: "LegEvent"


LegEvent = (
    Planned
    | Accepted
    | Refused
    | OriginateLost
    | PlayRefused
    | HangupRefused
    | Ringing
    | Dialed
    | Answered
    | Ready
    | PlayStarted
    | PlayFinished
    | Digit
    | Bridged
    | BridgeRefused
    | RecordingStarted
    | RecordingFinished
    | HangupRequested
    | Ended
    | Alive
    | Gone
    | CancelRequested
    | TimerFired
)
"""What can happen to one leg."""

CallEvent = LegEvent | OfCallee
"""What can happen to a call: all that a journal can hold."""
