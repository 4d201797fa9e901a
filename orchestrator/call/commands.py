"""What we can ask of a PBX, in words that belong to no PBX.

The call machine returns these; an adapter carries them out. A command names its channel and playback by
ids that we chose, so that an answer, an event and a recovery all speak of the same thing. What is to be
played is not in here: the machine never sees the code. The driver adds the sounds on the way out.
"""

import msgspec


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


Command = Originate | Play | StopPlay | Hangup | Ask
