"""What Asterisk's events mean to a call. Tier: unit."""

import pytest

from orchestrator.call.events import (
    Alive,
    Answered,
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
from orchestrator.pbx.ari.translate import alive, translate

C = wire.ChannelId("c1")
RECORDING = wire.RecordingState("r1", "bridge:bridge-c1")


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (wire.Dial(C, ""), None),
        (wire.Dial(C, "PROCEEDING"), None),
        (wire.Dial(C, "RINGING"), Ringing()),
        (wire.Dial(C, "PROGRESS"), Ringing(early_media=True)),
        (wire.Dial(C, "ANSWER"), Answered()),
        (wire.Dial(C, "BUSY"), Dialed("BUSY")),
        (wire.Dial(C, "CHANUNAVAIL"), Dialed("CHANUNAVAIL")),
        (wire.StasisStart(C), Ready()),
        (wire.ChannelDestroyed(C, 17, 486), Ended(17, 486)),
        (wire.ChannelDestroyed(C, 16), Ended(16, None)),
        (wire.ChannelDestroyed(C, 16, 16), Ended(16, None)),
        (wire.ChannelHangupRequest(C, 32, True), HangupRequested(True, 32)),
        (wire.ChannelHangupRequest(C, 16), HangupRequested(False, 16)),
        (wire.ChannelDtmfReceived(C, "#"), Digit("#")),
        (wire.PlaybackFinished(wire.PlaybackState("p1", "channel:c1", "done")), PlayFinished("p1", True)),
        (wire.PlaybackFinished(wire.PlaybackState("p1", "channel:c1", "failed")), PlayFinished("p1", False)),
        (wire.PlaybackFinished(wire.PlaybackState("p1", "bridge:bridge-c1", "done")), PlayFinished("p1")),
        (wire.RecordingStarted(RECORDING), RecordingStarted("r1")),
        (wire.RecordingFinished(RECORDING), RecordingFinished("r1")),
        (
            wire.RecordingFailed(wire.RecordingState("r1", "bridge:bridge-c1", "disk full")),
            RecordingFinished("r1", ok=False, reason="disk full"),
        ),
    ],
)
def test_each_event_becomes_what_it_means(event: wire.Wire, told: object) -> None:
    assert translate(event) == (None if told is None else ("c1", told))


def test_what_is_not_about_a_call_is_nothing() -> None:
    for target in ("bridge:b1", "bridge:bridge-", "endpoint:PJSIP/c1"):
        assert translate(wire.PlaybackFinished(wire.PlaybackState("p1", target, "done"))) is None
    assert translate(wire.ApplicationReplaced()) is None
    assert translate(wire.RESTResponse(200)) is None


@pytest.mark.parametrize(
    ("state", "app_name", "app_data", "expected"),
    [
        ("Down", "AppDial2", "(Outgoing Line)", Alive(ringing=False, up=False, ready=False)),
        ("Ringing", "AppDial2", "(Outgoing Line)", Alive(ringing=True, up=False, ready=False)),
        ("Up", "AppDial2", "(Outgoing Line)", Alive(ringing=False, up=True, ready=False)),
        ("Up", "Stasis", "orchestrator", Alive(ringing=False, up=True, ready=True)),
        ("Up", "Stasis", "orchestrator,an,argument", Alive(ringing=False, up=True, ready=True)),
        ("Up", "Stasis", "orchestrator2", Alive(ringing=False, up=True, ready=False)),
    ],
)
def test_a_snapshot_tells_how_far_the_channel_is(
    state: str, app_name: str, app_data: str, expected: Alive
) -> None:
    snapshot = wire.ChannelSnapshot("c1", state, wire.Dialplan(app_name, app_data))
    assert alive(snapshot, "orchestrator") == expected
