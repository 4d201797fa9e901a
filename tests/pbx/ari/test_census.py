"""Settling the difference after a connection. Tier: unit."""

from orchestrator.call.events import Alive, Gone
from orchestrator.pbx.ari import census, wire


def _channel(name: str, state: str, app: str = "") -> wire.ChannelSnapshot:
    dialplan = wire.Dialplan("Stasis", app) if app else wire.Dialplan("AppDial2", "(Outgoing Line)")
    return wire.ChannelSnapshot(name, state, dialplan)


LISTED = [
    _channel("ringing", "Ringing"),
    _channel("ready", "Up", "orchestrator"),
    _channel("stray-ringing", "Ringing"),
    _channel("stray-ready", "Up", "orchestrator,arg"),
    _channel("of-another-app", "Up", "other"),
    _channel("of-nobody", "Up"),
    _channel("being-dialled", "Down"),
]
SUBSCRIBED = ["ringing", "ready", "stray-ringing", "being-dialled", "no-longer-there"]


def test_each_channel_asked_about_is_told_alive_or_gone() -> None:
    found = census.take(LISTED, SUBSCRIBED, ["ringing", "ready", "ended"], [], "orchestrator")
    assert found.told == (
        ("ringing", Alive(ringing=True, up=False, ready=False)),
        ("ready", Alive(ringing=False, up=True, ready=True)),
        ("ended", Gone()),
    )


def test_strays_are_our_applications_channels_only_and_never_one_being_dialled() -> None:
    found = census.take(LISTED, SUBSCRIBED, ["ringing", "ready"], ["being-dialled"], "orchestrator")
    assert found.strays == ("stray-ringing", "stray-ready")


def test_a_channel_whose_originate_is_under_way_is_not_called_gone() -> None:
    found = census.take([], [], ["just-dialled"], ["just-dialled"], "orchestrator")
    assert found == census.Census((), ())


def _bridge(leg: str, *inside: str, name: str = "orchestrator") -> wire.BridgeSnapshot:
    return wire.BridgeSnapshot(f"bridge-{leg}", name, list(inside))


def test_a_bridge_is_deserted_once_no_call_that_we_know_lives_in_it() -> None:
    bridges = [
        _bridge("ready", "ready", "other"),  # both legs live, or the first
        _bridge("gone", "gone", "ringing"),  # the first is gone, the other lives
        _bridge("being-dialled"),  # made, and not entered yet
        _bridge("ended"),  # whose legs are gone
        _bridge("stray-ready", "stray-ready"),  # whose call nobody knows
        _bridge("of-another", name="orchestrator2"),
        wire.BridgeSnapshot("somebody's", "orchestrator", []),
    ]
    asked = ["ringing", "ready", "ended", "gone"]
    found = census.take(LISTED, SUBSCRIBED, asked, ["being-dialled"], "orchestrator", bridges)
    assert found.deserted == ("ended", "stray-ready")
