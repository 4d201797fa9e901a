"""A ledger on PostgreSQL, read without the worker's code: as a file for the judge, and while it is used."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg

from tests.chaos.recovery import Marks, name_of

_TABLES: Final = {
    "jobs": "id, state, outcome",
    "calls": "number, id, job_id, attempt, cdr",
    "journal": "call, n, at, event",
    "outbox": "id, state",
}
_OPEN: Final = (
    "SELECT c.id, j.n, j.event FROM calls AS c JOIN journal AS j ON j.call = c.number"
    " WHERE c.ended_at IS NULL AND j.n = (SELECT max(n) FROM journal WHERE call = c.number)"
)
_UNSETTLED: Final = (
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE state <> 'ended')"
    " OR EXISTS (SELECT 1 FROM outbox WHERE state = 'pending')"
    " OR EXISTS (SELECT 1 FROM calls WHERE NOT cdr_sent)"
)
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""What a server raises that is down or going down."""


async def export_ledger(url: str, target: Path) -> None:
    """Copy what the judge reads into an SQLite file."""
    with contextlib.closing(sqlite3.connect(target)) as copy:
        async with _connected(url) as db:
            for table, columns in _TABLES.items():
                rows = await db.fetch(f"SELECT {columns} FROM {table}")  # noqa: S608 - our own names
                copy.execute(f"CREATE TABLE {table} ({columns})")
                marks = ", ".join("?" * len(columns.split(", ")))
                copy.executemany(f"INSERT INTO {table} VALUES ({marks})", map(tuple, rows))  # noqa: S608
        copy.commit()


async def read_marks(url: str) -> Marks | None:
    """Where every open call stands; None when the server cannot be asked now."""
    try:
        async with _connected(url) as db:
            rows = await db.fetch(_OPEN)
    except _AWAY:
        return None
    return {call: (n, name_of(json.loads(event))) for call, n, event in rows}


async def is_settled(url: str) -> bool:
    """Whether every job has ended, every notification has arrived and every call record was sent."""
    try:
        async with _connected(url) as db:
            return not await db.fetchval(_UNSETTLED)
    except _AWAY:
        return False


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    db = await asyncpg.connect(url, timeout=5, command_timeout=10)
    try:
        yield db
    finally:
        db.terminate()
