"""Many rows in one statement.

Python's sqlite3 lets go of the interpreter lock at each statement, and the loop's thread takes it: thirty
statements a commit are thirty waits for the loop. One statement with many rows is one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

LARGEST: Final = 64
"""Rows a statement at most."""
EXACT: Final = 16
"""Up to so many rows go in one statement, whatever their number; more go by powers of two. So there are few
texts, and SQLite compiles each once and finds it again (`CACHED`)."""
CACHED: Final = 512
"""Compiled statements that a connection has to keep for that."""

Row = Sequence[Any]


def execute_many(db: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> list[Any]:
    """Run `statement`, with its `{rows}` made into `(?, …), (?, …)`, over all rows. What it returned."""
    if not rows:
        return []
    width = len(rows[0])
    if len(rows) <= EXACT:
        text = _text(statement, width, len(rows))
        return db.execute(text, tuple(chain.from_iterable(rows))).fetchall()
    returned: list[Any] = []
    for part in _parts(rows):
        text = _text(statement, width, len(part))
        returned += db.execute(text, tuple(chain.from_iterable(part))).fetchall()
    return returned


@lru_cache(maxsize=CACHED)
def _text(statement: str, width: int, count: int) -> str:
    marks = "(" + ",".join("?" * width) + ")"
    return statement.format(rows=",".join([marks] * count))


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    at, left = 0, len(rows)
    while left:
        size = left if left <= EXACT else min(LARGEST, 1 << (left.bit_length() - 1))
        yield rows[at : at + size]
        at += size
        left -= size
