"""REST: `asterisk`, `applications`, `endpoints` and `events`. As measured on Asterisk 22.10.1."""

from typing import Any

from orchestrator.pbx.virtual.ari.apps import App
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.request import NO_CONTENT, Answer, Request, fault, ok
from orchestrator.pbx.virtual.ari.shapes import ENTITY, VERSION, Json, stamp

_MODULES = frozenset(
    {
        "bridge_simple.so",
        "bridge_softmix.so",
        "chan_bridge_media.so",
        "chan_pjsip.so",
        "format_pcm.so",
        "format_wav.so",
        "res_ari_bridges.so",
        "res_ari_channels.so",
        "res_ari_playbacks.so",
        "res_ari_recordings.so",
        "res_stasis_playback.so",
        "res_stasis_recording.so",
    }
)
"""Those of Asterisk's whose work is done here."""
_NO_APP = fault(404, "Application not found")


def ping(face: AriFace, request: Request) -> Answer:
    return ok({"ping": "pong", "timestamp": stamp(face.switch.timeline.now()), "asterisk_id": ENTITY})


def info(face: AriFace, request: Request) -> Answer:
    started = stamp(face.started_at)
    parts: Json = {
        "build": {
            "os": "Linux",
            "kernel": "unknown",
            "machine": "unknown",
            "options": "OPTIONAL_API",
            "date": "2026-01-01 00:00:00 UTC",
            "user": "nobody",
        },
        "system": {"version": VERSION, "entity_id": ENTITY},
        "config": {"name": "", "default_language": "en", "setid": {"user": "", "group": ""}},
        "status": {"startup_time": started, "last_reload_time": started},
    }
    only = request.texts("only")
    if any(each not in parts for each in only):
        return fault(400, "Invalid parameter only")
    return ok({name: part for name, part in parts.items() if not only or name in only})


def module(face: AriFace, request: Request) -> Answer:
    name = request.ids[0]
    if name not in _MODULES:
        return fault(404, "Module could not be found in running modules")
    return ok({"name": name, "description": "", "use_count": 0, "status": "Running", "support_level": "core"})


def variable(face: AriFace, request: Request) -> Answer:
    if not request.text("variable"):
        return fault(400, "Variable name is required")
    return ok({"value": ""}) if request.method == "GET" else NO_CONTENT


def applications(face: AriFace, request: Request) -> Answer:
    return ok([app.shape() for app in face.apps.all()])


def application(face: AriFace, request: Request) -> Answer:
    app = face.apps.get(request.ids[0])
    return _NO_APP if app is None else ok(app.shape())


def set_filter(face: AriFace, request: Request) -> Answer:
    app = face.apps.get(request.ids[0])
    if app is None:
        return _NO_APP
    lists: list[list[Json] | None] = []
    for name in ("allowed", "disallowed"):
        given = request.body.get(name, None if request.body else [])
        if given is not None and not _is_filter(given):
            return fault(400, "Invalid format definition")
        lists.append(given)
    app.filter(*lists)
    return ok(app.shape())


def subscribe(face: AriFace, request: Request) -> Answer:
    """`POST` and `DELETE applications/{name}/subscription`."""
    app = face.apps.get(request.ids[0])
    if app is None:
        return _NO_APP
    sources = request.texts("eventSource")
    if not sources:
        return fault(400, "Missing parameter eventSource")
    found = [_subscribed(face, app, source) for source in sources]
    for source, (where, name) in zip(sources, found, strict=True):
        if where is None:
            unknown = not source.startswith(("channel:", "bridge:", "endpoint:"))
            message = "Invalid event source" if unknown else "Event source does not exist"
            return fault(400 if unknown else 422, message)
        if request.method == "POST":
            where[name] = None
        elif name in where:
            del where[name]
        else:
            return fault(409, "Application not subscribed to event source")
    shape = ok(app.shape())
    face.apps.settle(app)
    return shape


def user_event(face: AriFace, request: Request) -> Answer:
    app = face.apps.get(request.text("application"))
    if app is None:
        return _NO_APP
    name = request.ids[0]
    for source in request.texts("source"):
        if _subscribed(face, app, source)[0] is None:
            return fault(422, "Event source was not found")
    variables = request.body.get("variables")
    fields: Json = dict(variables) if isinstance(variables, dict) else {}
    told = {"eventname": name, "userevent": {**fields, "eventname": name}}
    face.switch.timeline.soon(lambda: app.send("ChannelUserevent", face.switch.timeline.now(), told))
    return NO_CONTENT


def endpoints(face: AriFace, request: Request) -> Answer:
    return ok([_endpoint(face, trunk) for trunk in sorted(face.trunks)])


def endpoint(face: AriFace, request: Request) -> Answer:
    technology, trunk = request.ids
    if technology != "PJSIP" or (face.trunks and trunk not in face.trunks):
        return fault(404, "Endpoint not found")
    return ok(_endpoint(face, trunk))


def _endpoint(face: AriFace, trunk: str) -> Json:
    ids = [channel.leg.id for channel in face.channels.values() if channel.name.startswith(f"PJSIP/{trunk}-")]
    return {"technology": "PJSIP", "resource": trunk, "state": "online", "channel_ids": ids}


def _subscribed(face: AriFace, app: App, source: str) -> tuple[dict[str, None] | None, str]:
    kind, _, name = source.partition(":")
    match kind:
        case "channel" if name in face.channels:
            return app.channels, name
        case "bridge" if name in face.bridges:
            return app.bridges, name
        case "endpoint" if name.startswith("PJSIP/"):
            return app.endpoints, name
        case _:
            return None, name


def _is_filter(given: Any) -> bool:
    return isinstance(given, list) and all(
        isinstance(each, dict) and isinstance(each.get("type"), str) for each in given
    )
