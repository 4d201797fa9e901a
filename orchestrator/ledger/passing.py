"""Which faults of SQLite time or an operator mends. The others are ours."""

import sqlite3
from typing import Final

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""Primary result codes of faults that time or an operator mends."""


def primary_code(error: Exception) -> int | None:
    """SQLite's primary result code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_passing(error: Exception) -> bool:
    """Whether time or an operator mends it: a full disk, a lock, no memory."""
    return isinstance(error, MemoryError) or primary_code(error) in _PASSING
