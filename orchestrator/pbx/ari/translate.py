"""From Asterisk's events to ours. Pure: (wire event) -> (channel id, our event), or None."""

from orchestrator.call.events import (
    Alive,
    Answered,
    CallEvent,
    Dialed,
    Digit,
    Ended,
    HangupRequested,
    PlayFinished,
    Ready,
    RecordingFinished,
    RecordingStarted,
    Ringing,
)
from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.requests import leg_of

Told = tuple[str, CallEvent]
"""An event, and the channel it is about."""

_CHANNEL_TARGET = "channel:"
_BRIDGE_TARGET = "bridge:"
_DIAL: dict[str, CallEvent | None] = {
    "": None,  # the dial began: the originate's own answer says as much
    "PROCEEDING": None,  # SIP 100: nothing has reached a phone
    "RINGING": Ringing(),
    "PROGRESS": Ringing(early_media=True),
    "ANSWER": Answered(),
}


def translate(event: wire.Wire) -> Told | None:
    """What this event means to a call. None where it means nothing, or is not about a call.

    The cases stand by how often they come.
    """
    match event:
        case wire.Dial(peer=peer, dialstatus=status):
            told = _DIAL[status] if status in _DIAL else Dialed(status)
            return None if told is None else (peer.id, told)
        case wire.StasisStart(channel=channel):
            return channel.id, Ready()
        case wire.ChannelDestroyed(channel=channel, cause=cause, tech_cause=tech_cause):
            return channel.id, Ended(cause, _sip_status(tech_cause))
        case wire.ChannelHangupRequest(channel=channel, cause=cause, soft=soft):
            # Asterisk does not say who asked. `soft` means: on its own side, by a request such as ours.
            return channel.id, HangupRequested(soft, cause)
        case wire.ChannelDtmfReceived(channel=channel, digit=digit):
            return channel.id, Digit(digit)
        case wire.PlaybackFinished(playback=playback):
            return _about(playback.target_uri, PlayFinished(playback.id, playback.state != "failed"))
        case wire.RecordingStarted(recording=recording):
            return _about(recording.target_uri, RecordingStarted(recording.name))
        case wire.RecordingFinished(recording=recording):
            return _about(recording.target_uri, RecordingFinished(recording.name))
        case wire.RecordingFailed(recording=recording):
            failed = RecordingFinished(recording.name, ok=False, reason=recording.cause or "it failed")
            return _about(recording.target_uri, failed)
        case _:
            return None


def alive(snapshot: wire.ChannelSnapshot, app: str) -> Alive:
    """What a channel's snapshot says. It is ready when it runs our Stasis application."""
    up = snapshot.state == "Up"
    return Alive(ringing=snapshot.state == "Ringing", up=up, ready=up and in_app(snapshot, app))


def in_app(snapshot: wire.ChannelSnapshot, app: str) -> bool:
    """Whether the channel runs `Stasis(app,…)` now."""
    dialplan = snapshot.dialplan
    return dialplan.app_name == "Stasis" and dialplan.app_data.partition(",")[0] == app


def _about(target_uri: str, event: CallEvent) -> Told | None:
    """What is told of a bridge is told of its first leg."""
    if target_uri.startswith(_CHANNEL_TARGET):
        return target_uri[len(_CHANNEL_TARGET) :], event
    if target_uri.startswith(_BRIDGE_TARGET):
        leg = leg_of(target_uri[len(_BRIDGE_TARGET) :])
        return (leg, event) if leg else None
    return None


def _sip_status(tech_cause: int | None) -> int | None:
    """`tech_cause` of a technology other than SIP is no SIP status."""
    return tech_cause if tech_cause is not None and 100 <= tech_cause <= 699 else None
