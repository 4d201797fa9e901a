"""How long it takes until all is well again.

The clock starts when the last thing that was missing is back: a worker's process is started (where another
stands by: when the one that worked has died), Asterisk has booted. It stops when the worker says that it is
ready and every call that was open in the ledger at the start has moved on: it has ended, or its journal has a
new line. A call of which the journal's last word is that its phone rings needs no new line: it goes on
ringing, as it should.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any, Final

RINGING: Final = frozenset({"ringing", "dialed"})

Marks = dict[str, tuple[int, str]]
"""Of each open call: how many lines its journal has, and what the last one says."""

_OPEN = (
    "SELECT c.id, j.n, j.event FROM calls AS c JOIN journal AS j ON j.call = c.number"
    " WHERE c.ended_at IS NULL AND j.n = (SELECT max(n) FROM journal WHERE call = c.number)"
)

_UNSETTLED = (
    "SELECT 1 FROM jobs WHERE state <> 'ended' LIMIT 1",
    "SELECT 1 FROM outbox WHERE state = 'pending' LIMIT 1",
    "SELECT 1 FROM calls WHERE cdr_sent = 0 LIMIT 1",
)


def read_marks(ledger: Path) -> Marks | None:
    """Where every open call stands; None when the ledger cannot be read now."""
    try:
        db = sqlite3.connect(ledger, timeout=1.0)
        try:
            rows = db.execute(_OPEN).fetchall()
        finally:
            db.close()
    except sqlite3.Error:
        return None
    return {call: (n, name_of(json.loads(event))) for call, n, event in rows}


def name_of(event: dict[str, Any]) -> str:
    rings = event["e"] == "alive" and event["ringing"] and not event["up"]
    return "ringing" if rings else str(event["e"])


def waiting(before: Marks, now: Marks) -> list[str]:
    """The calls that have not moved on."""
    return [
        call
        for call, (n, last) in before.items()
        if call in now and now[call][0] <= n and last not in RINGING
    ]


def is_settled(ledger: Path) -> bool:
    """Whether every job has ended, every notification has arrived and every call record was sent."""
    try:
        db = sqlite3.connect(ledger, timeout=1.0)
        try:
            return not any(db.execute(query).fetchone() for query in _UNSETTLED)
        finally:
            db.close()
    except sqlite3.Error:
        return False


async def marks(ledger: Path) -> Marks | None:
    """As `read_marks`, without holding the loop up."""
    return await asyncio.to_thread(read_marks, ledger)
