"""Playbacks: a list of media, played to a channel or a bridge, with the events that Asterisk gives."""

from collections.abc import Callable
from typing import Protocol

from orchestrator.pbx.virtual.ari.media import Media
from orchestrator.pbx.virtual.ari.shapes import Json
from orchestrator.pbx.virtual.hearing import Sounding
from orchestrator.pbx.virtual.playing import Playing
from orchestrator.pbx.virtual.timeline import Timeline

_LEAP = 3.0
"""Seconds that `forward` and `reverse` move: ARI's skipms by default."""


class Target(Protocol):
    """To whom is played."""

    @property
    def uri(self) -> str:
        """`channel:ID` or `bridge:ID`."""

    def hear(self, sounding: Sounding, at: float) -> None:
        """It begins to sound."""

    def unhear(self, sounding: Sounding, at: float) -> None:
        """It sounds no more."""

    def tell_of_playback(self, kind: str, shape: Callable[[], Json]) -> None:
        """Send an event to whoever listens to the target."""

    def played(self, playback: "Playback") -> None:
        """The playback is over, however it ended."""


class Playback:
    """One playback; also a task of its channel."""

    def __init__(
        self,
        timeline: Timeline,
        playback_id: str,
        media: list[str],
        target: Target,
        find: Callable[[str], Media],
        *,
        language: str = "en",
        skip: float = 0.0,
    ) -> None:
        self._timeline = timeline
        self.id = playback_id
        self._media = media
        self._language = language
        self._skip = skip
        self._target = target
        self._find = find
        self._number = 0
        self.stoppable = True
        """Whether Asterisk could stop what plays now."""
        self._playing: Playing | None = None
        self._over = False
        self.state = "queued"

    def shape(self) -> Json:
        """As `GET playbacks/{id}` shows it."""
        shape: Json = {"id": self.id, "media_uri": self._media[self._number]}
        if self._number + 1 < len(self._media):
            shape["next_media_uri"] = self._media[self._number + 1]
        shape["target_uri"] = self._target.uri
        shape["language"] = self._language
        shape["state"] = self.state
        return shape

    def start(self) -> None:
        """Play the first of the list."""
        self._item(self._timeline.now())

    def stop(self) -> None:
        """End it as done."""
        self._cease("done")

    def abort(self) -> None:
        """Its target is gone. One that had not begun tells of its beginning and of its failure [measured]."""
        if self.state == "queued":
            self._tell("PlaybackStarted", "playing")
        self._cease("failed")

    def control(self, operation: str) -> bool:
        """Pause, go on, begin again, or move. False when it does not play."""
        playing = self._playing
        if playing is None:
            return False
        match operation:
            case "pause":
                playing.pause()
                self.state = "paused"
            case "unpause":
                playing.resume()
                self._tell("PlaybackStarted", "playing")
            case "restart":
                playing.move(None)
            case "reverse":
                playing.move(-_LEAP)
            case _:
                playing.move(_LEAP)
        return True

    def pressed(self, key: str) -> None:
        """Keys do not end it."""

    def _item(self, at: float) -> None:
        """Play the one whose turn it is."""
        if self._over:
            return
        self._tell("PlaybackStarted", "playing")
        media = self._find(self._media[self._number])
        self.stoppable = media.stoppable
        if media.unknown:
            # Asterisk gives the whole list up here, and never tells of an end [measured].
            self._end()
        elif not media.clips:
            self._next(at, failed=True)
        else:
            self._playing = Playing(
                self._timeline,
                media.clips,
                over=lambda ended: self._next(ended, failed=False),
                sounds=self._target.hear,
                silent=self._target.unhear,
                skip=self._skip if self._number == 0 else 0.0,
            )
            self._playing.start(at)

    def _next(self, at: float, failed: bool) -> None:
        if self._number + 1 == len(self._media):
            self._tell("PlaybackFinished", "failed" if failed else "done")
            self._end()
            return
        # Whether it was played or was missing: the list goes on, and nothing tells which [measured].
        self._tell("PlaybackContinuing", "continuing")
        self._number += 1
        if failed:
            self._timeline.soon(lambda: self._item(at))
        else:
            self._item(at)

    def _cease(self, state: str) -> None:
        if self._over:
            return
        if self._playing is not None:
            self._playing.stop()
        self._tell("PlaybackFinished", state)
        self._end()

    def _end(self) -> None:
        self._over = True
        self._target.played(self)

    def _tell(self, kind: str, state: str) -> None:
        self.state = state
        self._target.tell_of_playback(kind, self.shape)
