"""A recording of a channel: both directions, mixed, from `uuid_record` or `record_session`.

What is kept is a list of who sounded when; it becomes samples when somebody asks, or at its end when the
virtual PBX has a folder for recordings and the path lies in it. FreeSWITCH writes wherever it is told.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.audio.wav import WavError, read_wav, write_wav
from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.timeline import Timer

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel
    from orchestrator.pbx.virtual.hearing import Ear

_HUNG_UP: Final = "success-silence"
_STOPPED: Final = "success-maxtime"
_FAILED: Final = "uri-failure"


class Recorded(msgspec.Struct, frozen=True):
    """A recording that is over."""

    ear: "Ear"
    until: float

    def pcm(self) -> bytes:
        """What was recorded, mixed now: 16-bit PCM at 8000 Hz."""
        return self.ear.pcm(self.until)


class Recording:
    """One that runs. `longest` in seconds, 0 for no limit."""

    def __init__(self, channel: "EslChannel", path: str, longest: int) -> None:
        self._channel = channel
        self.path = path
        self._longest = longest
        self._ear: Ear
        self._timer: Timer | None = None
        self._paused_at: float | None = None

    def start(self) -> None:
        """Begin."""
        face = self._channel.face
        self._ear = face.switch.monitor(self._channel.leg)
        if self._longest:
            timeline = face.switch.timeline
            self._timer = timeline.at(timeline.now() + self._longest, self._expired)
        self._channel.tell("RECORD_START", {"Record-File-Path": self.path})

    def parted(self) -> None:
        """The channel's bridge is no more. With RECORD_BRIDGE_REQ nothing is recorded from now on."""
        if self._channel.variables.get("RECORD_BRIDGE_REQ") == "true" and self._paused_at is None:
            self._paused_at = self._channel.face.now()
            self._channel.face.switch.stop_listening(self._channel.leg, self._ear)

    def finish(self) -> Recorded:
        """It is over."""
        channel, face = self._channel, self._channel.face
        if self._timer is not None:
            self._timer.cancel()
        if self._paused_at is None:
            face.switch.stop_listening(channel.leg, self._ear)
        recorded = Recorded(self._ear, face.now() if self._paused_at is None else self._paused_at)
        cause = _HUNG_UP if channel.hung_up else _STOPPED
        if face.recordings is not None and not _written(face.recordings, self.path, recorded):
            cause = _FAILED
        seconds = recorded.until - self._ear.since
        channel.variables["record_samples"] = str(int(seconds * 8000))
        channel.variables["record_seconds"] = str(int(seconds))
        channel.variables["record_ms"] = str(int(seconds * 1000))
        channel.variables["record_completion_cause"] = cause
        channel.tell("RECORD_STOP", {"Record-File-Path": self.path, "Record-Completion-Cause": cause})
        return recorded

    def _expired(self) -> None:
        self._channel.face.stop_recording(self._channel, self.path)


def recorded_clip(folder: Path, path: str) -> Clip | None:
    """A recording that lies in the folder, as a sound."""
    wanted = _below(folder, path)
    if wanted is None or not wanted.is_file():
        return None
    try:
        pcm = read_wav(wanted)
    except WavError:
        return None
    return Clip("", len(pcm) // 2, pcm=pcm)


def _below(folder: Path, path: str) -> Path | None:
    """The path, if it lies below the folder."""
    if not path.startswith("/"):
        return None
    wanted, top = os.path.realpath(path), os.path.realpath(folder)
    if os.path.commonpath((wanted, top)) != top or wanted == top:
        return None
    return Path(wanted)


def _written(folder: Path, path: str, recorded: Recorded) -> bool:
    """Whether the file could be written. A path outside of the folder never is."""
    wanted = _below(folder, path)
    if wanted is None:
        return False
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        write_wav(wanted, recorded.pcm())
    except (OSError, WavError):
        return False
    return True
