"""What we can ask of a PBX, in words that belong to no PBX.

The call machine returns these; an adapter carries them out. A command names its channel and playback by
ids that we chose, so that an answer, an event and a recovery all speak of the same thing. What is to be
played is not in here: the machine never sees the code. The driver adds the sounds on the way out.
"""

import msgspec

from orchestrator.call.events import CallEvent


class Originate(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Ring `number`. `ring_timeout` in seconds, counted by the PBX from now."""

    channel: str
    number: str
    caller_id: str | None
    ring_timeout: float


class Play(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Play the prompt for the `play`-th time (from 1) under the id `playback`."""

    channel: str
    playback: str
    play: int


class Ringback(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Let the answered `channel` hear a ringing tone, as the playback of this id, until that is stopped.

    `PlayStarted` and `PlayRefused` tell of it, as of any playback.
    """

    channel: str
    playback: str


class Bridge(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Connect `channel` and `other`, both answered and ours, so that they hear each other.

    The bridge has the name of `channel`, the callback's first leg, and all that becomes of it is told of that
    one: `Bridged` or `BridgeRefused`. Asking for one that stands already changes nothing, and is `Bridged`.
    When either channel ends, the other one stays, and is ours to play to again.
    """

    channel: str
    other: str


class PlayBoth(msgspec.Struct, frozen=True, gc=False, tag=True):
    """As `Play`, to both sides of the bridge of `channel`."""

    channel: str
    playback: str
    play: int


class Record(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Record what is said in the bridge of `channel` as `recording`, for `longest` seconds at most.

    It ends by `StopRecording`, or with the bridge. A second request for a recording that runs is no error.
    """

    channel: str
    recording: str
    longest: int


class StopRecording(msgspec.Struct, frozen=True, gc=False, tag=True):
    """End the recording and keep it. One already over is no error."""

    channel: str
    recording: str


class DropBridge(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Take the bridge of `channel` away; whoever is still in it stays alive. None there is no error, and no
    event tells of it."""

    channel: str


class StopPlay(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Stop the playback of this id. One already over is no error, and no event tells of it."""

    channel: str
    playback: str


class Hangup(msgspec.Struct, frozen=True, gc=False, tag=True):
    """End the channel, whatever state it is in. A channel already gone is no error."""

    channel: str


class Ask(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Find out whether the channel lives; the answer comes as `Alive` or `Gone`."""

    channel: str


Command = (
    Originate
    | Play
    | PlayBoth
    | Ringback
    | StopPlay
    | Bridge
    | DropBridge
    | Record
    | StopRecording
    | Hangup
    | Ask
)


class Commit(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Not for the PBX: feed `then` as soon as the journal is durable up to the event that led to this.

    After a crash it is not asked for again; what becomes of a call whose `then` never came, the PBX tells.
    """

    then: CallEvent
