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
| hang-up  | +OK                                  | –                                                     |
|          | -ERR No such channel                 | HangupRefused(gone)                                   |
|          | other                                | HangupRefused                                         |
| ask      | the channel as JSON                  | Alive, or Ended when it is hung up already            |
|          | -ERR No such channel                 | Gone                                                  |
|          | other                                | asked again at its deadline                           |

A job's -ERR after its channel was created says less than the channel's own end, and counts for nothing.
"""

from typing import Literal

from orchestrator.call.events import (
    Accepted,
    CallEvent,
    Ended,
    Gone,
    HangupRefused,
    OriginateLost,
    PlayRefused,
    Refused,
    Stage,
)
from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl.causes import NO_SESSION, Q850, REFUSALS, q850
from orchestrator.pbx.esl.events import from_json
from orchestrator.pbx.esl.translate import found

Kind = Literal["dial", "adopt", "play", "stop", "hangup", "ask", "own"]
"""`adopt` is our question after an originate for which no session was made: does its channel live?
`own` is what only the connection itself wants to know."""

_GONE = "no such channel"


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


def of_hangup(text: str) -> CallEvent | None:
    if is_ok(text):
        return None
    return HangupRefused(gone=_GONE in text.lower(), reason=reason(text))


def of_ask(text: str) -> tuple[CallEvent, ...]:
    """Empty: the answer does not tell, ask again."""
    return _state(text)


def of_loss(kind: Kind, playback: str, stage: Stage, why: str) -> CallEvent | None:
    """A request without an answer. A lost question has no event: it is asked again, or reconciled."""
    match kind:
        case "dial":
            return OriginateLost(stage)
        case "adopt":
            return OriginateLost("unconfirmed")
        case "play":
            return PlayRefused(playback, 0, why)
        case "hangup":
            return HangupRefused(gone=False, reason=why)
        case "stop" | "ask" | "own":
            return None


def reason(text: str) -> str:
    """FreeSWITCH's own short word for why it refused."""
    line = text.strip().partition("\n")[0].removeprefix("-ERR").strip()
    return "".join(char for char in line[:120] if char.isprintable()) or "no reason given"


def _state(text: str) -> tuple[CallEvent, ...]:
    if _GONE in text.lower() and text.startswith("-ERR"):
        return (Gone(),)
    if not text.lstrip().startswith("{"):
        return ()
    try:
        return found(from_json(text.encode()))
    except PbxProtocolError:
        return ()
