"""`orchestrator`, but it kills itself with SIGKILL when it passes a named point for the N-th time.

    python -m tests.chaos.launcher POINT[:N] run -c FILE

| point                  | where                                                                        |
|------------------------|------------------------------------------------------------------------------|
| `intent`               | the intent to dial is committed, its originate not yet sent                  |
| `originate-sent`       | the originate's bytes have left, nothing that came of it is committed        |
| `answered`             | `call.answered` is committed, nobody has been told                           |
| `playing`              | a playback began, half a second ago                                          |
| `hangup-before-commit` | the call's end is in a transaction that is not committed                     |
| `hangup-after-commit`  | the call's end is committed, its last notifications are not sent             |
| `delivering`           | a receiver has said 204, the ledger does not know yet                        |

The product has no hooks for this. What is wrapped is named below, and a name that has gone is an error.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from orchestrator.call.events import PlayStarted
from orchestrator.cli.entry import main
from orchestrator.ledger import queries
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.notify.notifier import Notifier
from orchestrator.pbx.ari.stream import Stream
from tests.chaos.plan import NAMED_POINTS

MID_PLAY: Final = 0.5


def die() -> None:
    """As a crash would: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Counts passings; at the N-th it calls `then`."""

    def __init__(self, nth: int, then: Callable[[], object] = die) -> None:
        self._left = nth
        self._then = then

    def passed(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._then()


def arm(point: str, nth: int) -> None:
    """Wrap what passes `point`."""
    match point:
        case "intent":
            _after_claim(Countdown(nth))
        case "originate-sent":
            _after_originate(Countdown(nth, _once_flushed))
        case "answered":
            _before_telling({"call.answered"}, Countdown(nth))
        case "playing":
            _on_play(Countdown(nth, _in_mid_play))
        case "hangup-before-commit":
            _in_transaction(Countdown(nth))
        case "hangup-after-commit":
            _before_telling({"call.hangup"}, Countdown(nth))
        case "delivering":
            _before_noting(Countdown(nth))
        case _:
            raise SystemExit(f"no such point: {point}; there are {', '.join(NAMED_POINTS)}")


def _replace(owner: object, name: str, wrapped: Callable[..., Any]) -> None:
    if not hasattr(owner, name):
        raise SystemExit(f"{owner} has no {name} any more; mend tests/chaos/launcher.py")
    setattr(owner, name, wrapped)


def _after_claim(count: Countdown) -> None:
    claim = SqliteLedger.claim

    async def wrapped(self: SqliteLedger, *arguments: Any, **named: Any) -> Any:
        claimed = await claim(self, *arguments, **named)
        for _ in claimed.claims:
            count.passed()
        return claimed

    _replace(SqliteLedger, "claim", wrapped)


def _after_originate(count: Countdown) -> None:
    write = Stream.write

    async def wrapped(self: Stream, frame: bytes, *more: Any) -> None:
        await write(self, frame, *more)
        if b'"POST"' in frame and b'"endpoint"' in frame.replace(b"\\", b""):
            count.passed()

    _replace(Stream, "write", wrapped)


def _once_flushed() -> None:
    """The loop flushes what was written at the end of its turn, so die in the one after that."""
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, die)


def _before_telling(types: set[str], count: Countdown) -> None:
    offer = Notifier.offer

    def wrapped(self: Notifier, deliveries: Iterable[Any]) -> None:
        committed = tuple(deliveries)
        for delivery in committed:
            if delivery.type in types:
                count.passed()
        offer(self, committed)

    _replace(Notifier, "offer", wrapped)


def _on_play(count: Countdown) -> None:
    record = SqliteLedger.record

    def wrapped(self: SqliteLedger, job_id: str, call_id: str, entry: Any, *more: Any) -> None:
        record(self, job_id, call_id, entry, *more)
        if isinstance(entry.event, PlayStarted):
            count.passed()

    _replace(SqliteLedger, "record", wrapped)


def _in_mid_play() -> None:
    asyncio.get_running_loop().call_later(MID_PLAY, die)


def _in_transaction(count: Countdown) -> None:
    record_all = queries.record_all

    def wrapped(db: Any, steps: Sequence[Any]) -> Any:
        done = record_all(db, steps)
        for step in steps:
            if step.end is not None:
                count.passed()
        return done

    _replace(queries, "record_all", wrapped)


def _before_noting(count: Countdown) -> None:
    delivered = SqliteLedger.delivered

    def wrapped(self: SqliteLedger, ids: Sequence[int]) -> None:
        for _ in ids:
            count.passed()
        delivered(self, ids)

    _replace(SqliteLedger, "delivered", wrapped)


if __name__ == "__main__":
    point, _, nth = sys.argv[1].partition(":")
    arm(point, int(nth or 1))
    sys.argv[1:2] = []
    main()
