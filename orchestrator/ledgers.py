"""Which ledger the configuration names, and how it is opened: by a command, by a worker.

PostgreSQL's part is loaded only where it is used; its driver is an extra.
"""

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator import setup
from orchestrator.clock import Clock
from orchestrator.config import Config
from orchestrator.guard.seal import SealError, parse_key
from orchestrator.ledger.errors import LedgerUnusable
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.schema import SchemaError
from orchestrator.ledger.sqlite import SqliteLedger, WorkerLock
from orchestrator.setup import is_shared
from orchestrator.tenure import take_tenure
from orchestrator.upkeep import settle_clock

if TYPE_CHECKING:
    from orchestrator.ledger.postgresql.slots import Limits
    from orchestrator.ledger.postgresql.tenure import SeatTenure


class Held(msgspec.Struct, frozen=True):
    """A ledger that a worker has: alone, or beside others as one of a name."""

    ledger: Ledger
    apps: Mapping[str, str]
    """By PBX node, the application to work in."""
    clock: Clock
    """That of all times in the ledger."""
    holds: Callable[[], bool]
    """Whether nobody else can be acting in our place now. Cheap."""
    keep: Callable[[], Coroutine[Any, Any, None]]
    """Shows that we live, until cancelled or lost."""
    wanted: asyncio.Event
    """Set when another process is to go on in our place."""


def name_of(config: Config) -> str:
    """The ledger as people are told of it; no password."""
    if not is_shared(config):
        return str(setup.ledger_path(config).absolute())
    with _driver():
        from orchestrator.ledger.postgresql.connection import shown
    return shown(config.ledger.url)


@contextlib.contextmanager
def _driver() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise LedgerUnusable(
            f"a ledger on PostgreSQL needs its driver ({error.name}): "
            "pip install 'call-orchestrator[postgresql]'"
        ) from None


async def _prepare(config: Config) -> None:
    """See that the shared ledger is there, of this version and of our key."""
    from orchestrator.ledger.postgresql.connection import prepare

    try:
        key = parse_key(config.ledger.key or "")
    except SealError as error:
        raise LedgerUnusable(f"ledger.key: {error}") from None
    await prepare(config.ledger.url, hmac.digest(key, b"the key of a ledger", "sha256")[:16])


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Ledger]:
    """The ledger for a command, for as long as the block runs.

    Raises `LedgerUnusable`.
    """
    ledger: Ledger
    if is_shared(config):
        with _driver():
            from orchestrator.ledger.postgresql.ledger import PostgresLedger
        await _prepare(config)
        ledger = await PostgresLedger.open(config.ledger.url)
    else:
        ledger = await SqliteLedger.open(setup.ledger_path(config), config.ledger.commit_interval)
    try:
        yield ledger
    finally:
        await ledger.close()


def worker_runs(config: Config) -> bool:
    """Whether some process is a worker of the ledger now.

    Raises `LedgerUnusable`.
    """
    if is_shared(config):
        return bool(workers_of(config))
    path = setup.ledger_path(config)
    if not path.with_name(path.name + ".lock").exists():
        return False
    lock = WorkerLock.take(path)
    if lock is not None:
        lock.release()
    return lock is None


def workers_of(config: Config) -> list[str] | None:
    """The names of the shared ledger's workers that run now; None when the database is empty. Changes
    nothing.

    Raises `LedgerUnusable`.
    """
    # On a loop of its own: who asks may be on one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _alive(config)).result()


async def _alive(config: Config) -> list[str] | None:
    with _driver():
        from orchestrator.ledger.postgresql import connection, schema, workers
    db = await connection.connect(config.ledger.url)
    try:
        with connection.told(config.ledger.url):
            if not await schema.check(db, connection.shown(config.ledger.url)):
                return None
            return await workers.alive(db)
    except SchemaError as error:
        raise LedgerUnusable(f"ledger {error}.") from None
    finally:
        await connection.close(db)


@contextlib.asynccontextmanager
async def held(
    config: Config,
    clock: Clock,
    stop: asyncio.Event,
    standing_by: Callable[[str], None] | None,
    *,
    alone: bool,
    begun: Callable[[], None],
) -> AsyncIterator[Held | None]:
    """The ledger for a worker, once it is its own. None when `stop` was set first.

    `alone` is a worker for one job: beside others, and never in their applications.

    Raises `LedgerUnusable`, also where another is the worker and `standing_by` is None.
    """
    hold = _held_shared if is_shared(config) else _held_embedded
    async with hold(config, clock, stop, standing_by, alone, begun) as it:
        yield it


@contextlib.asynccontextmanager
async def _held_embedded(
    config: Config,
    clock: Clock,
    stop: asyncio.Event,
    standing_by: Callable[[str], None] | None,
    alone: bool,
    begun: Callable[[], None],
) -> AsyncIterator[Held | None]:
    path = setup.ledger_path(config)
    # A call made beside a worker must not take the worker's application from it.
    beside = f"orchestrator-{secrets.token_hex(4)}" if alone else None
    apps = {pbx.name: beside or pbx.app for pbx in config.pbx}
    name, patience = config.worker.name, config.worker.lease
    tenure = await take_tenure(path, name, apps, clock, patience=patience, stop=stop, standing_by=standing_by)
    if tenure is None:
        if not stop.is_set():
            raise LedgerUnusable(
                f"another worker runs on {path.absolute()}; stop it, or give this one its own ledger"
            )
        yield None
        return
    try:
        begun()
        ledger = await SqliteLedger.open(path, config.ledger.commit_interval, tenure.token)
        try:
            await settle_clock(ledger, tenure.before, clock)
            yield Held(
                ledger=ledger,
                apps=apps if alone else tenure.apps,
                clock=clock,
                holds=tenure.holds,
                keep=lambda: tenure.keep(ledger, clock, patience),
                wanted=asyncio.Event(),
            )
        finally:
            await ledger.close()
    finally:
        tenure.release()


@contextlib.asynccontextmanager
async def _held_shared(
    config: Config,
    clock: Clock,
    stop: asyncio.Event,
    standing_by: Callable[[str], None] | None,
    alone: bool,
    begun: Callable[[], None],
) -> AsyncIterator[Held | None]:
    with _driver():
        from orchestrator.ledger.postgresql.tenure import take_seat
    await _prepare(config)
    url, name = config.ledger.url, config.worker.name
    if alone:
        name = f"{name[:50]}-{secrets.token_hex(4)}"
    # Calls that nobody knows are hung up in an application, so each worker has its own.
    apps = {pbx.name: f"{pbx.app}-{name}" for pbx in config.pbx}
    tenure = await take_seat(url, name, apps, config.worker.lease, stop, standing_by)
    if tenure is None:
        if not stop.is_set():
            raise LedgerUnusable(
                f"another worker named {name} runs on {name_of(config)}; give this one its own worker.name"
            )
        yield None
        return
    try:
        begun()
        async with seated(config, tenure, clock, tells=name) as it:
            yield it
    finally:
        await tenure.release()


@contextlib.asynccontextmanager
async def seated(config: Config, tenure: "SeatTenure", clock: Clock, tells: str) -> AsyncIterator[Held]:
    """The shared ledger of a worker in its seat. `tells` is the worker that delivers its notifications."""
    from orchestrator.ledger.postgresql.ledger import PostgresLedger

    seat = tenure.seat
    ledger = await PostgresLedger.open(
        config.ledger.url,
        config.ledger.commit_interval,
        seat.name,
        seat.token,
        tells=tells,
        limits=limits_of(config),
    )
    try:
        yield Held(
            ledger=ledger,
            apps=seat.apps,
            clock=await ledger.clock(clock),
            holds=tenure.holds,
            keep=tenure.keep,
            wanted=tenure.wanted,
        )
    finally:
        await ledger.close()


def limits_of(config: Config) -> "dict[str, Limits]":
    """What each node bears, of all workers together."""
    from orchestrator.ledger.postgresql.slots import Limits

    return {pbx.name: Limits(pbx.max_cps, pbx.max_calls) for pbx in config.pbx}
