"""Connections to PostgreSQL: how one is made, what its errors mean, and which clock it shows."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from orchestrator.ledger.errors import LedgerStuck, LedgerUnusable
from orchestrator.ledger.postgresql.schema import migrate
from orchestrator.ledger.schema import SchemaError

CHANNEL: Final = "orchestrator_ledger"
"""Where it is told that something was written that others wait for (NOTIFY)."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds that one try to connect may take."""
COMMAND_TIMEOUT: Final = 10.0
"""Seconds without an answer after which a connection counts as lost. Whether what was asked was done is then
found out over another one."""
IDLE_TIMEOUT: Final = 5000
"""Milliseconds after which the server ends a transaction whose process stands still: it holds up others."""

Connection = asyncpg.Connection


def shown(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"postgresql://{host}{parts.path}"


async def connect(url: str) -> Connection:
    """A connection as this program uses them.

    Raises `LedgerUnusable`; `LedgerStuck` when the server is not to be reached now.
    """
    with told(url):
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={
                "application_name": "orchestrator",
                "idle_in_transaction_session_timeout": str(IDLE_TIMEOUT),
                "tcp_keepalives_idle": "5",
                "tcp_keepalives_interval": "2",
                "tcp_keepalives_count": "3",
                "synchronous_commit": "on",
                "jit": "off",
            },
        )


async def prepare(url: str, key_mark: bytes | None = None) -> None:
    """See that the schema is there and of this version; with a `key_mark`, that all use the same key.

    Raises `LedgerUnusable`, as `connect` does.
    """
    db = await connect(url)
    try:
        with told(url):
            await migrate(db, shown(url))
            if key_mark is not None:
                await _agree_on_key(db, shown(url), key_mark)
    except SchemaError as error:
        raise LedgerUnusable(f"ledger {error}.") from None
    finally:
        await close(db)


async def _agree_on_key(db: Connection, name: str, key_mark: bytes) -> None:
    """The first to come says by which mark the key is known. With another key every job would fail."""
    await db.execute("UPDATE orchestrator_ledger SET key_mark = $1 WHERE key_mark IS NULL", key_mark)
    if await db.fetchval("SELECT key_mark FROM orchestrator_ledger") != key_mark:
        raise LedgerUnusable(
            f"ledger {name} was written with another key. Give every worker and command the same ledger.key."
        )


async def close(db: Connection) -> None:
    """Close it, whatever state it is in."""
    try:
        await db.close(timeout=1.0)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        db.terminate()


@contextlib.contextmanager
def told(url: str) -> Iterator[None]:
    """Errors of the block as errors of the ledger, with the mend."""
    name = shown(url)
    try:
        yield
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise LedgerUnusable(
            f"ledger {name} refuses us: {error}. Correct user and password in ledger.url."
        ) from None
    except asyncpg.InvalidCatalogNameError as error:
        raise LedgerUnusable(f"ledger {name}: {error}. Make the database, or correct ledger.url.") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise LedgerUnusable(
            f"ledger {name}: {error}. Make the role the owner of the database, or of a schema in it."
        ) from None
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        raise LedgerUnusable(f"ledger.url cannot be used: {error}.") from None
    except Exception as error:
        if not is_passing(error):
            raise
        raise LedgerStuck(
            f"ledger {name} cannot be reached now: {why(error)}. Start PostgreSQL, or correct ledger.url."
        ) from None


_PASSING: Final = (
    OSError,  # the connection's own, and TimeoutError
    MemoryError,
    asyncio.IncompleteReadError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # "connection is closed"
    asyncpg.InternalClientError,  # the connection was lost between two states of the driver's own
    asyncpg.InsufficientResourcesError,  # disk, memory, connections
    asyncpg.OperatorInterventionError,  # shutdown, crash, "starting up", cancelled
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InFailedSQLTransactionError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby that is not the primary yet
)


def is_passing(error: BaseException) -> bool:
    """Whether time or an operator mends it. `DataError` is an InterfaceError too, and never passes."""
    return isinstance(error, _PASSING) and not isinstance(error, asyncpg.DataError)


def why(error: BaseException) -> str:
    """What happened, in a sentence without its stop."""
    return (str(error) or type(error).__name__).split("\n", 1)[0].rstrip(".")


async def tell(db: Connection) -> None:
    """Have whoever listens know, once this transaction is stored."""
    await db.execute("SELECT pg_notify($1, '')", CHANNEL)


async def server_clock(db: Connection) -> float:
    """How far the server's time of day is ahead of this machine's monotonic clock, in seconds.

    Taken from the quickest of a few answers, so the error is half of one round trip.
    """
    best, ahead = float("inf"), 0.0
    for _ in range(4):
        asked = time.monotonic()
        at = float(await db.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8"))
        answered = time.monotonic()
        if answered - asked < best:
            best, ahead = answered - asked, at - (asked + answered) / 2
    return ahead
