"""What an answer, or the lack of one, means to a callback's bridge and its recording. Pure.

| request         | answer                | told, or asked next                                         |
|-----------------|-----------------------|-------------------------------------------------------------|
| bridge (make)   | 2xx                   | both are to enter                                           |
|                 | 409 (it stands)       | ask who is in it                                            |
|                 | other                 | BridgeRefused                                               |
| inside (who is) | 200                   | who is missing is to enter; nobody: Bridged                 |
|                 | other                 | BridgeRefused                                               |
| join (enter)    | 2xx                   | Bridged                                                     |
|                 | other                 | BridgeRefused                                               |
| joined (are they) | 200, both are in    | Bridged                                                     |
|                 | other                 | BridgeRefused                                               |
| record          | 2xx                   | – (RecordingStarted comes)                                  |
|                 | 409 (there is one)    | ask whether it runs                                         |
|                 | other                 | RecordingFinished, not ok                                   |
| live (runs it)  | 200                   | RecordingStarted                                            |
|                 | 404                   | ask whether it is stored                                    |
| stored (is it)  | 200                   | RecordingFinished                                           |
|                 | 404                   | RecordingFinished, not ok                                   |
| stop_recording  | 404                   | ask whether it is stored                                    |
|                 | other                 | – (RecordingFinished comes)                                 |
| drop            | any                   | –                                                           |

A request of which nobody knows whether it arrived becomes the question that follows it: a bridge that was to
be made asks who is in it, a recording whether it runs. Only what never left is told at once. Those questions
outlive the connection: what Asterisk did stands, whether or not we could read its answer.
Who is in the bridge is asked first because Asterisk lets one that is in it leave and enter anew.
"""

from orchestrator.call.commands import Bridge, Record, StopRecording
from orchestrator.call.events import Bridged, BridgeRefused, RecordingFinished, RecordingStarted, Stage
from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.fates import Answer, Step, reason_of
from orchestrator.pbx.ari.requests import join, live, look_into, stored

_HERE_BEFORE = 409


def of_bridge(request: Bridge, answer: Answer) -> Step:
    if answer.ok:
        return Step(asks=(("join", join(request, (request.channel, request.other))),))
    if answer.status == _HERE_BEFORE:
        return Step(asks=(("inside", look_into(request)),))
    return _refused(answer)


def of_inside(request: Bridge, answer: Answer) -> Step:
    if not answer.ok:
        return _refused(answer)
    missing = _missing(request, answer)
    return Step(asks=(("join", join(request, missing)),)) if missing else Step((Bridged(),))


def of_join(answer: Answer) -> Step:
    return Step((Bridged(),)) if answer.ok else _refused(answer)


def of_joined(request: Bridge, answer: Answer) -> Step:
    if not answer.ok:
        return _refused(answer)
    if _missing(request, answer):
        return Step((BridgeRefused(0, "they did not enter the bridge in time"),))
    return Step((Bridged(),))


def of_record(request: Record, answer: Answer) -> Step:
    if answer.ok:
        return Step()
    if answer.status == _HERE_BEFORE:
        return Step(asks=(("live", live(request)),))
    return Step((RecordingFinished(request.recording, ok=False, reason=reason_of(answer)),))


def of_live(request: Record, answer: Answer) -> Step:
    if answer.ok:
        return Step((RecordingStarted(request.recording),))
    if answer.status == 404:
        return Step(asks=(("stored", stored(request.recording)),))
    return Step(open=True)


def of_stored(request: Record | StopRecording, answer: Answer) -> Step:
    if answer.ok:
        return Step((RecordingFinished(request.recording),))
    if answer.status == 404:
        return Step((RecordingFinished(request.recording, ok=False, reason="the PBX has none"),))
    return Step(open=True)


def of_stop(request: StopRecording, answer: Answer) -> Step:
    return Step(asks=(("stored", stored(request.recording)),)) if answer.status == 404 else Step()


def lost_bridge(kind: str, request: Bridge, stage: Stage, why: str) -> Step:
    """A request about a bridge without an answer."""
    if stage == "unconfirmed" and kind == "bridge":
        return Step(asks=(("inside", look_into(request)),))
    if stage == "unconfirmed" and kind in ("join", "joined"):
        return Step(asks=(("joined", look_into(request)),))
    return Step((BridgeRefused(0, why),))


def lost_recording(kind: str, request: Record | StopRecording, stage: Stage, why: str) -> Step:
    """A request about a recording without an answer."""
    if kind == "stored":
        return Step(asks=(("stored", stored(request.recording)),))
    if not isinstance(request, Record):
        return Step()  # whether it stopped, its own end tells
    if kind == "live" or stage == "unconfirmed":
        return Step(asks=(("live", live(request)),))
    return Step((RecordingFinished(request.recording, ok=False, reason=why),))


def _missing(request: Bridge, answer: Answer) -> list[str]:
    inside = wire.decode_bridge(answer.body).channels
    return [channel for channel in (request.channel, request.other) if channel not in inside]


def _refused(answer: Answer) -> Step:
    return Step((BridgeRefused(answer.status, reason_of(answer)),))
