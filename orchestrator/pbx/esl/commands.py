"""From our requests to ESL's commands: the text for the wire. Pure, and all that goes in is checked.

Three ways a command travels: `api` is answered at once and in order; `bgapi` runs in a thread of its own and
its output comes as a BACKGROUND_JOB event; `sendmsg` is queued for the channel's own thread. Only what may
take long is given a thread, because making one costs FreeSWITCH up to a millisecond.
"""

import math
import re
from collections.abc import Sequence
from typing import Final

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
from orchestrator.pbx.esl.events import OWNER, SUBSCRIBED
from orchestrator.pbx.esl.recordings import path_of
from orchestrator.pbx.esl.settings import EslSettings
from orchestrator.pbx.esl.translate import ECHO
from orchestrator.pbx.fit import Unfit, check_id, check_number, check_sound, dial_string
from orchestrator.pbx.port import Dial, PlaySounds, Request

_FOLDER: Final = re.compile(r"/[A-Za-z0-9_./+-]+")

MAX_SOUNDS: Final = 128
"""Files of one `file_string://` (mod_dptools.c); more would be taken for one long name."""
RINGING: Final = "tone_stream://%(2000,4000,440,480);loops=-1"
"""The ringing tone of North America (ITU-T E.180, supplement 2): 2 s of 440 and 480 Hz, 4 s of silence."""


class Command(msgspec.Struct, frozen=True):
    """One command. It may name a number or what is played, so it is never printed."""

    text: str
    """The command's line, and further lines that belong to it."""
    background: bool = False
    """Its output comes under a Job-UUID."""

    @property
    def verb(self) -> str:
        """What it does, without its arguments."""
        return " ".join(
            self.text.partition("\n")[0].split(" ")[: 1 if self.text.startswith("sendmsg") else 2]
        )

    def wire(self, job: str) -> bytes:
        """The bytes, under the given Job-UUID if it has one."""
        if self.background:
            return f"{self.text}\nJob-UUID: {job}\n\n".encode()
        return f"{self.text}\n\n".encode()

    def __repr__(self) -> str:
        return f"Command({self.verb} …)"


PING: Final = Command("api status")
LIST_CHANNELS: Final = Command("bgapi show channels as json", background=True)
SUBSCRIBE: Final = Command(f"event json {' '.join(SUBSCRIBED)}")
SOUNDS_DIR: Final = Command("api global_getvar sounds_dir")


def build(request: Request, settings: EslSettings, sounds_dir: str) -> Command:
    """The command that carries out `request`. Raises `Unfit` for what must not be sent."""
    match request:
        case Dial():
            return _originate(request, settings)
        case PlaySounds():
            return _playback(
                request.channel, request.playback, _file_string(request.sounds, settings, sounds_dir)
            )
        case Ringback():
            return _playback(request.channel, request.playback, RINGING)
        case StopPlay():
            return stop_plays(request.channel)
        case Bridge():
            return bridged_to(request.channel)
        case DropBridge():
            return Command(f"api uuid_park {_channel(request.channel)}")
        case Record():
            path = path_of(settings, request.recording)
            return Command(f"api uuid_record {_channel(request.channel)} start {path} {request.longest}")
        case StopRecording():
            path = path_of(settings, request.recording)
            return Command(f"api uuid_record {_channel(request.channel)} stop {path}")
        case Hangup():
            return hang_up(request.channel)
        case Ask():
            return dump(request.channel)


def hang_up(channel: str) -> Command:
    """End the channel, answered or not."""
    return Command(f"api uuid_kill {_channel(channel)}")


def dump(channel: str) -> Command:
    """All that is known of a channel. Exact, where `show channels` is as old as its database."""
    return Command(f"api uuid_dump {_channel(channel)} json")


def owner(channel: str) -> Command:
    """Whose channel it is: the app of ours, or `_undef_`."""
    return Command(f"api uuid_getvar {_channel(channel)} {OWNER}")


def stop_plays(channel: str) -> Command:
    """End what is played, and what waits to be."""
    return Command(f"api uuid_break {_channel(channel)} all")


def echo(request: PlaySounds, other: str, settings: EslSettings, sounds_dir: str) -> Command:
    """The same sounds to the other side of the bridge. In a bridge each side has a thread of its own, so both
    hear them at once, and nobody hears the other one meanwhile (switch_ivr_bridge.c, audio_bridge_thread)."""
    what = _file_string(request.sounds, settings, sounds_dir)
    return _playback(other, request.playback, what, prefix=ECHO)


def bridged_to(channel: str) -> Command:
    """The channel that it is bridged to, or `_undef_`. Exact: set and taken away with the bridge itself."""
    return Command(f"api uuid_getvar {_channel(channel)} bridge_to")


def bridging(channel: str, other: str, settings: EslSettings) -> tuple[Command, ...]:
    """What connects two answered channels. The answer to the last says whether it begins.

    Whoever is left is to be parked, and ended in time if no worker lives. Both variables must be set now:
    `park` forgets `park_after_bridge` when it is given a `park_timeout` (switch_ivr.c, switch_ivr_park).
    """
    variables = {
        "park_after_bridge": "true",
        "hangup_after_bridge": "false",
        "uuid_bridge_park_on_cancel": "true",
        "park_timeout": str(math.ceil(settings.abandoned_after)),
        # A recording is of both, mixed, 8 kHz, of the bridge alone, and kept however short it is.
        "RECORD_STEREO": "false",
        "record_sample_rate": "8000",
        "RECORD_BRIDGE_REQ": "true",
        "RECORD_MIN_SEC": "0",
    }
    listed = ";".join(f"{name}={value}" for name, value in variables.items())
    legs = (_channel(channel), _channel(other))
    return (
        *(Command(f"api uuid_setvar_multi {leg} {listed}") for leg in legs),
        *(each for leg in legs for each in renew(leg, settings.longest_call)),
        Command(f"api uuid_bridge {legs[0]} {legs[1]}"),
    )


def stop_recordings(channel: str) -> Command:
    """End all recordings of a channel: what FreeSWITCH does with the channel, not with its bridge."""
    return Command(f"api uuid_record {_channel(channel)} stop all")


def forget_played(channel: str) -> Command:
    """Take what is being played out of the channel's variables, so that no call record gets it."""
    return Command(f"api uuid_setvar {_channel(channel)} current_application_data")


def renew(channel: str, seconds: float) -> tuple[Command, Command]:
    """Put off the moment at which FreeSWITCH gives the channel up as abandoned."""
    channel = _channel(channel)
    return (
        Command(f"api sched_del {channel}"),
        Command(f"api sched_hangup +{math.ceil(seconds)} {channel} ALLOTTED_TIMEOUT"),
    )


def filters(job_prefix: str) -> tuple[Command, Command]:
    """Let only outbound channels' events through, and only jobs of ours. What fits either passes."""
    return (
        Command("filter Call-Direction outbound"),
        Command(f"filter Job-UUID /^{job_prefix}/"),
    )


def file_exists(path: str) -> Command:
    """Whether FreeSWITCH can see the file: `true` or `false`."""
    return Command(f"api file_exists {path}")


def module_exists(module: str) -> Command:
    """Whether the module is loaded: `true` or `false`."""
    return Command(f"api module_exists {module}")


def is_folder(text: str) -> bool:
    """Whether this is a folder's full path that can stand in a list of files."""
    return bool(_FOLDER.fullmatch(text))


def sound_path(settings: EslSettings, sounds_dir: str, sound: str) -> str:
    """The file of a library sound, as FreeSWITCH sees it. Raises `Unfit`."""
    folder = settings.sounds_folder
    below = folder if folder.startswith("/") else f"{sounds_dir.rstrip('/')}/{folder}"
    return f"{below}/{check_sound(sound)}.wav"


def _originate(request: Dial, settings: EslSettings) -> Command:
    variables = {
        "origination_uuid": _channel(request.channel),
        OWNER: settings.app,
        # FreeSWITCH counts whole seconds of its clock, so the last one may be short.
        "originate_timeout": str(max(1, math.ceil(request.ring_timeout)) + 1),
        # Sound before the answer is no answer.
        "ignore_early_media": "true",
        # Else a `*` of the callee would stop a play, and the code with it.
        "playback_terminators": "none",
        # What is played is nobody's business: keep it out of the call records' log of applications.
        "disable_app_log": "true",
        # Two guards against a dead worker; the first is renewed as long as we play.
        "execute_on_answer": f"sched_hangup:+{math.ceil(settings.abandoned_after)}",
        "park_timeout": str(math.ceil(settings.longest_call)),
    }
    if request.caller_id is not None:
        number = check_number(request.caller_id, "caller id")
        variables |= {"origination_caller_id_number": number, "origination_caller_id_name": number}
    listed = ",".join(f"{name}={value}" for name, value in variables.items())
    where = dial_string(settings.dial, request.number)
    return Command(f"bgapi originate {{{listed}}}{where} &park()", background=True)


def _playback(channel: str, playback: str, what: str, prefix: str = "") -> Command:
    # The lock keeps a next play from starting inside of this one.
    return Command(
        f"sendmsg {_channel(channel)}\n"
        "call-command: execute\n"
        "execute-app-name: playback\n"
        f"execute-app-arg: {what}\n"
        "event-lock: true\n"
        f"Event-UUID: {prefix}{check_id(playback, 'playback id')}"
    )


def _file_string(sounds: Sequence[str], settings: EslSettings, sounds_dir: str) -> str:
    """Several files as one, without a gap. A file that is missing would be left out in silence."""
    if not 1 <= len(sounds) <= MAX_SOUNDS:
        raise Unfit(f"a playback has 1 to {MAX_SOUNDS} sounds")
    return "file_string://" + "!".join(sound_path(settings, sounds_dir, sound) for sound in sounds)


def _channel(channel: str) -> str:
    if ":_:" in channel:  # in an originate it parts one dial string from the next, within braces too
        raise Unfit("the channel id has `:_:` in it")
    return check_id(channel, "channel id")
