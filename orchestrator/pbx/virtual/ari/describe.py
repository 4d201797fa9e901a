"""The API's description of itself (`/ari/api-docs`), Swagger 1.1 as Asterisk serves it, read from the routes.

Clients that build themselves from it, such as asyncari, need it.
"""

import re
from itertools import groupby
from typing import Final

from orchestrator.pbx.virtual.ari.request import Answer, fault, ok
from orchestrator.pbx.virtual.ari.routes import OPERATIONS, Operation
from orchestrator.pbx.virtual.ari.shapes import Json

_HEAD: Final[Json] = {"apiVersion": "10.0.0", "swaggerVersion": "1.1"}
_ENDING = ".json"
_BODIES: Final = {"originate": "variables", "originateWithId": "variables", "filter": "filter"}
_EVENTS: Final = {
    "ApplicationReplaced": "",
    "BridgeDestroyed": "bridge:Bridge",
    "ChannelDestroyed": "channel:Channel cause:int cause_txt:string tech_cause:int",
    "ChannelDialplan": "channel:Channel dialplan_app:string dialplan_app_data:string",
    "ChannelDtmfReceived": "channel:Channel digit:string duration_ms:int",
    "ChannelEnteredBridge": "bridge:Bridge channel:Channel",
    "ChannelHangupRequest": "channel:Channel cause:int soft:boolean tech_cause:int",
    "ChannelLeftBridge": "bridge:Bridge channel:Channel",
    "ChannelStateChange": "channel:Channel",
    "ChannelUserevent": "eventname:string userevent:object",
    "ChannelVarset": "channel:Channel variable:string value:string",
    "Dial": "peer:Channel dialstatus:string dialstring:string forward:string",
    "PlaybackContinuing": "playback:Playback",
    "PlaybackFinished": "playback:Playback",
    "PlaybackStarted": "playback:Playback",
    "RecordingFinished": "recording:LiveRecording",
    "RecordingStarted": "recording:LiveRecording",
    "StasisEnd": "channel:Channel",
    "StasisStart": "channel:Channel args:List[string]",
}
"""Every event that is told, and the types of its fields."""
_EVERY_EVENT: Final = "type:string timestamp:Date asterisk_id:string application:string"
_WEBSOCKET: Final[Json] = {
    "path": "/events",
    "description": "Events from Asterisk to applications",
    "operations": [
        {
            "httpMethod": "GET",
            "upgrade": "websocket",
            "websocketProtocol": "ari",
            "nickname": "eventWebsocket",
            "summary": "WebSocket connection for events",
            "responseClass": "Message",
            "parameters": [
                {
                    "name": "app",
                    "paramType": "query",
                    "required": True,
                    "allowMultiple": True,
                    "dataType": "string",
                },
                {
                    "name": "subscribeAll",
                    "paramType": "query",
                    "required": False,
                    "allowMultiple": False,
                    "dataType": "boolean",
                },
            ],
        }
    ],
}


def page(name: str, origin: str) -> Answer:
    """One page of the description; `origin` is how the client reached us."""
    groups = sorted({_group(operation) for operation in OPERATIONS} | {"events"})
    base = {**_HEAD, "basePath": f"{origin}/ari"}
    if name == f"resources{_ENDING}":
        apis = [{"path": f"/api-docs/{group}.{{format}}", "description": f"{group} API"} for group in groups]
        return ok({**base, "apis": apis})
    group = name.removesuffix(_ENDING)
    if not name.endswith(_ENDING) or group not in groups:
        return fault(404, "Resource not found")
    paths = groupby(
        sorted((each for each in OPERATIONS if _group(each) == group), key=lambda each: each.path),
        key=lambda each: each.path,
    )
    found = [
        {"path": f"/{path}", "description": path, "operations": [_operation(each) for each in operations]}
        for path, operations in paths
    ]
    models: Json = {}
    if group == "events":
        found.append(_WEBSOCKET)
        models = {name: _model(name, f"{_EVERY_EVENT} {fields}") for name, fields in _EVENTS.items()}
    return ok({**base, "resourcePath": f"/api-docs/{group}.{{format}}", "apis": found, "models": models})


def _model(name: str, fields: str) -> Json:
    properties = dict(field.split(":") for field in fields.split())
    return {"id": name, "properties": {field: {"type": kind} for field, kind in properties.items()}}


def _group(operation: Operation) -> str:
    return operation.path.partition("/")[0]


def _operation(operation: Operation) -> Json:
    parameters = [_parameter(name, "path") for name in re.findall(r"\{(\w+)\}", operation.path)]
    parameters += [_parameter(name, "query") for name in operation.parameters.split()]
    if operation.name in _BODIES:
        parameters.append(_parameter(_BODIES[operation.name], "body"))
    return {
        "httpMethod": operation.method,
        "nickname": operation.name,
        "summary": operation.name,
        "responseClass": "void",
        "parameters": parameters,
    }


def _parameter(name: str, where: str) -> Json:
    return {
        "name": name.removesuffix("[]"),
        "paramType": where,
        "required": where == "path",
        "allowMultiple": name.endswith("[]"),
        "dataType": "containers" if where == "body" else "string",
    }
