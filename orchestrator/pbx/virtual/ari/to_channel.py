"""A channel as what is played to, and as what is recorded."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.ari.shapes import Json
from orchestrator.pbx.virtual.hearing import Ear, Sounding

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.ari.channel import Channel
    from orchestrator.pbx.virtual.ari.face import AriFace
    from orchestrator.pbx.virtual.ari.playback import Playback
    from orchestrator.pbx.virtual.ari.recording import Recording


class ToChannel:
    """The channel's callee hears what is played, and what he says is recorded."""

    __slots__ = ("_channel", "_face")

    def __init__(self, face: "AriFace", channel: "Channel") -> None:
        self._face = face
        self._channel = channel

    @property
    def uri(self) -> str:
        return f"channel:{self._channel.leg.id}"

    def hear(self, sounding: Sounding, at: float) -> None:
        """The callee hears this, unless he is muted. Meanwhile he and those in a bridge with him do not hear
        each other [measured]."""
        if self._channel.bridge is not None:
            self._face.switch.leave(self._channel.leg)
        if self._channel.muted not in ("out", "both"):
            self._channel.leg.hear(sounding, at)

    def unhear(self, sounding: Sounding, at: float) -> None:
        """No more."""
        self._channel.leg.unhear(sounding, at)
        if self._channel.bridge is not None:
            self._channel.bridge.mix(self._channel)

    def tell_of_playback(self, kind: str, shape: Callable[[], Json]) -> None:
        """To whoever listens to the channel."""
        for app in self._face.apps.telling(channel=self._channel.leg.id):
            if app.wants(kind):
                app.send(kind, self._face.switch.timeline.now(), {"playback": shape()})

    def played(self, playback: "Playback") -> None:
        """A playback is over; the next task of the channel begins."""
        self._face.forget_playback(playback)
        self._channel.done(playback)

    def open_ear(self, recording: "Recording") -> Ear:
        """An ear for what the callee says."""
        return self._face.switch.listen(self._channel.leg)

    def tell_of_recording(self, kind: str, shape: Json) -> None:
        """To whoever listens to the channel."""
        for app in self._face.apps.telling(channel=self._channel.leg.id):
            app.send(kind, self._face.switch.timeline.now(), {"recording": shape})

    def recorded(self, recording: "Recording") -> None:
        """A recording is over; the next task of the channel begins."""
        self._channel.done(recording)
