"""A bridge as ARI shows it: who is in it, what is played into it, and who records it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.ari.shapes import Json, stamp
from orchestrator.pbx.virtual.hearing import Ear, Room, Sounding

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.ari.channel import Channel
    from orchestrator.pbx.virtual.ari.face import AriFace
    from orchestrator.pbx.virtual.ari.playback import Playback
    from orchestrator.pbx.virtual.ari.recording import Recording

KINDS = frozenset(
    {"mixing", "holding", "dtmf_events", "proxy_media", "video_sfu", "video_single", "sdp_label"}
)


class Bridge:
    """One bridge. It is also what a playback into it is played to."""

    def __init__(self, face: "AriFace", bridge_id: str, kind: str, name: str) -> None:
        self._face = face
        self.id = bridge_id
        self.holding = "holding" in kind.split(",")
        self._name = name
        self._created = stamp(face.switch.timeline.now())
        self.channels: list[Channel] = []
        self.playbacks: list[Playback] = []
        self.recordings: list[Recording] = []
        self.room = Room()

    @property
    def uri(self) -> str:
        return f"bridge:{self.id}"

    def shape(self) -> Json:
        """As `GET bridges/{id}` shows it."""
        if self.holding:
            technology = "holding_bridge"
        else:
            technology = ("simple_bridge", "simple_bridge", "native_rtp", "softmix")[
                min(len(self.channels), 3)
            ]
        return {
            "id": self.id,
            "technology": technology,
            "bridge_type": "holding" if self.holding else "mixing",
            "bridge_class": "stasis",
            "creator": "Stasis",
            "name": self._name,
            "channels": [channel.leg.id for channel in self.channels],
            "creationtime": self._created,
            "video_mode": "talker",
        }

    def add(self, channel: "Channel") -> None:
        """It enters, and leaves where it was: this bridge itself, too [measured]."""
        if channel.bridge is not None:
            channel.bridge.remove(channel)
        app = self._face.apps.get(channel.app)
        if app is not None:
            app.bridges[self.id] = None
        self.channels.append(channel)
        channel.bridge = self
        self.mix(channel)
        channel.tell("ChannelEnteredBridge", {"bridge": self.shape()})

    def mix(self, channel: "Channel") -> None:
        """It hears the others, and they hear it."""
        if not self.holding:
            self._face.switch.enter(channel.leg, self.room)

    def remove(self, channel: "Channel") -> None:
        """It leaves."""
        self.channels.remove(channel)
        channel.bridge = None
        self._face.switch.leave(channel.leg)
        channel.tell("ChannelLeftBridge", {"bridge": self.shape()})

    def destroy(self) -> None:
        """Everybody leaves, what is played fails, what is recorded is kept. (Asterisk does not always get to
        tell of the recording's end before the bridge's [measured].)"""
        for channel in list(self.channels):
            self.remove(channel)
        for playback in list(self.playbacks):
            playback.abort()
        for recording in list(self.recordings):
            recording.finish()
        now = self._face.switch.timeline.now()
        shape = self.shape()
        for app in self._face.apps.telling(bridge=self.id):
            app.send("BridgeDestroyed", now, {"bridge": shape})
            app.bridges.pop(self.id, None)
            self._face.apps.settle(app)

    # ── as what is played to, and recorded ──

    def hear(self, sounding: Sounding, at: float) -> None:
        """Everybody in it hears this."""
        self.room.begin(sounding, self, at)

    def unhear(self, sounding: Sounding, at: float) -> None:
        """No more."""
        self.room.finish(sounding, at)

    def tell_of_playback(self, kind: str, shape: Callable[[], Json]) -> None:
        """To whoever listens to the bridge."""
        self.tell(kind, "playback", shape)

    def tell(self, kind: str, what: str, shape: Callable[[], Json]) -> None:
        """Send an event about something in the bridge."""
        for app in self._face.apps.telling(bridge=self.id):
            if app.wants(kind):
                app.send(kind, self._face.switch.timeline.now(), {what: shape()})

    def played(self, playback: "Playback") -> None:
        """A playback is over."""
        self.playbacks.remove(playback)
        self._face.forget_playback(playback)

    def open_ear(self, recording: "Recording") -> Ear:
        """An ear for everything that sounds in it from now on."""
        now = self._face.switch.timeline.now()
        ear = Ear(now)
        self.room.enter(recording, ear, now)
        self.recordings.append(recording)
        return ear

    def tell_of_recording(self, kind: str, shape: Json) -> None:
        """To whoever listens to the bridge."""
        self.tell(kind, "recording", lambda: shape)

    def recorded(self, recording: "Recording") -> None:
        """A recording is over."""
        self.room.leave(recording, self._face.switch.timeline.now())
        self.recordings.remove(recording)
