"""From FreeSWITCH's events to ours. Pure: one event of a channel -> what it means to the call.

A playback is known by its Application-UUID, which is the playback id that we sent as Event-UUID; never by
the application's name.
"""

from typing import Final

from orchestrator.call.events import (
    Accepted,
    Alive,
    Answered,
    Bridged,
    CallEvent,
    Digit,
    Ended,
    HangupRequested,
    PlayFinished,
    PlayStarted,
    Ready,
    RecordingFinished,
    Ringing,
)
from orchestrator.pbx.esl.causes import BY_THE_SWITCH, q850
from orchestrator.pbx.esl.events import Event
from orchestrator.pbx.esl.recordings import name_of

Told = tuple[str, CallEvent]
"""An event, and the channel it is about."""

_PLAYED: Final = "FILE PLAYED"
_DIGITS: Final = frozenset("0123456789*#ABCD")
ECHO: Final = "both:"
"""Before the id of a playback to both sides of a bridge: what the other side hears. It is not told of."""
_READY: Final = frozenset(
    {"CS_EXECUTE", "CS_PARK", "CS_HIBERNATE", "CS_RESET", "CS_SOFT_EXECUTE", "CS_EXCHANGE_MEDIA"}
)
"""States of an answered channel that takes a play: in the hands of `park`, which is its one application, and
a play runs within it; on its way into a bridge; bridged (the first leg's is CS_SOFT_EXECUTE, the other's
CS_EXCHANGE_MEDIA); parked after one."""
_NOT_KEPT: Final = frozenset({"uri-failure", "input-too-short"})
"""Ends of a recording that leave no file, or only a part of one (switch_ivr_async.c, record_callback)."""


def translate(event: Event) -> tuple[CallEvent, ...]:
    """What this event means to its call; nothing where it means nothing."""
    match event.name:
        case "CHANNEL_EXECUTE":
            return _begun(event)
        case "CHANNEL_EXECUTE_COMPLETE":
            return _done(event)
        case "CHANNEL_CREATE":
            return (Accepted(),)
        case "CHANNEL_PROGRESS":
            return (Ringing(),)
        case "CHANNEL_PROGRESS_MEDIA":
            return (Ringing(early_media=True),)
        case "CHANNEL_ANSWER":
            return (Answered(),)
        case "CHANNEL_PARK":
            return (Ready(),)
        case "CHANNEL_BRIDGE":
            return (Bridged(),)
        case "RECORD_STOP":
            return _recorded(event)
        case "DTMF" if event.digit in _DIGITS:
            return (Digit(event.digit),)
        case "CHANNEL_HANGUP" | "CHANNEL_HANGUP_COMPLETE" | "CHANNEL_DESTROY":
            return ending(event)
        case _:
            return ()


def found(event: Event) -> tuple[CallEvent, ...]:
    """What the dump of a channel says. One that is hung up but not gone yet tells its end."""
    if event.answer_state == "hangup":
        return ending(event)
    up = event.answer_state == "answered"
    ringing = not up and event.call_state in ("RINGING", "EARLY")
    return (Alive(ringing=ringing, up=up, ready=up and event.state in _READY),)


def ending(event: Event) -> tuple[CallEvent, ...]:
    """The end of a channel. A channel that never came to be tells nothing: the originate's own answer does.
    No cause alone does not mean that, because a far end may end a call with the cause 0."""
    if event.state == "CS_NONE" and event.hangup_cause in ("", "NONE"):
        return ()
    cause = _cause(event)
    return HangupRequested(_by_the_switch(event), cause), Ended(cause, _sip_status(event))


def _cause(event: Event) -> int:
    """In Q.850. For numbers of Q.850 that FreeSWITCH does not know it has one name, `UNKNOWN`."""
    text = event.sip_cause
    if event.hangup_cause == "UNKNOWN" and text.isascii() and text.isdecimal() and len(text) <= 3:
        return int(text) if int(text) <= 127 else 0
    return q850(event.hangup_cause)


def _begun(event: Event) -> tuple[CallEvent, ...]:
    if event.application == "playback":
        if event.application_uuid.startswith(ECHO):
            return ()
        return (PlayStarted(event.application_uuid),)
    if event.application == "park" and event.answer_state == "answered":
        return (Ready(),)
    return ()


def _done(event: Event) -> tuple[CallEvent, ...]:
    # A hang-up cuts the play short and calls it an error; the hang-up's own event tells.
    if event.application != "playback" or event.answer_state == "hangup":
        return ()
    if event.application_uuid.startswith(ECHO):
        return ()
    return (PlayFinished(event.application_uuid, event.application_response == _PLAYED),)


def _recorded(event: Event) -> tuple[CallEvent, ...]:
    """A recording that somebody else made is none of ours, and has no name here."""
    name = name_of(event.record_path)
    if not name:
        return ()
    if event.record_cause in _NOT_KEPT:
        return (RecordingFinished(name, ok=False, reason=f"FreeSWITCH says {event.record_cause}"),)
    return (RecordingFinished(name),)


def _by_the_switch(event: Event) -> bool:
    """Whether FreeSWITCH's own side ended it, by our request or another's. A SIP channel that the far end
    ended has the status of its BYE or of its final answer."""
    if event.hangup_cause in BY_THE_SWITCH:
        return True
    return event.channel_name.startswith("sofia/") and not (event.sip_status or event.protocol_cause)


def _sip_status(event: Event) -> int | None:
    """The final status with which a far end refused. A BYE's 200 refuses nothing."""
    text = event.sip_status or event.protocol_cause.removeprefix("sip:")
    if not (text.isascii() and text.isdecimal() and len(text) == 3):
        return None
    return int(text) if int(text) >= 300 else None
