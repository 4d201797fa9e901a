"""REST: `bridges`. Statuses, reasons and messages as measured on Asterisk 22.10.1."""

import asyncio
import uuid

from orchestrator.pbx.virtual.ari.bridge import KINDS, Bridge
from orchestrator.pbx.virtual.ari.channel import Channel
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.on_channels import playback_of, recording_of
from orchestrator.pbx.virtual.ari.request import NO_CONTENT, Answer, Request, fault, ok
from orchestrator.pbx.virtual.ari.tasks import Enter

Later = asyncio.Future[Answer]
"""An answer that comes when the switch has done it."""

_MISSING = fault(404, "Bridge not found", "Not found")


def listed(face: AriFace, request: Request) -> Answer:
    return ok([bridge.shape() for bridge in face.bridges.values()])


def one(face: AriFace, request: Request) -> Answer:
    bridge = face.bridges.get(request.ids[0])
    return fault(404, "Bridge not found") if bridge is None else ok(bridge.shape())


def create(face: AriFace, request: Request) -> Answer:
    given = request.ids[0] if request.ids else request.text("bridgeId")
    kind = request.text("type") or "mixing"
    if given in face.bridges:
        return fault(409, f"Bridge with id '{given}' already exists")
    if any(each not in KINDS for each in kind.split(",")):
        return fault(
            500,
            f"Unable to create bridge. Possible duplicate bridge id '{given or '(null)'}'",
            "Internal Error",
        )
    bridge_id = given or str(uuid.UUID(int=face.random.getrandbits(128), version=4))
    bridge = face.bridges[bridge_id] = Bridge(face, bridge_id, kind, request.text("name"))
    return ok(bridge.shape())


def destroy(face: AriFace, request: Request) -> Answer:
    bridge = face.bridges.pop(request.ids[0], None)
    if bridge is None:
        return _MISSING
    face.switch.timeline.soon(bridge.destroy)
    return NO_CONTENT


def add(face: AriFace, request: Request) -> Answer | Later:
    """Answered when all have entered; one that is being played to enters after that [measured]."""
    names = request.texts("channel")
    bridge = face.bridges.get(request.ids[0])
    if bridge is None:
        return _MISSING
    if not names:
        return fault(400, "Missing parameter channel")
    found = _channels(face, names)
    if isinstance(found, Answer):
        return found
    later: Later = asyncio.get_running_loop().create_future()
    waiting = len(found)

    def entered(well: bool) -> None:
        nonlocal waiting
        waiting -= 1
        if waiting == 0 and not later.done():
            later.set_result(NO_CONTENT)

    for channel in found:
        channel.do(Enter(channel, _entering(face, bridge, channel), entered))
    return later.result() if later.done() else later


def remove(face: AriFace, request: Request) -> Answer:
    names = request.texts("channel")
    bridge = face.bridges.get(request.ids[0])
    if bridge is None:
        return _MISSING
    if not names:
        return fault(400, "Missing parameter channel")
    found = _channels(face, names)
    if isinstance(found, Answer):
        return found
    if any(channel.bridge is not bridge for channel in found):
        return fault(422, "Channel not in this bridge")
    for channel in found:
        bridge.remove(channel)
    return NO_CONTENT


def play(face: AriFace, request: Request) -> Answer:
    bridge = face.bridges.get(request.ids[0])
    if bridge is None:
        return _MISSING
    playback = playback_of(face, request, bridge)
    if isinstance(playback, Answer):
        return playback
    bridge.playbacks.append(playback)
    face.switch.timeline.soon(playback.start)
    return ok(playback.shape(), 201, f"playbacks/{playback.id}")


def record(face: AriFace, request: Request) -> Answer:
    bridge = face.bridges.get(request.ids[0])
    if bridge is None:
        return _MISSING
    recording = recording_of(face, request, bridge)
    if isinstance(recording, Answer):
        return recording
    face.switch.timeline.soon(recording.start)
    return ok(recording.shape(), 201, f"recordings/live/{recording.name}")


def take(face: AriFace, request: Request) -> Answer:
    """What changes nothing that can be seen: music on hold."""
    return NO_CONTENT if request.ids[0] in face.bridges else _MISSING


def _entering(face: AriFace, bridge: Bridge, channel: Channel) -> "_Enters":
    return _Enters(face, bridge, channel)


class _Enters:
    """Enters the bridge, if both still live when its turn comes."""

    def __init__(self, face: AriFace, bridge: Bridge, channel: Channel) -> None:
        self._face = face
        self._bridge = bridge
        self._channel = channel

    def __call__(self) -> None:
        if self._channel.leg.alive and self._face.bridges.get(self._bridge.id) is self._bridge:
            self._bridge.add(self._channel)


def _channels(face: AriFace, names: list[str]) -> list[Channel] | Answer:
    found = [face.channels.get(name) for name in names]
    if any(channel is None for channel in found):
        return fault(400, "Channel not found")
    channels = [channel for channel in found if channel is not None]
    if any(not channel.stasis for channel in channels):
        return fault(422, "Channel not in Stasis application")
    return channels
