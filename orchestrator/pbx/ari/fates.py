"""What an answer, or the lack of one, means to a call. Pure; the table of fates in one place.

| request  | answer                        | told                                                        |
|----------|-------------------------------|-------------------------------------------------------------|
| originate| 2xx                           | Accepted                                                    |
|          | 409                           | ask for the channel: there: Accepted; not there: unconfirmed |
|          | 502, 504 (a proxy gave up)    | OriginateLost("unconfirmed")                                |
|          | other                         | Refused                                                     |
| play     | 2xx                           | PlayStarted                                                 |
|          | other                         | PlayRefused                                                 |
| stop     | any                           | – (the playback's own end tells)                            |
| hang-up  | 2xx                           | –                                                           |
|          | 404                           | HangupRefused(gone)                                         |
|          | other                         | HangupRefused                                               |
| ask      | 200                           | Alive                                                       |
|          | 404                           | Gone                                                        |
|          | other                         | asked again at its deadline                                 |

Why a 409 is checked: Asterisk keeps its last channel error per thread, and a WebSocket is served by one
thread. After one true 409 every originate that fails on that connection, for whatever reason, answers 409
(measured on 22.10.1), so the answer alone does not prove that a channel of our id lives.

What belongs to a callback's bridge and recording stands in two_legs.py.
"""

from typing import Literal

import msgspec

from orchestrator.call.events import (
    Accepted,
    Alive,
    CallEvent,
    Gone,
    HangupRefused,
    OriginateLost,
    PlayRefused,
    PlayStarted,
    Refused,
    Stage,
)
from orchestrator.pbx.ari import wire
from orchestrator.pbx.ari.requests import RestCall
from orchestrator.pbx.ari.translate import alive

Kind = Literal[
    "dial",
    "adopt",
    "play",
    "stop",
    "hangup",
    "ask",
    "bridge",
    "inside",
    "join",
    "joined",
    "drop",
    "record",
    "live",
    "stored",
    "stop_recording",
]
"""`adopt` is our own question after a 409: does the channel of that originate live? `inside`, `joined`,
`live` and `stored` are questions of ours as well: see two_legs.py."""

_GATEWAY_GAVE_UP = (502, 504)


class Answer(msgspec.Struct, frozen=True):
    """An answer to one REST request. The body may name media, so it is never printed."""

    status: int
    reason: str
    body: bytes | str = b""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        return f"Answer({self.status} {self.reason})"


class Step(msgspec.Struct, frozen=True):
    """What an answer comes to: what is told, and what is asked next."""

    told: tuple[CallEvent, ...] = ()
    asks: tuple[tuple[Kind, RestCall], ...] = ()
    open: bool = False
    """The answer to a question does not tell: it is asked again at its deadline."""


def of_dial(answer: Answer) -> CallEvent:
    """An answered originate other than 409."""
    if answer.ok:
        return Accepted()
    if answer.status in _GATEWAY_GAVE_UP:
        return OriginateLost("unconfirmed")
    return Refused(answer.status, reason_of(answer))


def of_adopt(answer: Answer, app: str) -> tuple[CallEvent, ...]:
    """What the question after a 409 found."""
    found = _state(answer, app)
    if isinstance(found, Alive):
        return Accepted(), found
    # It may have lived a moment ago, or never: only a fresh look by the call itself may decide.
    return (OriginateLost("unconfirmed"),)


def of_play(answer: Answer, playback: str) -> CallEvent:
    """Asterisk plays once it has accepted. Its own PlaybackStarted comes for each sound of the list, which
    for a code is a dozen frames that say nothing new; so it is filtered away, and the answer counts."""
    if answer.ok:
        return PlayStarted(playback)
    # The reason phrase only: Asterisk's text could one day quote the media.
    return PlayRefused(playback, answer.status, answer.reason)


def of_hangup(answer: Answer) -> CallEvent | None:
    if answer.ok:
        return None
    return HangupRefused(gone=answer.status == 404, reason=reason_of(answer))


def of_ask(answer: Answer, app: str) -> CallEvent | None:
    """None: the answer does not tell, ask again."""
    return _state(answer, app)


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
        case _:
            return None


def _state(answer: Answer, app: str) -> Alive | Gone | None:
    if answer.status == 200:
        return alive(wire.decode_channel(answer.body), app)
    return Gone() if answer.status == 404 else None


def reason_of(answer: Answer) -> str:
    """Why it was refused, in Asterisk's words."""
    text = wire.fault_text(answer.body)
    return f"{answer.reason}: {text}" if text else answer.reason
