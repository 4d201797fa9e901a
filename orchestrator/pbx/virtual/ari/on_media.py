"""REST: `playbacks`, `recordings` and `sounds`. As measured on Asterisk 22.10.1."""

from collections.abc import Iterable

from orchestrator.audio.g711 import encode_alaw, encode_ulaw
from orchestrator.pbx.virtual.ari.face import AriFace
from orchestrator.pbx.virtual.ari.request import NO_CONTENT, Answer, Request, fault, ok
from orchestrator.pbx.virtual.ari.shapes import Json
from orchestrator.pbx.virtual.wav import wav_bytes

_NO_PLAYBACK = fault(404, "Playback not found")
_NO_RECORDING = fault(404, "Recording not found")
_OPERATIONS = frozenset({"restart", "pause", "unpause", "reverse", "forward"})


def playback(face: AriFace, request: Request) -> Answer:
    found = face.playbacks.get(request.ids[0])
    return _NO_PLAYBACK if found is None else ok(found.shape())


def stop_playback(face: AriFace, request: Request) -> Answer:
    found = face.playbacks.get(request.ids[0])
    if found is None:
        return _NO_PLAYBACK
    if not found.stoppable:
        return fault(500, "Could not stop playback", "Internal Server Error")
    face.switch.timeline.soon(found.stop)
    return NO_CONTENT


def control_playback(face: AriFace, request: Request) -> Answer:
    operation = request.text("operation")
    if not operation:
        return fault(400, "Missing operation")
    if operation not in _OPERATIONS:
        return fault(400, f"Invalid operation {operation}")
    found = face.playbacks.get(request.ids[0])
    if found is None:
        return _NO_PLAYBACK
    return NO_CONTENT if found.control(operation) else fault(409, "Operation failed")


def live(face: AriFace, request: Request) -> Answer:
    found = face.recordings.get(request.ids[0])
    return _NO_RECORDING if found is None else ok(found.shape())


def stop_recording(face: AriFace, request: Request) -> Answer:
    """`POST …/stop` keeps it, `DELETE` discards it."""
    found = face.recordings.get(request.ids[0])
    if found is None:
        return _NO_RECORDING
    keep = request.method == "POST"
    face.switch.timeline.soon(lambda: found.finish(keep))
    return NO_CONTENT


def take_recording(face: AriFace, request: Request) -> Answer:
    """Pausing and muting: taken, and the recording goes on."""
    return NO_CONTENT if request.ids[0] in face.recordings else _NO_RECORDING


def stored_list(face: AriFace, request: Request) -> Answer:
    return ok([stored.shape() for stored in face.stored.values()])


def stored(face: AriFace, request: Request) -> Answer:
    found = face.stored.get(request.ids[0])
    return _NO_RECORDING if found is None else ok(found.shape())


def stored_file(face: AriFace, request: Request) -> Answer:
    found = face.stored.get(request.ids[0])
    if found is None:
        return _NO_RECORDING
    pcm = found.ear.pcm(found.ended)
    match found.format:
        case "wav":
            return Answer(200, "OK", wav_bytes(pcm), "audio/wav")
        case "ulaw":
            return Answer(200, "OK", encode_ulaw(pcm), "application/octet-stream")
        case "alaw":
            return Answer(200, "OK", encode_alaw(pcm), "application/octet-stream")
        case _:
            return Answer(200, "OK", pcm, "application/octet-stream")


def delete_stored(face: AriFace, request: Request) -> Answer:
    return _NO_RECORDING if face.stored.pop(request.ids[0], None) is None else NO_CONTENT


def sounds(face: AriFace, request: Request) -> Answer:
    language, kind = request.text("lang"), request.text("format")
    listed = (
        each
        for each in face.switch.clips.listed()
        if (not language or each[0] == language) and (not kind or each[2] == kind)
    )
    shapes = _sound_shapes(listed)
    return ok(shapes) if shapes else fault(404, "No sounds found that matched the query")


def sound(face: AriFace, request: Request) -> Answer:
    wanted = request.ids[0]
    shapes = _sound_shapes(each for each in face.switch.clips.listed() if each[1] == wanted)
    return ok(shapes[0]) if shapes else fault(404, "Sound not found")


def _sound_shapes(listed: Iterable[tuple[str, str, str]]) -> list[Json]:
    by_name: dict[str, list[Json]] = {}
    for language, name, kind in listed:
        formats = by_name.setdefault(name, [])
        shape = {"language": language, "format": kind}
        if shape not in formats:
            formats.append(shape)
    return [{"id": name, "formats": formats} for name, formats in by_name.items()]
