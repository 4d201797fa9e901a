"""The applications that play: `playback` and `play_and_get_digits`."""

import re
from typing import TYPE_CHECKING, Final

from orchestrator.pbx.virtual.clips import Clip
from orchestrator.pbx.virtual.esl.execution import Execution
from orchestrator.pbx.virtual.esl.tones import tones
from orchestrator.pbx.virtual.playing import Playing
from orchestrator.pbx.virtual.timeline import Timer

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel

PLAYED: Final = "FILE PLAYED"
NOT_FOUND: Final = "FILE NOT FOUND"
ERROR: Final = "PLAYBACK ERROR"
_MAX_FILES: Final = 128
_FOR_EVER: Final = 86_400.0


def clips_of(channel: "EslChannel", path: str) -> list[Clip]:
    """What a path stands for; nothing when there is no such file. A hole in a list is passed over."""
    kind, stream, rest = path.partition("://")
    if not stream:
        found = channel.face.find_file(path)
        return [] if found is None else [found]
    if kind == "file_string":
        files = rest.split("!")
        if len(files) > _MAX_FILES:
            return []
        return [clip for each in files if (clip := channel.face.find_file(each)) is not None]
    if kind == "silence_stream":
        text = rest.partition(",")[0]
        seconds = _FOR_EVER if text == "-1" else int(text) / 1000 if text.isdecimal() else 0.0
        return [Clip("", round(min(seconds, _FOR_EVER) * 8000))]
    if kind == "tone_stream":
        return tones(rest)
    return []


class Sound:
    """Something being played to a channel, with PLAYBACK_START and PLAYBACK_STOP around it."""

    def __init__(self, channel: "EslChannel", path: str, clips: list[Clip], over: "Over") -> None:
        self._channel = channel
        self._path = path
        self._over = over
        self._began = channel.face.now()
        leg = channel.leg
        self._playing = Playing(
            channel.face.switch.timeline,
            clips,
            over=lambda at: self._end("done", PLAYED),
            sounds=leg.hear,
            silent=leg.unhear,
        )

    def start(self) -> None:
        """Begin."""
        self._channel.tell("PLAYBACK_START", self._fields())
        self._playing.start(self._channel.face.now())

    def pause(self) -> None:
        """Keep still while another application runs within."""
        self._playing.pause()

    def resume(self) -> None:
        """Go on."""
        self._playing.resume()

    def stop(self, status: str, response: str) -> None:
        """End it here."""
        self._playing.stop()
        self._end(status, response)

    def _end(self, status: str, response: str) -> None:
        seconds = self._channel.face.now() - self._began
        variables = self._channel.variables
        variables["playback_last_offset_pos"] = str(int(seconds * 8000))
        variables["playback_seconds"] = str(int(seconds))
        variables["playback_ms"] = str(int(seconds * 1000))
        variables["playback_samples"] = str(int(seconds * 8000))
        self._channel.tell("PLAYBACK_STOP", {**self._fields(), "Playback-Status": status})
        self._over.played(response)

    def _fields(self) -> dict[str, str]:
        kind, stream, _ = self._path.partition("://")
        return {"Playback-File-Type": kind if stream else "file", "Playback-File-Path": self._path}


class Over:
    """Who is told that a sound is over."""

    def played(self, response: str) -> None:
        """How it ended."""
        raise TypeError("whoever plays says what comes next")


class Playback(Execution, Over):
    """`playback`: one file, or several as `file_string://a!b`."""

    _sound: Sound | None = None

    def start(self) -> None:
        self.began()
        clips = clips_of(self.channel, self.argument)
        if not clips:
            self.complete(NOT_FOUND)
            return
        self._sound = Sound(self.channel, self.argument, clips, self)
        self._sound.start()

    def suspend(self) -> None:
        if self._sound is not None:
            self._sound.pause()

    def resume(self) -> None:
        if self._sound is not None:
            self._sound.resume()

    def pressed(self, key: str) -> None:
        """A terminator ends it: `*` unless playback_terminators says otherwise."""
        terminators = self.channel.variables.get("playback_terminators", "*")
        if terminators != "none" and (terminators == "any" or key in terminators):
            self.channel.variables["playback_terminator_used"] = key
            self._stop("break", PLAYED)

    def cut(self) -> None:
        self._stop("break", PLAYED)

    def abort(self) -> None:
        if self._sound is None:
            self.complete(ERROR)
        else:
            self._stop("done", ERROR)

    def played(self, response: str) -> None:
        self._sound = None
        self.complete(response)

    def _stop(self, status: str, response: str) -> None:
        if self._sound is not None:
            self._sound.stop(status, response)


class GetDigits(Execution, Over):
    """`play_and_get_digits min max tries timeout terminators file invalid-file variable regexp
    [digit-timeout]`.

    `uuid_break` does not stop it, as in FreeSWITCH.
    """

    _sound: Sound | None = None
    _timer: Timer | None = None

    def start(self) -> None:
        self.began()
        words = self.argument.split()
        if len(words) < 8 or not all(word.isascii() and word.isdecimal() for word in words[:4]):
            self.complete()
            return
        self._least, self._most, self._tries, timeout = (int(word[:9]) for word in words[:4])
        self._terminators, self._file, self._invalid, self._variable = words[4:8]
        self._pattern = words[8] if len(words) > 8 else ""
        self._wait = timeout / 1000
        between = words[9] if len(words) > 9 else ""
        self._between = int(between[:9]) / 1000 if between.isascii() and between.isdecimal() else self._wait
        self._keys = ""
        self._asking = True
        self._ask(self._file)

    def pressed(self, key: str) -> None:
        if not self._asking:
            return
        if self._sound is not None:
            self._sound.stop("break", PLAYED)
        if key in self._terminators:
            self._judge()
            return
        self._keys += key
        if len(self._keys) >= self._most:
            self._judge()
        else:
            self._expect(self._between)

    def abort(self) -> None:
        self._asking = False
        if self._timer is not None:
            self._timer.cancel()
        if self._sound is not None:
            self._sound.stop("done", ERROR)
        self.complete()

    def played(self, response: str) -> None:
        self._sound = None
        if not self._asking:
            return
        if not self._keys:
            self._expect(self._wait)

    def _ask(self, path: str) -> None:
        self._keys = ""
        clips = clips_of(self.channel, path)
        if clips:
            self._sound = Sound(self.channel, path, clips, self)
            self._sound.start()
        else:
            self._expect(self._wait)

    def _expect(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        timeline = self.channel.face.switch.timeline
        self._timer = timeline.at(timeline.now() + seconds, self._judge)

    def _judge(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(self._keys) >= self._least and self._fits():
            self._asking = False
            self.channel.variables[self._variable] = self._keys
            self.complete()
            return
        self._tries -= 1
        if self._tries <= 0:
            self._asking = False
            self.complete()
        else:
            self._ask(self._file if self._invalid in ("silence", "_undef_") else self._invalid)

    def _fits(self) -> bool:
        if not self._pattern:
            return True
        try:
            return re.search(self._pattern[:256], self._keys) is not None
        except re.error:
            return False
