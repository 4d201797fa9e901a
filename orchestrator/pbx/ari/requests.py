"""From our requests to ARI's: method, path and JSON body. Pure.

Everything goes in the body, so that no number or sound stands in a URL that a proxy may log.
"""

import math
from urllib.parse import quote

import msgspec

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.fit import Unfit, check_id, check_number, check_sound, dial_string
from orchestrator.pbx.port import Dial, PlaySounds, Request

_encoder = msgspec.json.Encoder()


class RestCall(msgspec.Struct, frozen=True):
    """One REST request; `path` is relative to the ARI root and percent-encoded, `body` is JSON or empty."""

    method: str
    path: str
    body: bytes = b""

    def __repr__(self) -> str:
        return f"RestCall({self.method} {self.path})"


class _Originate(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    endpoint: str
    app: str
    timeout: int
    caller_id: str = ""


class _Play(msgspec.Struct, frozen=True):
    media: list[str]


def build(request: Request, settings: AriSettings) -> RestCall:
    """The REST request that carries out `request`. Raises `Unfit` for what must not be sent."""
    match request:
        case Dial():
            return _originate(request, settings)
        case PlaySounds():
            return _play(request, settings)
        case StopPlay():
            return RestCall("DELETE", f"playbacks/{_id(request.playback, 'playback id')}")
        case Hangup():
            return RestCall("DELETE", _channel(request.channel))
        case Ask():
            return RestCall("GET", _channel(request.channel))


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
    path = f"{_channel(request.channel)}/play/{_id(request.playback, 'playback id')}"
    return RestCall("POST", path, _encoder.encode(_Play(media)))


def _channel(channel: str) -> str:
    return f"channels/{_id(channel, 'channel id')}"


def _id(value: str, what: str) -> str:
    return quote(check_id(value, what), safe="")
