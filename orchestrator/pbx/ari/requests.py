"""From our requests to ARI's: method, path and JSON body. Pure.

Everything goes in the body, so that no number or sound stands in a URL that a proxy may log.

A callback's bridge is `bridge-` and the id of its first leg. It cannot be that id alone: Asterisk keeps an
application's subscriptions to channels and to bridges in one table by id, and would tell nothing of the
bridge (measured on 22.10.1). Its `name` is the application's, by which a worker knows its own.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

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
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.fit import Unfit, check_id, check_number, check_sound, dial_string
from orchestrator.pbx.port import Dial, PlaySounds, Request

_encoder = msgspec.json.Encoder()
_BRIDGE = "bridge-"
_RINGING = "tone:ring"
"""As the tone zone of Asterisk's indications.conf says: two seconds of every six in the United States."""


class RestCall(msgspec.Struct, frozen=True):
    """One REST request; `path` is relative to the ARI root and percent-encoded, `body` is JSON or empty."""

    method: str
    path: str
    body: bytes = b""
    waits: bool = False
    """Asterisk answers only once something else on a channel is over. Over the events' WebSocket every other
    request would wait with it (measured on 22.10.1), so it goes over HTTP."""

    def __repr__(self) -> str:
        return f"RestCall({self.method} {self.path})"


class _Originate(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    endpoint: str
    app: str
    timeout: int
    caller_id: str = ""


class _Play(msgspec.Struct, frozen=True):
    media: list[str]


class _NewBridge(msgspec.Struct, frozen=True):
    name: str
    type: str = "mixing,dtmf_events"
    """With dtmf_events the sound always goes through Asterisk, and keys are told."""


class _Join(msgspec.Struct, frozen=True):
    channel: list[str]


class _Record(msgspec.Struct, frozen=True, rename="camel"):
    """Always with a format: Asterisk 22.10.1 crashes on a request without."""

    name: str
    max_duration_seconds: int
    format: str = "wav"
    if_exists: str = "fail"
    """Asked for again after a restart, it must not destroy what is recorded."""
    beep: bool = False
    terminate_on: str = "none"


def build(request: Request, settings: AriSettings) -> RestCall:
    """The REST request that carries out `request`. Raises `Unfit` for what must not be sent."""
    match request:
        case Dial():
            return _originate(request, settings)
        case PlaySounds():
            return _play(request, settings)
        case Ringback():
            path = f"{_channel(request.channel)}/play/{_id(request.playback, 'playback id')}"
            return RestCall("POST", path, _encoder.encode(_Play([_RINGING])))
        case StopPlay():
            return RestCall("DELETE", f"playbacks/{_id(request.playback, 'playback id')}")
        case Bridge():
            check_id(request.other, "channel id")
            return RestCall("POST", bridge(request.channel), _encoder.encode(_NewBridge(settings.app)))
        case DropBridge():
            return RestCall("DELETE", bridge(request.channel))
        case Record():
            return _record(request)
        case StopRecording():
            return RestCall("POST", f"recordings/live/{_id(request.recording, 'recording')}/stop")
        case Hangup():
            return RestCall("DELETE", _channel(request.channel))
        case Ask():
            return RestCall("GET", _channel(request.channel))


def bridge(channel: str) -> str:
    """The path of the bridge of this first leg. Raises `Unfit`."""
    return f"bridges/{_id(_BRIDGE + check_id(channel, 'channel id'), 'bridge id')}"


def leg_of(bridge_id: str) -> str:
    """The first leg of the bridge of this id; empty when it is no bridge of ours."""
    return bridge_id[len(_BRIDGE) :] if bridge_id.startswith(_BRIDGE) else ""


def look_into(request: Bridge) -> RestCall:
    """Ask who is in the bridge."""
    return RestCall("GET", bridge(request.channel))


def join(request: Bridge, channels: Sequence[str]) -> RestCall:
    """Let these enter the bridge."""
    body = _encoder.encode(_Join(list(channels)))
    return RestCall("POST", f"{bridge(request.channel)}/addChannel", body, waits=True)


def live(request: Record) -> RestCall:
    """Ask whether it is being recorded."""
    return RestCall("GET", f"recordings/live/{_id(request.recording, 'recording')}")


def stored(recording: str) -> RestCall:
    """Ask whether there is a recording. True as well of one that is not over."""
    return RestCall("GET", f"recordings/stored/{_id(recording, 'recording')}")


@lru_cache(maxsize=4096)
def media_uri(prefix: str, sound: str) -> str:
    """The media URI of a library sound. Raises `Unfit`."""
    return f"sound:{prefix}/{check_sound(sound)}"


def _originate(request: Dial, settings: AriSettings) -> RestCall:
    if request.caller_id is not None:
        check_number(request.caller_id, "caller id")
    body = _Originate(
        dial_string(settings.dial, request.number),
        settings.app,
        max(1, math.ceil(request.ring_timeout)),
        request.caller_id or "",
    )
    return RestCall("POST", _channel(request.channel), _encoder.encode(body))


def _play(request: PlaySounds, settings: AriSettings) -> RestCall:
    if not request.sounds:
        raise Unfit("a playback needs at least one sound")
    media = [media_uri(settings.sounds_prefix, sound) for sound in request.sounds]
    target = bridge(request.channel) if request.both else _channel(request.channel)
    path = f"{target}/play/{_id(request.playback, 'playback id')}"
    return RestCall("POST", path, _encoder.encode(_Play(media)))


def _record(request: Record) -> RestCall:
    if request.longest < 1:
        raise Unfit("a recording needs a length of at least a second")
    body = _Record(check_id(request.recording, "recording"), request.longest)
    return RestCall("POST", f"{bridge(request.channel)}/record", _encoder.encode(body))


def _channel(channel: str) -> str:
    return f"channels/{_id(channel, 'channel id')}"


def _id(value: str, what: str) -> str:
    """Percent-encoded: of what an id may hold, only the colon has to be."""
    return check_id(value, what).replace(":", "%3A")
