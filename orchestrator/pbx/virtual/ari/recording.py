"""Recordings: of what a channel's callee says, or of a whole bridge; stored when they end, in memory only.

What is kept is a list of who sounded when; it becomes samples when the file is asked for.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

from orchestrator.pbx.virtual.ari.shapes import Json
from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.hearing import Ear
from orchestrator.pbx.virtual.timeline import Timer

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.ari.face import AriFace

FORMATS = frozenset({"wav", "ulaw", "alaw", "sln"})


class Stored(msgspec.Struct, frozen=True):
    """A recording that is over."""

    name: str
    format: str
    ear: Ear
    ended: float

    def clip(self) -> Clip:
        """What was recorded, mixed now."""
        pcm = self.ear.pcm(self.ended)
        return Clip("", len(pcm) // 2, pcm=pcm)

    def shape(self) -> Json:
        """As `GET recordings/stored/{name}` shows it."""
        return {"name": self.name, "format": self.format}


class Source(Protocol):
    """What is recorded."""

    @property
    def uri(self) -> str:
        """`channel:ID` or `bridge:ID`."""

    def open_ear(self, recording: "Recording") -> Ear:
        """Begin to listen."""

    def tell_of_recording(self, kind: str, shape: Json) -> None:
        """Send an event to whoever listens to the source."""

    def recorded(self, recording: "Recording") -> None:
        """It is over."""


class Recording:
    """A live recording; also a task of its channel."""

    def __init__(
        self, face: "AriFace", name: str, kind: str, source: Source, *, longest: int, ended_by: str
    ) -> None:
        self._face = face
        self.name = name
        self.format = kind
        self._source = source
        self._longest = longest
        self._ended_by = ended_by
        self._ear: Ear | None = None
        self._timer: Timer | None = None
        self.state = "queued"

    def shape(self) -> Json:
        """As `GET recordings/live/{name}` shows it."""
        return {"name": self.name, "format": self.format, "state": self.state, "target_uri": self._source.uri}

    def start(self) -> None:
        """Begin to record."""
        self.state = "recording"
        self._ear = self._source.open_ear(self)
        if self._longest > 0:
            timeline = self._face.switch.timeline
            self._timer = timeline.at(timeline.now() + self._longest, self.finish)
        self._source.tell_of_recording("RecordingStarted", self.shape())

    def finish(self, keep: bool = True) -> None:
        """It is over; kept unless it is to be discarded."""
        if self.state != "recording":
            return  # one that waits for its turn cannot be stopped; it begins all the same [measured]
        if self._timer is not None:
            self._timer.cancel()
        now = self._face.switch.timeline.now()
        seconds = 0
        self._face.recordings.pop(self.name, None)
        self.state = "done"
        if self._ear is not None:
            self._ear.close(now)
            seconds = int(now - self._ear.since)
            if keep:
                self._face.store(Stored(self.name, self.format, self._ear, now))
        self._source.tell_of_recording("RecordingFinished", {**self.shape(), "duration": seconds})
        self._source.recorded(self)

    def abort(self) -> None:
        """The channel hangs up: what was recorded stays; what had not begun begins and ends [measured]."""
        if self.state == "queued":
            self.start()
        self.finish()

    def pressed(self, key: str) -> None:
        """A key may end it."""
        if self._ended_by == "any" or key == self._ended_by:
            self.finish()
