"""Which request does what: one table, walked segment by segment, also read by the API's own description."""

from collections.abc import Callable
from typing import Final

import msgspec

from orchestrator.pbx.virtual.ari import on_bridges, on_channels, on_media, on_system
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.on_bridges import Later
from orchestrator.pbx.virtual.ari.request import Answer, Request, fault
from orchestrator.pbx.virtual.ari.shapes import encode

Handler = Callable[[AriFace, Request], Answer | Later]


class Operation(msgspec.Struct, frozen=True):
    """One request that is understood. `{…}` in the path stands for any text; `name` is ARI's nickname for it.

    `parameters` are those of the query or the body; `[]` behind one says that it may be a list.
    """

    method: str
    path: str
    name: str
    handler: Handler
    parameters: str = ""


_ORIGINATE = "endpoint extension context priority label app appArgs callerId timeout originator formats"
_RECORD = "name format maxDurationSeconds maxSilenceSeconds ifExists beep terminateOn"

OPERATIONS: Final = (
    Operation("GET", "applications", "list", on_system.applications),
    Operation("GET", "applications/{applicationName}", "get", on_system.application),
    Operation("PUT", "applications/{applicationName}/eventFilter", "filter", on_system.set_filter),
    Operation(
        "POST",
        "applications/{applicationName}/subscription",
        "subscribe",
        on_system.subscribe,
        "eventSource[]",
    ),
    Operation(
        "DELETE",
        "applications/{applicationName}/subscription",
        "unsubscribe",
        on_system.subscribe,
        "eventSource[]",
    ),
    Operation("GET", "asterisk/info", "getInfo", on_system.info, "only[]"),
    Operation("GET", "asterisk/ping", "ping", on_system.ping),
    Operation("GET", "asterisk/modules/{moduleName}", "getModule", on_system.module),
    Operation("GET", "asterisk/variable", "getGlobalVar", on_system.variable, "variable"),
    Operation("POST", "asterisk/variable", "setGlobalVar", on_system.variable, "variable value"),
    Operation("GET", "bridges", "list", on_bridges.listed),
    Operation("POST", "bridges", "create", on_bridges.create, "type bridgeId name"),
    Operation("POST", "bridges/{bridgeId}", "createWithId", on_bridges.create, "type name"),
    Operation("GET", "bridges/{bridgeId}", "get", on_bridges.one),
    Operation("DELETE", "bridges/{bridgeId}", "destroy", on_bridges.destroy),
    Operation("POST", "bridges/{bridgeId}/addChannel", "addChannel", on_bridges.add, "channel[] role"),
    Operation("POST", "bridges/{bridgeId}/removeChannel", "removeChannel", on_bridges.remove, "channel[]"),
    Operation("POST", "bridges/{bridgeId}/moh", "startMoh", on_bridges.take, "mohClass"),
    Operation("DELETE", "bridges/{bridgeId}/moh", "stopMoh", on_bridges.take),
    Operation(
        "POST", "bridges/{bridgeId}/play", "play", on_bridges.play, "media[] lang offsetms skipms playbackId"
    ),
    Operation(
        "POST",
        "bridges/{bridgeId}/play/{playbackId}",
        "playWithId",
        on_bridges.play,
        "media[] lang offsetms skipms",
    ),
    Operation("POST", "bridges/{bridgeId}/record", "record", on_bridges.record, _RECORD),
    Operation("GET", "channels", "list", on_channels.listed),
    Operation("POST", "channels", "originate", on_channels.originate, f"{_ORIGINATE} channelId"),
    Operation(
        "POST",
        "channels/create",
        "create",
        on_channels.create,
        "endpoint app appArgs channelId originator formats",
    ),
    Operation("GET", "channels/{channelId}", "get", on_channels.one),
    Operation("POST", "channels/{channelId}", "originateWithId", on_channels.originate, _ORIGINATE),
    Operation("DELETE", "channels/{channelId}", "hangup", on_channels.hang_up, "reason_code reason"),
    Operation(
        "POST", "channels/{channelId}/continue", "continueInDialplan", on_channels.go_on, "context extension"
    ),
    Operation("POST", "channels/{channelId}/dial", "dial", on_channels.dial, "caller timeout"),
    Operation("POST", "channels/{channelId}/answer", "answer", on_channels.answer),
    Operation("POST", "channels/{channelId}/ring", "ring", on_channels.take),
    Operation("DELETE", "channels/{channelId}/ring", "ringStop", on_channels.take),
    Operation(
        "POST",
        "channels/{channelId}/dtmf",
        "sendDTMF",
        on_channels.send_keys,
        "dtmf before between duration after",
    ),
    Operation("POST", "channels/{channelId}/mute", "mute", on_channels.mute, "direction"),
    Operation("DELETE", "channels/{channelId}/mute", "unmute", on_channels.mute, "direction"),
    Operation("POST", "channels/{channelId}/hold", "hold", on_channels.take),
    Operation("DELETE", "channels/{channelId}/hold", "unhold", on_channels.take),
    Operation("POST", "channels/{channelId}/moh", "startMoh", on_channels.take, "mohClass"),
    Operation("DELETE", "channels/{channelId}/moh", "stopMoh", on_channels.take),
    Operation("POST", "channels/{channelId}/silence", "startSilence", on_channels.take),
    Operation("DELETE", "channels/{channelId}/silence", "stopSilence", on_channels.take),
    Operation(
        "POST",
        "channels/{channelId}/play",
        "play",
        on_channels.play,
        "media[] lang offsetms skipms playbackId",
    ),
    Operation(
        "POST",
        "channels/{channelId}/play/{playbackId}",
        "playWithId",
        on_channels.play,
        "media[] lang offsetms skipms",
    ),
    Operation("POST", "channels/{channelId}/record", "record", on_channels.record, _RECORD),
    Operation("GET", "channels/{channelId}/variable", "getChannelVar", on_channels.get_variable, "variable"),
    Operation(
        "POST", "channels/{channelId}/variable", "setChannelVar", on_channels.set_variable, "variable value"
    ),
    Operation("GET", "endpoints", "list", on_system.endpoints),
    Operation("GET", "endpoints/{tech}/{resource}", "get", on_system.endpoint),
    Operation("POST", "events/user/{eventName}", "userEvent", on_system.user_event, "application source[]"),
    Operation("GET", "playbacks/{playbackId}", "get", on_media.playback),
    Operation("DELETE", "playbacks/{playbackId}", "stop", on_media.stop_playback),
    Operation("POST", "playbacks/{playbackId}/control", "control", on_media.control_playback, "operation"),
    Operation("GET", "recordings/stored", "listStored", on_media.stored_list),
    Operation("GET", "recordings/stored/{recordingName}", "getStored", on_media.stored),
    Operation("DELETE", "recordings/stored/{recordingName}", "deleteStored", on_media.delete_stored),
    Operation("GET", "recordings/stored/{recordingName}/file", "getStoredFile", on_media.stored_file),
    Operation("GET", "recordings/live/{recordingName}", "getLive", on_media.live),
    Operation("DELETE", "recordings/live/{recordingName}", "cancel", on_media.stop_recording),
    Operation("POST", "recordings/live/{recordingName}/stop", "stop", on_media.stop_recording),
    Operation("POST", "recordings/live/{recordingName}/pause", "pause", on_media.take_recording),
    Operation("DELETE", "recordings/live/{recordingName}/pause", "unpause", on_media.take_recording),
    Operation("POST", "recordings/live/{recordingName}/mute", "mute", on_media.take_recording),
    Operation("DELETE", "recordings/live/{recordingName}/mute", "unmute", on_media.take_recording),
    Operation("GET", "sounds", "list", on_media.sounds, "lang format"),
    Operation("GET", "sounds/{soundId}", "get", on_media.sound),
)


class _Place:
    """What may follow a path so far."""

    __slots__ = ("any", "methods", "named")

    def __init__(self) -> None:
        self.named: dict[str, _Place] = {}
        self.any: _Place | None = None
        self.methods: dict[str, Handler] = {}


def _grow() -> _Place:
    root = _Place()
    for operation in OPERATIONS:
        place = root
        for part in operation.path.split("/"):
            if not part.startswith("{"):
                place = place.named.setdefault(part, _Place())
            else:
                place.any = place.any or _Place()
                place = place.any
        place.methods[operation.method] = operation.handler
    return root


_ROOT: Final = _grow()
_NOT_FOUND: Final = fault(404, "Resource not found")


def dispatch(face: AriFace, request: Request) -> Answer | Later:
    """Do what is asked. Never raises for anything that a client may send."""
    place = _ROOT
    for part in request.segments:
        following = place.named.get(part)
        if following is None:
            following = place.any
            if following is None:
                return _NOT_FOUND
            request.ids.append(part)
        place = following
    handler = place.methods.get(request.method)
    if handler is not None:
        return handler(face, request)
    if not request.segments:
        return _NOT_FOUND
    allowed = ("Allow", ",".join(["OPTIONS", *place.methods]))
    if request.method == "OPTIONS":
        return Answer(204, "No Content", headers=(allowed,))
    return Answer(405, "Method Not Allowed", encode({"message": "Invalid method"}), headers=(allowed,))
