"""The workers of a ledger: a row for each, and the right to act and write as one of them.

A worker is a name: in its Stasis applications its calls live, and its row says which process has it now. Its
`token` changes with each process; every transaction first writes the row `guards` of that token (`Fence`), so
one that was stopped in its tracks cannot write once another has taken its place. Its `beat` grows while it
lives. Whoever sees it stand still for the worker's own `patience` may take its place; no clock of one process
is ever compared with that of another.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec

from orchestrator.ledger.errors import LeaseLost
from orchestrator.ledger.postgresql.connection import Connection
from orchestrator.ledger.postgresql.process import is_dead, this_process

STREAMS: Final = ("writes", "claims")
"""The connections of a worker that write, each with its own guard: they must not wait for each other."""


class Seat(msgspec.Struct, frozen=True):
    """A worker's row."""

    name: str
    token: int
    beat: int
    patience: float
    process: str
    host: str
    pid: int
    heir: str
    wanted: bool
    apps: dict[str, str]

    @property
    def free(self) -> bool:
        """Whether nobody has it: it was let go, or its process is dead for certain."""
        return not self.process or is_dead(self.process)


_SEAT: Final = "name, token, beat, patience, process, host, pid, heir, wanted, apps"


def _seat(row: asyncpg.Record) -> Seat:
    fields = dict(row.items())
    return Seat(**{**fields, "apps": msgspec.json.decode(fields["apps"], type=dict[str, str])})


async def seats(db: Connection) -> list[Seat]:
    """Every worker's row."""
    return [_seat(row) for row in await db.fetch(f"SELECT {_SEAT} FROM workers ORDER BY name")]  # noqa: S608


async def seat(db: Connection, name: str) -> Seat | None:
    """One worker's row."""
    row = await db.fetchrow(f"SELECT {_SEAT} FROM workers WHERE name = $1", name)  # noqa: S608
    return None if row is None else _seat(row)


async def take(
    db: Connection,
    instead_of: Seat | None,
    name: str,
    apps: Mapping[str, str],
    patience: float,
    heir: str = "",
) -> Seat | None:
    """Become the worker `name`, in the place of exactly `instead_of`. None when that has moved since.

    While its calls are open, the names of its applications stay. `heir` is the worker that does this for
    another one, which is dead; its notifications become the heir's then.
    """
    us = this_process()
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", name)
        now = await seat(db, name)
        if (now and (now.token, now.beat)) != (instead_of and (instead_of.token, instead_of.beat)):
            return None
        calls = await db.fetchval(
            "SELECT EXISTS (SELECT 1 FROM calls WHERE worker = $1 AND ended_at IS NULL)", name
        )
        names = {**apps, **now.apps} if now and calls else dict(apps)
        token = await db.fetchval("SELECT nextval('worker_tokens')")
        await db.execute(
            "INSERT INTO workers (name, token, patience, process, host, pid, heir, apps)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO UPDATE SET token = $2, beat = 0,"
            " patience = $3, process = $4, host = $5, pid = $6, heir = $7, apps = $8, wanted = false,"
            " seen_at = now()",
            name,
            token,
            patience,
            us.text() or "unknown",
            us.host,
            us.pid,
            heir,
            msgspec.json.encode(names),
        )
        # Waits for a transaction of the former one that is on its way; one that stands still, the server
        # ends by itself (`IDLE_TIMEOUT`).
        await db.execute(
            "INSERT INTO guards (worker, stream, token, mark) SELECT $1, stream, $2, 0"
            " FROM unnest($3::text[]) AS stream"
            " ON CONFLICT (worker, stream) DO UPDATE SET token = $2, mark = 0",
            name,
            token,
            list(STREAMS),
        )
        if heir:
            await db.execute(
                "UPDATE outbox SET worker = $2 WHERE worker = $1 AND state = 'pending'", name, heir
            )
        return await seat(db, name)


async def beat(db: Connection, name: str, token: int) -> bool:
    """Show that we live. Whether somebody wants our place.

    Raises `LeaseLost` when somebody has it already.
    """
    wanted = await db.fetchval(
        "UPDATE workers SET beat = beat + 1, seen_at = now() WHERE name = $1 AND token = $2 RETURNING wanted",
        name,
        token,
    )
    if wanted is None:
        raise LeaseLost(_LOST)
    return bool(wanted)


async def want(db: Connection, name: str, token: int) -> None:
    """Ask the heir of `name` to let go of it: the worker is back."""
    await db.execute("UPDATE workers SET wanted = true WHERE name = $1 AND token = $2", name, token)


async def let_go(db: Connection, name: str, token: int) -> None:
    """Leave the place to whoever comes. The row goes with the last call and notification that need it."""
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", name)
        await db.execute(
            "UPDATE workers SET process = '', beat = beat + 1 WHERE name = $1 AND token = $2", name, token
        )
        gone = await db.fetchval(
            "DELETE FROM workers WHERE name = $1 AND token = $2"
            " AND NOT EXISTS (SELECT 1 FROM calls WHERE worker = $1 AND ended_at IS NULL)"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE worker = $1 AND state = 'pending') RETURNING name",
            name,
            token,
        )
        if gone is not None:
            await db.execute("DELETE FROM guards WHERE worker = $1", name)


async def open_on(db: Connection, name: str) -> set[str]:
    """The PBX nodes on which calls of this worker are open."""
    rows = await db.fetch("SELECT DISTINCT pbx FROM calls WHERE worker = $1 AND ended_at IS NULL", name)
    return {row[0] for row in rows}


async def alive(db: Connection) -> list[str]:
    """The workers that showed themselves within their patience, by the server's clock."""
    rows = await db.fetch(
        "SELECT name FROM workers WHERE process <> ''"
        " AND seen_at > clock_timestamp() - make_interval(secs => patience) ORDER BY name"
    )
    return [row[0] for row in rows]


_LOST: Final = "another worker has taken this one's place while it stood still; the calls are the other's now"


class Fence:
    """The guard of one stream of a worker's transactions. See `commits.Guard`."""

    def __init__(self, name: str, token: int, stream: str) -> None:
        self._name = name
        self._token = token
        self._stream = stream

    async def begin(self, db: Connection, mark: int) -> None:
        """Leave the mark. Raises `LeaseLost` unless the token is the worker's: proof until the transaction
        ends, as who takes over must write the same row."""
        ours = await db.fetchval(
            "UPDATE guards SET mark = $4 WHERE worker = $1 AND stream = $2 AND token = $3 RETURNING true",
            self._name,
            self._stream,
            self._token,
            mark,
        )
        if not ours:
            raise LeaseLost(_LOST)

    async def stored(self, db: Connection, mark: int) -> bool:
        """Whether the mark is there. A transaction that may still be on its way holds the row, and is waited
        for."""
        found = await db.fetchrow(
            "SELECT token, mark FROM guards WHERE worker = $1 AND stream = $2 FOR UPDATE",
            self._name,
            self._stream,
        )
        if found is None or found["token"] != self._token:
            raise LeaseLost(_LOST)
        return bool(found["mark"] == mark)


async def adopt_orphans(db: Connection, name: str) -> None:
    """Notifications of workers that are no more are `name`'s to deliver from here on."""
    await db.execute(
        "UPDATE outbox SET worker = $1 WHERE id IN (SELECT id FROM outbox WHERE state = 'pending'"
        " AND worker <> '' AND NOT EXISTS (SELECT 1 FROM workers WHERE name = outbox.worker)"
        " FOR NO KEY UPDATE SKIP LOCKED)",
        name,
    )
