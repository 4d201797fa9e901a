"""Many rows in one statement.

Python's sqlite3 lets go of the interpreter lock at each statement, and the loop's thread takes it: thirty
statements a commit are thirty waits for the loop. One statement with many rows is one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

SIZES: Final = (64, 16, 4, 1)
"""Rows a statement. Few sizes, so that each statement's text is compiled once and found again."""

Row = Sequence[Any]


def execute_many(db: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> list[Any]:
    """Run `statement`, with its `{rows}` made into `(?, …), (?, …)`, over all rows. What it returned."""
    returned: list[Any] = []
    for part in _parts(rows):
        marks = "(" + ",".join("?" * len(part[0])) + ")"
        text = statement.format(rows=",".join([marks] * len(part)))
        returned += db.execute(text, [value for row in part for value in row]).fetchall()
    return returned


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    at = 0
    while at < len(rows):
        size = next(size for size in SIZES if size <= len(rows) - at)
        yield rows[at : at + size]
        at += size
