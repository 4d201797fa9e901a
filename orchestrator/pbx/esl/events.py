"""The events of FreeSWITCH that we listen to, from both encodings that `event` knows.

Only the fields that are used are decoded; what an application plays is not among them. In JSON every value
is a string, or a list of strings where a variable was pushed to; in the plain encoding it is percent-encoded.
A far end may put any byte into a display name, so text that is no UTF-8 breaks nothing.
Source: switch_event.c; each shape was seen on FreeSWITCH 1.10.12.
"""

from typing import Any, Final

import msgspec

from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl.frames import MAX_BODY_BYTES, Frame, content_length, parse_headers

OWNER: Final = "orchestrator_app"
"""The channel variable by which our channels are known. Its value is the node's `app`."""

SUBSCRIBED: Final = (
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_EXECUTE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "RECORD_STOP",
    "DTMF",
    "CHANNEL_HANGUP",
    "CHANNEL_DESTROY",
    "BACKGROUND_JOB",
)
"""What we ask for. CHANNEL_HANGUP_COMPLETE and CHANNEL_PARK are understood, but say nothing that these do
not: each is 6 to 9 KB that FreeSWITCH would have to write. That a recording has begun, its answer tells."""

MAX_EVENT_HEADERS: Final = 5000
"""Lines of one event in the plain encoding. A channel has 30 to 200 variables."""

_FIELDS: Final = {
    "name": "Event-Name",
    "channel": "Unique-ID",
    "channel_name": "Channel-Name",
    "state": "Channel-State",
    "call_state": "Channel-Call-State",
    "answer_state": "Answer-State",
    "hangup_cause": "Hangup-Cause",
    "application": "Application",
    "application_uuid": "Application-UUID",
    "application_response": "Application-Response",
    "digit": "DTMF-Digit",
    "bridge_a": "Bridge-A-Unique-ID",
    "bridge_b": "Bridge-B-Unique-ID",
    "bridged_to": "variable_bridge_to",
    "record_path": "Record-File-Path",
    "record_cause": "Record-Completion-Cause",
    "job": "Job-UUID",
    "owner": f"variable_{OWNER}",
    "sip_status": "variable_sip_term_status",
    "protocol_cause": "variable_proto_specific_hangup_cause",
    "sip_cause": "variable_sip_term_cause",
    "body": "_body",
}


class Event(msgspec.Struct, frozen=True, gc=False, rename=_FIELDS):
    """One event. A field that it does not have is empty."""

    name: str
    channel: str = ""
    channel_name: str = ""
    state: str = ""
    """Where the core's state machine stands: CS_INIT, CS_CONSUME_MEDIA, CS_EXECUTE, CS_HANGUP …"""
    call_state: str = ""
    """DOWN, RINGING, EARLY, ACTIVE, HELD, HANGUP."""
    answer_state: str = ""
    """ringing (also before anything rings), early, answered, hangup."""
    hangup_cause: str = ""
    application: str = ""
    application_uuid: str = ""
    application_response: str = ""
    digit: str = ""
    bridge_a: str = ""
    bridge_b: str = ""
    """The two channels of a bridge that begins or ends; `bridge_a` is the first of `uuid_bridge`."""
    bridged_to: str = ""
    """The channel that this one is bridged to, for as long as it is."""
    record_path: str = ""
    record_cause: str = ""
    """How a recording ended: success-silence, success-maxtime, no-input-timeout, input-too-short,
    uri-failure."""
    job: str = ""
    owner: str = ""
    sip_status: str = ""
    protocol_cause: str = ""
    sip_cause: str = ""
    """The number of the cause in Q.850, where the far end gave one (RFC 3326)."""
    body: str = ""
    """The output of a background job."""

    def __repr__(self) -> str:
        return f"Event({self.name}, channel={self.channel!r})"


_decoder = msgspec.json.Decoder(Event)
_loose = msgspec.json.Decoder(dict[str, Any])


def decode(frame: Frame) -> Event:
    """The event in a `text/event-json` or `text/event-plain` frame. Raises `PbxProtocolError`."""
    if frame.kind == "text/event-plain":
        return _from_plain(frame.body)
    return from_json(frame.body)


def from_json(body: bytes) -> Event:
    """An event, or the answer to `uuid_dump … json`. Raises `PbxProtocolError`."""
    try:
        event: Event = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _loosely(body)
    return event


def _loosely(body: bytes) -> Event:
    """The rare way: bytes that are no UTF-8, or a field that is a list."""
    try:
        found: dict[str, Any] = _loose.decode(body.decode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        raise PbxProtocolError("FreeSWITCH sent an event that is no JSON object") from None
    return _from_fields(found)


def _from_plain(body: bytes) -> Event:
    head, _, rest = body.partition(b"\n\n")
    found: dict[str, Any] = dict(parse_headers(head.rstrip(b"\n"), most=MAX_EVENT_HEADERS, encoded=True))
    length = content_length(found, most=MAX_BODY_BYTES)
    found["_body"] = rest[:length].decode("utf-8", "replace")
    return _from_fields(found)


def _from_fields(found: dict[str, Any]) -> Event:
    values = {field: found[name] for field, name in _FIELDS.items() if isinstance(found.get(name), str)}
    if "name" not in values:
        raise PbxProtocolError("FreeSWITCH sent an event without a name")
    return Event(**values)
