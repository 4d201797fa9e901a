"""All that the ARI face holds: applications, channels, bridges, playbacks and recordings, over one switch."""

from random import Random

from orchestrator.pbx.virtual.ari.apps import Apps
from orchestrator.pbx.virtual.ari.bridge import Bridge
from orchestrator.pbx.virtual.ari.channel import Channel
from orchestrator.pbx.virtual.ari.media import Media, media_of
from orchestrator.pbx.virtual.ari.playback import Playback
from orchestrator.pbx.virtual.ari.recording import Recording, Stored
from orchestrator.pbx.virtual.switch import Switch

MAX_STORED = 100
"""Recordings that are kept; the oldest go."""


class AriFace:
    """The state of the face. `random` makes ids; `trunks` names the endpoints there are, none for any."""

    def __init__(
        self, switch: Switch, random: Random, *, trunks: tuple[str, ...] = (), context: str = "lab-callee"
    ) -> None:
        self.switch = switch
        self.random = random
        self.trunks = frozenset(trunks)
        self.context = context
        self.apps = Apps()
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, Bridge] = {}
        self.playbacks: dict[str, Playback] = {}
        self.recordings: dict[str, Recording] = {}
        self.stored: dict[str, Stored] = {}
        self.started_at = switch.timeline.now()
        self._channels_made = 0

    def next_number(self) -> int:
        """The number in the next channel's name."""
        self._channels_made += 1
        return self._channels_made - 1

    def find_media(self, uri: str, language: str) -> Media:
        """What a media URI stands for."""
        scheme, _, name = uri.partition(":")
        stored = self.stored.get(name) if scheme == "recording" else None
        return media_of(uri, self.switch.clips, language, None if stored is None else stored.clip())

    def forget_playback(self, playback: Playback) -> None:
        """A playback is over. Another of the same id may have taken its place."""
        if self.playbacks.get(playback.id) is playback:
            del self.playbacks[playback.id]

    def store(self, recording: Stored) -> None:
        """Keep a recording that is over."""
        self.stored.pop(recording.name, None)
        self.stored[recording.name] = recording
        while len(self.stored) > MAX_STORED:
            del self.stored[next(iter(self.stored))]

    def gone(self, channel: Channel) -> None:
        """A channel is over: nobody listens to it any more."""
        leg_id = channel.leg.id
        if self.channels.get(leg_id) is channel:
            del self.channels[leg_id]
        for app in self.apps.telling(channel=leg_id):
            if leg_id in app.channels:
                del app.channels[leg_id]
                self.apps.settle(app)

    def forget(self) -> None:
        """Everything is forgotten at once and nobody is told, as when Asterisk is killed."""
        for channel in self.channels.values():
            channel.running, channel.tasks = None, None
        self.channels.clear()
        self.bridges.clear()
        self.playbacks.clear()
        self.recordings.clear()
        self.apps.clear()
        self.started_at = self.switch.timeline.now()
