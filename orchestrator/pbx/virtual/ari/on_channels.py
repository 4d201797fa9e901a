"""REST: `channels`. Statuses, reasons and messages as measured on Asterisk 22.10.1."""

import re
import uuid

from orchestrator.pbx.virtual.ari.channel import Channel
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.playback import Playback, Target
from orchestrator.pbx.virtual.ari.recording import FORMATS, Recording, Source
from orchestrator.pbx.virtual.ari.request import NO_CONTENT, Answer, Request, fault, ok
from orchestrator.pbx.virtual.ari.shapes import encode
from orchestrator.pbx.virtual.ari.tasks import SendKeys
from orchestrator.pbx.virtual.ari.to_channel import ToChannel
from orchestrator.pbx.virtual.callees import KEYS
from orchestrator.pbx.virtual.causes import NORMAL
from orchestrator.pbx.virtual.switch import IdTaken, TooFast, TooManyLegs

_REASONS = {
    "normal": 16,
    "busy": 17,
    "congestion": 34,
    "no_answer": 19,
    "timeout": 102,
    "rejected": 21,
    "unallocated": 1,
    "normal_unspecified": 31,
    "number_incomplete": 28,
    "codec_mismatch": 58,
    "interworking": 127,
    "failure": 38,
    "answered_elsewhere": 26,
}
_CALLER = re.compile(r'\s*"?([^"<]*?)"?\s*<([^>]*)>\s*')
_MAX_ID = 149
_MISSING = fault(404, "Channel not found")
_NOT_OURS = fault(409, "Channel not in Stasis application")
_NO_LEG = Answer(500, "Internal Server Error", encode({"error": "Allocation failed"}))


def listed(face: AriFace, request: Request) -> Answer:
    return ok([channel.shape() for channel in face.channels.values()])


def one(face: AriFace, request: Request) -> Answer:
    channel = face.channels.get(request.ids[0])
    return _MISSING if channel is None else ok(channel.shape())


def originate(face: AriFace, request: Request) -> Answer:
    """Make a channel and ring: `POST channels` and `POST channels/{id}`."""
    made = _make(face, request, rings=True)
    if isinstance(made, Answer):
        return made
    face.switch.timeline.soon(lambda: made.tell_dial("") if made.leg.alive else None)
    timeout = request.number("timeout", 30)
    face.switch.ring(made.leg, timeout if timeout > 0 else None)
    return ok(made.shape())


def create(face: AriFace, request: Request) -> Answer:
    """Make a channel that is in its application at once and rings only when it is told to."""
    made = _make(face, request, rings=False)
    if isinstance(made, Answer):
        return made
    made.bare = True
    made.plan = made.outside
    made.dialled = False
    face.switch.timeline.soon(made.begin_in_stasis)
    return ok(made.shape())


def dial(face: AriFace, request: Request) -> Answer:
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    if channel.dialled:
        return fault(409, "Channel is not in the correct state to be dialled")
    channel.dialled = True
    face.switch.timeline.soon(lambda: channel.tell_dial(""))
    timeout = request.number("timeout", 0)
    face.switch.ring(channel.leg, timeout if timeout > 0 else None)
    return NO_CONTENT


def hang_up(face: AriFace, request: Request) -> Answer:
    channel = face.channels.get(request.ids[0])
    if channel is None:
        return _MISSING
    reason, code = request.text("reason"), request.text("reason_code")
    if reason and code:
        return fault(400, "The reason and reason_code query parameters can't both be specified")
    if reason and reason not in _REASONS:
        return fault(400, "Invalid reason for hangup reason provided", "Invalid Reason")
    cause = _REASONS[reason] if reason else request.number("reason_code", NORMAL)
    face.switch.timeline.soon(lambda: channel.hang_up(cause))
    return NO_CONTENT


def answer(face: AriFace, request: Request) -> Answer:
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    if channel.state != "Up":
        face.switch.timeline.soon(lambda: face.switch.answer(channel.leg))
    return NO_CONTENT


def take(face: AriFace, request: Request) -> Answer:
    """What changes nothing that can be seen: ringing tones, hold, music, silence."""
    channel = _in_stasis(face, request)
    return channel if isinstance(channel, Answer) else NO_CONTENT


def mute(face: AriFace, request: Request) -> Answer:
    direction = request.text("direction")
    if not direction:
        return fault(400, "Direction is required")
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    if direction not in ("both", "in", "out"):
        return fault(400, "Invalid direction specified")
    channel.muted = direction if request.method == "POST" else ""
    return NO_CONTENT


def go_on(face: AriFace, request: Request) -> Answer:
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    face.switch.timeline.soon(lambda: channel.go_on() if channel.leg.alive else None)
    return NO_CONTENT


def send_keys(face: AriFace, request: Request) -> Answer:
    keys = request.text("dtmf")
    if not keys:
        return fault(400, "DTMF is required")
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    each = request.number("duration", 100) + request.number("between", 100)
    millis = request.number("before") + len(keys) * max(0, each) + request.number("after")
    timeline = face.switch.timeline
    keys = "".join(key for key in keys.upper() if key in KEYS)
    channel.do(SendKeys(channel, lambda act: timeline.at(timeline.now() + max(0, millis) / 1000, act), keys))
    return NO_CONTENT


def get_variable(face: AriFace, request: Request) -> Answer:
    name = request.text("variable")
    if not name:
        return fault(400, "Variable name is required")
    channel = face.channels.get(request.ids[0])
    if channel is None:
        return fault(404, "Provided channel was not found", "Channel Not Found")
    value = channel.variable(name)
    if value is None:
        return fault(404, "Provided variable was not found", "Variable Not Found")
    return ok({"value": value})


def set_variable(face: AriFace, request: Request) -> Answer:
    name, value = request.text("variable"), request.text("value")
    if not name:
        return fault(400, "Variable name is required")
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    channel.set_variable(name, value)
    face.switch.timeline.soon(lambda: channel.tell("ChannelVarset", {"variable": name, "value": value}))
    return NO_CONTENT


def play(face: AriFace, request: Request) -> Answer:
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    playback = playback_of(face, request, ToChannel(face, channel))
    if isinstance(playback, Answer):
        return playback
    face.switch.timeline.soon(lambda: _begin(face, channel, playback))
    return ok(playback.shape(), 201, f"playbacks/{playback.id}")


def record(face: AriFace, request: Request) -> Answer:
    unfit = _unfit_length(request)
    if unfit is not None:
        return unfit
    channel = _in_stasis(face, request)
    if isinstance(channel, Answer):
        return channel
    recording = recording_of(face, request, ToChannel(face, channel))
    if isinstance(recording, Answer):
        return recording
    face.switch.timeline.soon(lambda: _begin(face, channel, recording))
    return ok(recording.shape(), 201, f"recordings/live/{recording.name}")


def playback_of(face: AriFace, request: Request, target: Target) -> Playback | Answer:
    """The playback that a request describes, queued."""
    media = request.texts("media")
    if not media:
        return fault(500, "Failed to queue media for playback")
    playback_id = request.ids[1] if len(request.ids) > 1 else request.text("playbackId")
    language = request.text("lang") or "en"
    playback = Playback(
        face.switch.timeline,
        playback_id or str(uuid.UUID(int=face.random.getrandbits(128), version=4)),
        media,
        target,
        lambda uri: face.find_media(uri, language),
        language=language,
        skip=max(0, request.number("offsetms")) / 1000,
    )
    face.playbacks[playback.id] = playback
    return playback


def recording_of(face: AriFace, request: Request, source: Source) -> Recording | Answer:
    """The recording that a request describes, queued."""
    name, kind = request.text("name"), request.text("format")
    if not name:
        return fault(500, "Error parsing request")
    if not kind:
        # Asterisk 22.10.1 crashes here [measured]; that is one thing that is not copied.
        return fault(400, "Missing parameter format")
    if kind not in FORMATS:
        return fault(422, "specified format is unknown on this system")
    if request.text("ifExists") not in ("", "fail", "overwrite", "append"):
        return fault(400, "ifExists invalid")
    if request.text("terminateOn") not in ("", "none", "any", "*", "#"):
        return fault(400, "terminateOn invalid")
    if name in face.recordings or (name in face.stored and request.text("ifExists") in ("", "fail")):
        return fault(409, f"Recording '{name}' already exists and can not be overwritten")
    recording = Recording(
        face,
        name,
        kind,
        source,
        longest=request.number("maxDurationSeconds"),
        ended_by=request.text("terminateOn"),
    )
    face.recordings[name] = recording
    return recording


def _begin(face: AriFace, channel: Channel, task: Playback | Recording) -> None:
    if channel.stasis:
        channel.do(task)
    else:
        task.abort()


def _unfit_length(request: Request) -> Answer | None:
    for name, word in (("maxDurationSeconds", "duration"), ("maxSilenceSeconds", "silence")):
        if request.number(name) < 0:
            return fault(400, f"max_{word}_seconds cannot be negative")
    return None


def _in_stasis(face: AriFace, request: Request) -> Channel | Answer:
    channel = face.channels.get(request.ids[0])
    if channel is None:
        return _MISSING
    return channel if channel.stasis else _NOT_OURS


def _make(face: AriFace, request: Request, rings: bool) -> Channel | Answer:
    endpoint, app = request.text("endpoint"), request.text("app")
    if not endpoint:
        return fault(400, "Endpoint must be specified")
    technology, slash, resource = endpoint.partition("/")
    if not slash or not resource:
        return fault(400, "Invalid endpoint specified")
    if not app and (not request.text("extension") or not rings):
        return fault(400, "Application or extension must be specified")
    channel_id = (request.ids[0] if request.ids else request.text("channelId")) or _id(face)
    if len(channel_id) > _MAX_ID:
        return fault(400, f"Uniqueid length exceeds maximum of {_MAX_ID}")
    variables = request.body.get("variables")
    unfit = _unfit_variables(variables)
    if unfit is not None:
        return unfit
    number, at, trunk = resource.partition("@")
    if technology != "PJSIP" or not at or (face.trunks and trunk not in face.trunks):
        return _NO_LEG
    name, caller = _caller(request.text("callerId"))
    args = [each for each in request.text("appArgs").split(",") if each]
    channel = Channel(face, trunk, resource, app, args, name)
    try:
        channel.leg = face.switch.create(channel_id, number, caller, channel)
    except IdTaken:
        return fault(409, "Channel with given unique ID already exists")
    except (TooManyLegs, TooFast):
        return _NO_LEG
    if isinstance(variables, dict):
        for key, value in variables.items():
            _set(channel, key, value if isinstance(value, str) else str(value["value"]))
    face.channels[channel_id] = channel
    known = face.apps.get(app)
    if known is not None:
        known.channels[channel_id] = None
    return channel


def _set(channel: Channel, name: str, value: str) -> None:
    if name == "CALLERID(name)":
        channel.caller_name = value
    else:
        channel.set_variable(name, value)


def _id(face: AriFace) -> str:
    return f"{int(face.switch.timeline.now())}.{face.random.getrandbits(32)}"


def _caller(text: str) -> tuple[str, str]:
    """Name and number of `"Name" <number>`, or a bare number."""
    found = _CALLER.fullmatch(text)
    return (found[1], found[2]) if found else ("", text)


def _unfit_variables(variables: object) -> Answer | None:
    if not isinstance(variables, dict):
        return None
    for value in variables.values():
        if not isinstance(value, str) and not (
            isinstance(value, dict) and isinstance(value.get("value"), str)
        ):
            return fault(
                400,
                "Each value in 'variables' must be a string or an object with 'value' and optional "
                "'report_events'",
            )
    return None
