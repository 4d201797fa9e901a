"""A PostgreSQL server for the tests of this room, made when the first of them asks for it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from orchestrator.ledger.port import Ledger
from orchestrator.ledger.postgresql.connection import prepare
from orchestrator.ledger.postgresql.ledger import PostgresLedger
from orchestrator.ledger.sqlite import SqliteLedger
from tests.postgres import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    made = Server.made()
    yield made
    made.remove()


async def emptied(server: Server) -> str:
    """The address of a ledger with nothing in it."""
    if server.ledger is None:
        server.ledger = await server.database()
        await prepare(server.ledger)
    db = await asyncpg.connect(server.ledger)
    try:
        tables = await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = ", ".join(row[0] for row in tables if row[0] != "orchestrator_ledger")
        await db.execute(f"TRUNCATE {names} RESTART IDENTITY")
    finally:
        await db.close()
    return server.ledger


@pytest.fixture
async def url(server: Server) -> str:
    """An empty PostgreSQL ledger."""
    return await emptied(server)


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """Each of the ledgers, new and empty."""
    made: Ledger
    if request.param == "sqlite":
        made = await SqliteLedger.open(tmp_path / "l.db")
    else:
        made = await PostgresLedger.open(await emptied(request.getfixturevalue("server")))
    yield made
    await made.close()
