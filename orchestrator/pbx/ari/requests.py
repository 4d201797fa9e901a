"""From our requests to ARI's: method, path and JSON body. Pure, and the gate through which numbers pass.

Everything goes in the body, so that no number or sound stands in a URL that a proxy may log.
"""

import math
import re
from urllib.parse import quote

import msgspec

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.pbx.ari.settings import AriSettings
from orchestrator.pbx.port import Dial, PlaySounds, Request

_NUMBER = re.compile(r"\+?[0-9]{1,20}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,148}")
"""Asterisk takes at most 149 characters (AST_MAX_PUBLIC_UNIQUEID)."""
_SOUND = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")

_encoder = msgspec.json.Encoder()


class Unfit(ValueError):
    """A request that must not reach the PBX. The message names what is wrong, never the value."""


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


def dial_string(template: str, number: str) -> str:
    """`template` with the number in it. Only digits (and for {e164} the plus) get in; else `Unfit`."""
    _number(number, "number")
    digits = number.removeprefix("+")
    return template.replace("{number}", digits).replace("{e164}", "+" + digits)


def media_uri(prefix: str, sound: str) -> str:
    """The media URI of a library sound. Commas would part a list, dots climb folders: `Unfit`."""
    if not _SOUND.fullmatch(sound) or ".." in sound:
        raise Unfit("a sound's id has characters that no sound of the library has")
    return f"sound:{prefix}/{sound}"


def _originate(request: Dial, settings: AriSettings) -> RestCall:
    if request.caller_id is not None:
        _number(request.caller_id, "caller id")
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
    if not _ID.fullmatch(value):
        raise Unfit(f"the {what} is not 1-149 of A-Z a-z 0-9 . _ : -, a letter or digit first")
    return quote(value, safe="")


def _number(value: str, what: str) -> None:
    if not _NUMBER.fullmatch(value):
        raise Unfit(f"the {what} is not a plus and digits only")
