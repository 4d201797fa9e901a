"""The port: what every PBX adapter keeps, so that the worker need not know which PBX it drives.

Two directions, neither of which waits. `send` hands a request to the adapter and returns at once; whatever
becomes of it comes back as an event. `Sink` takes events from the adapter's reader; it only queues them.

A request's fate is always one of three, and always told for an originate: the PBX answered (`Accepted`,
`Refused`), the request never left (`OriginateLost("not_sent")`), or it left and nobody knows
(`OriginateLost("unconfirmed")`).
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

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
from orchestrator.call.events import CallEvent


class Dial(msgspec.Struct, frozen=True, gc=False):
    """An originate, ready for the wire."""

    channel: str
    number: str
    """E.164 with its plus, digits otherwise; checked again before it goes into a dial string."""
    caller_id: str | None
    ring_timeout: float


class PlaySounds(msgspec.Struct, frozen=True, gc=False):
    """One playback of several sounds, one after another.

    `sounds` are library ids such as `en/digits/4`. They spell the code, so this is never printed.
    """

    channel: str
    playback: str
    sounds: tuple[str, ...]
    both: bool = False
    """To both sides of the channel's bridge, not to the channel alone."""

    def __repr__(self) -> str:
        return (
            f"PlaySounds(channel={self.channel!r}, playback={self.playback!r}, sounds=<{len(self.sounds)}>)"
        )


Request = (
    Dial | PlaySounds | Ringback | StopPlay | Bridge | DropBridge | Record | StopRecording | Hangup | Ask
)


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One event of one channel, and when our reader saw it (seconds since the epoch)."""

    pbx: str
    channel: str
    event: CallEvent
    at: float


class Link(msgspec.Struct, frozen=True, gc=False):
    """The connection to a PBX came up (after reconciliation was asked for) or went down, with the reason."""

    pbx: str
    up: bool
    at: float
    reason: str = ""


Sink = Callable[[Signal | Link], None]
"""Takes what the reader decoded. Never blocks, never raises."""


class SoundCheck(msgspec.Struct, frozen=True, gc=False):
    """Which of the sounds asked about the PBX can play, and which not."""

    missing: tuple[str, ...]
    checked: int


class Pbx(Protocol):
    """A connection to one PBX node. Built with a `Sink`; `run` keeps it connected until cancelled."""

    @property
    def name(self) -> str:
        """The node's name in the configuration."""

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""

    async def run(self) -> None:
        """Connect, read, reconnect with back-off, until cancelled. Raises `PbxConfigError` for faults that
        waiting does not mend (wrong password, unknown app)."""

    def send(self, request: Request) -> None:
        """Hand over a request. Returns at once; what becomes of it comes through the sink."""

    async def reconcile(self, channels: Collection[str]) -> None:
        """Ask the PBX which of `channels` live and tell the sink `Alive` or `Gone` for each; hang up channels
        of our application that are not among them. The worker calls this after each `Link(up=True)`."""

    async def check_sounds(self, sounds: Sequence[str]) -> SoundCheck:
        """Ask the PBX which of these library ids it can play."""

    async def fetch_recording(self, recording: str) -> bytes:
        """The recording as a WAV file, whatever the PBX made it as. Needs no `run`.

        Raises `RecordingNotFound`, or `PbxUnreachable` when the PBX cannot be asked now.
        """

    async def delete_recording(self, recording: str) -> None:
        """Delete the recording from the PBX; one that is not there is no error. Needs no `run`.

        Raises `PbxUnreachable`.
        """
