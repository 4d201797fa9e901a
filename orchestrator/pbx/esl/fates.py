"""What an answer, or the lack of one, means to a call. Pure; the table of fates in one place.

| request  | answer                               | told                                                  |
|----------|--------------------------------------|-------------------------------------------------------|
| originate| its channel is created               | Accepted (the event itself; see `translate`)          |
|          | reply -ERR                           | Refused(403)                                          |
|          | job +OK                              | Accepted                                              |
|          | job -ERR, no session was made        | ask for the channel: there: Accepted; not: Refused(503)|
|          | job -ERR of what was never sent      | Refused                                               |
|          | job -ERR with another cause          | Ended                                                 |
| play     | reply +OK                            | – (CHANNEL_EXECUTE tells that it began)               |
|          | reply -ERR                           | PlayRefused(404): the channel is gone                 |
| stop     | any                                  | – (the playback's own end tells)                      |
| bridge   | first: the other's id                | Bridged: it stands already                            |
|          | first: -ERR                          | BridgeRefused(404): the channel is gone               |
|          | first: another                       | what bridges them is sent                             |
|          | then: +OK                            | – (CHANNEL_BRIDGE tells that it stands)               |
|          | then: -ERR Invalid uuid              | BridgeRefused(404): one of them is gone               |
|          | then: other                          | BridgeRefused(409)                                    |
| record   | +OK                                  | RecordingStarted, also for one that runs              |
|          | -ERR                                 | RecordingFinished(not ok)                             |
|          | none, and it had left                | –: it may run, and is asked for again                 |
| stop it  | +OK                                  | – (RECORD_STOP tells)                                 |
|          | -ERR: it does not run                | ask whether its file is there                         |
| kept     | true                                 | RecordingFinished: it was over already                |
|          | other                                | RecordingFinished(not ok): there is none              |
| drop     | any                                  | –                                                     |
| hang-up  | +OK                                  | –                                                     |
|          | -ERR No such channel                 | HangupRefused(gone)                                   |
|          | other                                | HangupRefused                                         |
| ask      | the channel as JSON                  | Alive, or Ended when it is hung up already            |
|          | -ERR No such channel                 | Gone                                                  |
|          | other                                | asked again at its deadline                           |

A job's -ERR after its channel was created says less than the channel's own end, and counts for nothing.
"""

from typing import Literal

from orchestrator.call.commands import DropBridge, Record
from orchestrator.call.events import (
    Accepted,
    Bridged,
    BridgeRefused,
    CallEvent,
    Ended,
    Gone,
    HangupRefused,
    OriginateLost,
    PlayRefused,
    RecordingFinished,
    RecordingStarted,
    Refused,
    Stage,
)
from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl.causes import NO_SESSION, Q850, REFUSALS, q850
from orchestrator.pbx.esl.events import from_json
from orchestrator.pbx.esl.translate import found
from orchestrator.pbx.port import PlaySounds, Request

Kind = Literal[
    "dial",
    "adopt",
    "play",
    "stop",
    "bridged",
    "bridge",
    "record",
    "stop_record",
    "kept",
    "hangup",
    "ask",
    "own",
]
"""`adopt` is our question after an originate for which no session was made: does its channel live?
`stop` ends a play or a bridge. `bridged` is the question before a `bridge`, `kept` the one after a
`stop_record` of what does not run: is its file there?
`own` is what only the connection itself wants to know."""

_GONE = "no such channel"
_NO_UUID = "invalid uuid"
"""What uuid_bridge says of a channel that is not there (mod_commands.c)."""


def is_ok(text: str) -> bool:
    return text.startswith("+OK")


def of_dial_reply(text: str) -> CallEvent | None:
    """The reply that comes at once. None: the job has begun."""
    return None if is_ok(text) else Refused(403, reason(text))


def of_dial_job(text: str) -> CallEvent | None:
    """The output of an originate whose channel was not seen. None: ask whether the channel is there."""
    if is_ok(text):
        return Accepted()
    cause = reason(text)
    if cause == NO_SESSION:
        return None
    if cause in REFUSALS:
        return Refused(REFUSALS[cause], cause)
    if cause in Q850:
        return Ended(q850(cause))
    return Refused(400, cause)


def of_adopt(text: str) -> tuple[CallEvent, ...]:
    """What the question after a refused session found."""
    state = _state(text)
    if not state:
        return (OriginateLost("unconfirmed"),)
    if not isinstance(state[0], Gone):
        return Accepted(), *state
    why = "no session was made: FreeSWITCH throttles, is at its limit of sessions, or is paused"
    return (Refused(503, why),)


def of_play(text: str, playback: str) -> CallEvent | None:
    # FreeSWITCH's own text only: it names the channel, and nothing that was to be played.
    return None if is_ok(text) else PlayRefused(playback, 404, reason(text))


def of_bridged(text: str, other: str) -> CallEvent | None:
    """What the question before a bridge found. None: they are not bridged to each other, so bridge them."""
    if text.strip() == other:
        return Bridged()
    return BridgeRefused(404, reason(text)) if text.startswith("-ERR") else None


def of_bridge(text: str) -> CallEvent | None:
    if is_ok(text):
        return None
    return BridgeRefused(404 if _NO_UUID in text.lower() else 409, reason(text))


def without_bridge(request: Request) -> tuple[CallEvent, ...] | None:
    """What is told at once of a request for the bridge of a channel that is in none. None: send it."""
    why = "the channel is in no bridge"
    match request:
        case PlaySounds() if request.both:
            return (PlayRefused(request.playback, 409, why),)
        case Record():
            return (RecordingFinished(request.recording, ok=False, reason=why),)
        case DropBridge():
            return ()  # parking a channel anew would end what is played to it
        case _:
            return None


def of_record(text: str, recording: str) -> CallEvent:
    if is_ok(text):
        return RecordingStarted(recording)
    return RecordingFinished(recording, ok=False, reason=reason(text))


def of_kept(text: str, recording: str) -> CallEvent:
    if text.strip() == "true":
        return RecordingFinished(recording)
    return RecordingFinished(recording, ok=False, reason="FreeSWITCH has none")


def of_hangup(text: str) -> CallEvent | None:
    if is_ok(text):
        return None
    return HangupRefused(gone=_GONE in text.lower(), reason=reason(text))


def of_ask(text: str) -> tuple[CallEvent, ...]:
    """Empty: the answer does not tell, ask again."""
    return _state(text)


def of_loss(kind: Kind, subject: str, stage: Stage, why: str) -> CallEvent | None:
    """A request without an answer. A lost question has no event: it is asked again, or reconciled.
    `subject` is the playback or the recording."""
    match kind:
        case "dial":
            return OriginateLost(stage)
        case "adopt":
            return OriginateLost("unconfirmed")
        case "play":
            return PlayRefused(subject, 0, why)
        case "bridged" | "bridge":
            return BridgeRefused(0, why)
        case "record" if stage == "not_sent":
            return RecordingFinished(subject, ok=False, reason=why)
        case "hangup":
            return HangupRefused(gone=False, reason=why)
        case "record" | "stop" | "stop_record" | "kept" | "ask" | "own":
            return None


def reason(text: str) -> str:
    """FreeSWITCH's own short word for why it refused."""
    line = text.strip().partition("\n")[0].removeprefix("-ERR").strip()
    return "".join(char for char in line[:120] if char.isprintable()) or "no reason given"


def partner_of(text: str) -> str:
    """The channel that a dumped one is bridged to; empty when it is in no bridge."""
    if not text.lstrip().startswith("{"):
        return ""
    try:
        return from_json(text.encode()).bridged_to
    except PbxProtocolError:
        return ""


def _state(text: str) -> tuple[CallEvent, ...]:
    if _GONE in text.lower() and text.startswith("-ERR"):
        return (Gone(),)
    if not text.lstrip().startswith("{"):
        return ()
    try:
        return found(from_json(text.encode()))
    except PbxProtocolError:
        return ()
