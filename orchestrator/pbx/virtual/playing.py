"""Clips being played, one after another, to whoever is to hear them."""

from collections.abc import Callable, Sequence

from orchestrator.audio.wav import SAMPLE_RATE
from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.hearing import Sounding
from orchestrator.pbx.virtual.timeline import Timeline, Timer, at_sample


class Playing:
    """Plays `clips` from `skip` seconds on. `sounds` and `silent` let each be heard; `over` is called when
    the last has ended by itself. All are told the time at which it is so: one clip begins at the very
    sample at which the one before has ended, however late or early a timer comes."""

    __slots__ = (
        "_clips",
        "_number",
        "_offset",
        "_over",
        "_silent",
        "_sounding",
        "_sounds",
        "_timeline",
        "_timer",
        "_until",
        "paused",
    )

    def __init__(
        self,
        timeline: Timeline,
        clips: Sequence[Clip],
        *,
        over: Callable[[float], None],
        sounds: Callable[[Sounding, float], None],
        silent: Callable[[Sounding, float], None],
        skip: float = 0.0,
    ) -> None:
        self._timeline = timeline
        self._clips = clips
        self._over = over
        self._sounds = sounds
        self._silent = silent
        self._number = 0
        self._offset = round(skip * SAMPLE_RATE)
        self._sounding: Sounding | None = None
        self._timer: Timer | None = None
        self._until = 0.0
        self.paused = False

    def start(self, at: float) -> None:
        """Begin with the first clip."""
        if self._clips:
            self._sound(at)
        else:
            self._over(at)

    def stop(self) -> None:
        """End it here. `over` is not called: whoever stops it knows."""
        self._number = len(self._clips)
        self._hush(self._timeline.now())

    def pause(self) -> None:
        """Keep still until `resume`."""
        if self._sounding is not None:
            now = at_sample(self._timeline.now())
            self._offset = self._sounding.position(now)
            self.paused = True
            self._hush(now)

    def resume(self) -> None:
        """Go on where it was."""
        if self.paused:
            self.paused = False
            self._sound(self._timeline.now())

    def move(self, seconds: float | None) -> None:
        """Go on so much later (or earlier) in the present clip; None: from its beginning."""
        if self._sounding is None:
            return
        now = at_sample(self._timeline.now())
        position = self._sounding.position(now)
        self._hush(now)
        self._offset = 0 if seconds is None else max(0, position + round(seconds * SAMPLE_RATE))
        self._sound(now)

    def _sound(self, at: float) -> None:
        at = at_sample(at)
        clip = self._clips[self._number]
        self._sounding = Sounding(clip, at, self._offset)
        self._sounds(self._sounding, at)
        self._until = at + max(0, clip.samples - self._offset) / SAMPLE_RATE
        self._timer = self._timeline.at(self._until, self._ended)

    def _ended(self) -> None:
        at = self._until
        self._hush(at)
        self._offset = 0
        self._number += 1
        if self._number < len(self._clips):
            self._sound(at)
        else:
            self._over(at)

    def _hush(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sounding is not None:
            self._silent(self._sounding, at)
            self._sounding = None
