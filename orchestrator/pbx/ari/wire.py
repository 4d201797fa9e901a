"""ARI's wire: the events we listen to, REST over WebSocket, and the snapshots of channels.

Only fields that are used are decoded. Sources: Asterisk's rest-api/api-docs/events.json and
doc "ARI REST over WebSocket"; each shape was seen on Asterisk 22.10.1.
"""

from typing import TypeVar

import msgspec

from orchestrator.pbx.errors import PbxProtocolError

_T = TypeVar("_T")


class ChannelId(msgspec.Struct, frozen=True, gc=False):
    id: str


class Message(msgspec.Struct, frozen=True, gc=False, tag_field="type"):
    """Anything that Asterisk sends over the events WebSocket."""


class Dial(Message, frozen=True, gc=False, tag=True):
    """A dial of ours moved on. `dialstatus` is empty when it begins."""

    peer: ChannelId
    dialstatus: str = ""


class StasisStart(Message, frozen=True, gc=False, tag=True):
    channel: ChannelId


class ChannelDtmfReceived(Message, frozen=True, gc=False, tag=True):
    channel: ChannelId
    digit: str


class ChannelHangupRequest(Message, frozen=True, gc=False, tag=True):
    """`soft` when somebody on Asterisk's own side asked, absent when the far end did."""

    channel: ChannelId
    cause: int = 0
    soft: bool = False


class ChannelDestroyed(Message, frozen=True, gc=False, tag=True):
    """`cause` is Q.850; `tech_cause` (since October 2025) is the SIP status for PJSIP."""

    channel: ChannelId
    cause: int = 0
    tech_cause: int | None = None


class PlaybackState(msgspec.Struct, frozen=True, gc=False):
    id: str
    target_uri: str
    state: str = ""


class PlaybackFinished(Message, frozen=True, gc=False, tag=True):
    playback: PlaybackState


class RecordingState(msgspec.Struct, frozen=True, gc=False):
    name: str
    target_uri: str = ""
    cause: str = ""


class RecordingStarted(Message, frozen=True, gc=False, tag=True):
    recording: RecordingState


class RecordingFinished(Message, frozen=True, gc=False, tag=True):
    recording: RecordingState


class RecordingFailed(Message, frozen=True, gc=False, tag=True):
    recording: RecordingState


class ApplicationReplaced(Message, frozen=True, gc=False, tag=True):
    """Another client connected with our application's name: no event will come here any more."""


class RESTResponse(Message, frozen=True, gc=False, tag=True):
    status_code: int
    request_id: str = ""
    reason_phrase: str = ""
    message_body: str = ""


Wire = (
    Dial
    | StasisStart
    | ChannelDtmfReceived
    | ChannelHangupRequest
    | ChannelDestroyed
    | PlaybackFinished
    | RecordingStarted
    | RecordingFinished
    | RecordingFailed
    | ApplicationReplaced
    | RESTResponse
)

EVENT_TYPES = (
    "Dial",
    "StasisStart",
    "ChannelDtmfReceived",
    "ChannelHangupRequest",
    "ChannelDestroyed",
    "PlaybackFinished",
    "RecordingStarted",
    "RecordingFinished",
    "RecordingFailed",
    "ApplicationReplaced",
    "RESTResponse",
)
"""What the event filter lets through. The filter drops even REST's own answers when they are not named."""

_KNOWN = frozenset(EVENT_TYPES)


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str


class Dialplan(msgspec.Struct, frozen=True, gc=False):
    app_name: str = ""
    app_data: str = ""


class ChannelSnapshot(msgspec.Struct, frozen=True, gc=False):
    """What `GET /channels` says about a channel."""

    id: str
    state: str
    dialplan: Dialplan = Dialplan()


class BridgeSnapshot(msgspec.Struct, frozen=True, gc=False):
    """What `GET /bridges` says about a bridge. `channels` lacks those that play into it or record it."""

    id: str
    name: str = ""
    channels: list[str] = []


class Application(msgspec.Struct, frozen=True, gc=False):
    channel_ids: list[str] = []


class Sound(msgspec.Struct, frozen=True, gc=False):
    id: str


class _Fault(msgspec.Struct, frozen=True, gc=False):
    message: str = ""
    error: str = ""


class _RestRequest(
    msgspec.Struct, frozen=True, gc=False, tag="RESTRequest", tag_field="type", omit_defaults=True
):
    request_id: str
    method: str
    uri: str
    message_body: str = ""
    content_type: str = ""


_message = msgspec.json.Decoder(Wire)
_kind = msgspec.json.Decoder(_Kind)
_fault = msgspec.json.Decoder(_Fault)
_channel = msgspec.json.Decoder(ChannelSnapshot)
_channels = msgspec.json.Decoder(list[ChannelSnapshot])
_bridge = msgspec.json.Decoder(BridgeSnapshot)
_bridges = msgspec.json.Decoder(list[BridgeSnapshot])
_application = msgspec.json.Decoder(Application)
_sounds = msgspec.json.Decoder(list[Sound])
_encoder = msgspec.json.Encoder()


def decode(frame: bytes | str) -> Wire | None:
    """One text frame. None for an event that we do not listen to. Raises `PbxProtocolError`."""
    try:
        message: Wire = _message.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _check_unknown(frame)
        return None
    return message


def _check_unknown(frame: bytes | str) -> None:
    """The rare way: tell an event of no interest from one that breaks the protocol. Frames are not quoted."""
    try:
        kind = _kind.decode(frame).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PbxProtocolError("Asterisk sent a frame that is no ARI event") from None
    if kind in _KNOWN:
        raise PbxProtocolError(f"Asterisk sent a {kind} event without the fields that ARI names")


def encode_request(request_id: str, method: str, uri: str, body: bytes) -> bytes:
    """A RESTRequest frame. `uri` is relative to the ARI root, percent-encoded; `body` is JSON or empty."""
    if not body:
        return _encoder.encode(_RestRequest(request_id, method, uri))
    return _encoder.encode(_RestRequest(request_id, method, uri, body.decode(), "application/json"))


def decode_channel(body: bytes | str) -> ChannelSnapshot:
    return _parse(_channel, body, "channel")


def decode_channels(body: bytes | str) -> list[ChannelSnapshot]:
    return _parse(_channels, body, "list of channels")


def decode_bridge(body: bytes | str) -> BridgeSnapshot:
    return _parse(_bridge, body, "bridge")


def decode_bridges(body: bytes | str) -> list[BridgeSnapshot]:
    return _parse(_bridges, body, "list of bridges")


def decode_application(body: bytes | str) -> Application:
    return _parse(_application, body, "application")


def decode_sounds(body: bytes | str) -> list[Sound]:
    return _parse(_sounds, body, "list of sounds")


def fault_text(body: bytes | str) -> str:
    """Asterisk's own short word for why it refused, or an empty string."""
    try:
        fault = _fault.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    text = fault.message or fault.error
    return "".join(char for char in text[:120] if char.isprintable())


def _parse(decoder: "msgspec.json.Decoder[_T]", body: bytes | str, what: str) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PbxProtocolError(f"Asterisk's answer is no {what} as ARI describes it") from None
