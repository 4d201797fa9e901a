"""The right to be one worker of a shared ledger: waiting for it, proving it, keeping it.

It may act from each beat on for a part (RIGHT) of its patience, by a clock that goes on while a process is
stopped. Who takes its place waits for the whole of it, counted from a beat that it saw itself. So there are
never two, without any two clocks being compared; and a server that is away for a few seconds, as for a
restart, disturbs no call. A process that is dead for certain is not waited for.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from orchestrator.ledger.errors import LedgerStuck, LedgerUnusable
from orchestrator.ledger.postgresql import workers
from orchestrator.ledger.postgresql.connection import Connection, close, connect, is_passing, prepare
from orchestrator.ledger.postgresql.workers import Seat

RIGHT: Final = 0.8
"""The part of its patience for which a beat gives the right to act."""
BEATS: Final = 10
"""Beats in that time, one a second at least."""
LOOK_EVERY: Final = 0.25
"""Seconds between two looks of one that waits."""
GAP: Final = 2.0
"""Seconds between two looks, above which what was in between is not known: others are not held dead for a
server that was away."""

_log = structlog.get_logger(__name__)


def now() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Stillness:
    """Which workers have stood still, and for how long, while somebody looked on."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[int, int], float, float]] = {}

    def gone(self, seat: Seat, at: float) -> bool:
        """Whether the worker itself may take its seat. Ask at every look."""
        return self.seconds(seat, at) >= seat.patience or seat.free

    def left(self, seat: Seat, at: float) -> bool:
        """Whether another may take the seat. One that its worker is about to take is left to it."""
        still = self.seconds(seat, at) >= seat.patience
        return still or (seat.free and not seat.wanted)

    def seconds(self, seat: Seat, at: float) -> float:
        """For how long it has stood still."""
        beat = (seat.token, seat.beat)
        known, since, looked = self._seen.get(seat.name, (None, at, at))
        if known != beat or at - looked > GAP:
            since = at
        self._seen[seat.name] = beat, since, at
        return at - since


class SeatTenure:
    """One worker's time in its seat. Made by `take_seat`, or of a seat that was taken as an heir."""

    def __init__(self, url: str, seat: Seat, since: float) -> None:
        self.seat = seat
        self.wanted = asyncio.Event()
        """Set when the worker whose calls these are is back and waits for us to let go."""
        self._url = url
        self._until = since + RIGHT * seat.patience

    def holds(self) -> bool:
        """Whether nobody else can be acting now. Asks nobody."""
        return now() < self._until

    async def keep(self) -> None:
        """Show that we live, until cancelled. Raises `LeaseLost`."""
        db: Connection | None = None
        pause = min(1.0, self.seat.patience / BEATS)
        try:
            while True:
                try:
                    async with asyncio.timeout(self.seat.patience / 2):
                        db = db or await connect(self._url)
                        asked = now()
                        wanted = await workers.beat(db, self.seat.name, self.seat.token)
                    self._until = asked + RIGHT * self.seat.patience
                    if wanted:
                        self.wanted.set()
                except Exception as error:
                    if not is_passing(error) and not isinstance(error, LedgerUnusable):
                        raise
                    if db is not None:
                        db.terminate()
                    db = None
                await asyncio.sleep(pause)
        finally:
            if db is not None:
                db.terminate()

    async def release(self) -> None:
        """Let another have it; if that cannot be said now, it will be seen."""
        self._until = 0.0
        with contextlib.suppress(LedgerUnusable, TimeoutError):
            async with asyncio.timeout(5.0):
                db = await connect(self._url)
                try:
                    await workers.let_go(db, self.seat.name, self.seat.token)
                except Exception as error:
                    if not is_passing(error):
                        raise
                finally:
                    await close(db)


async def take_seat(
    url: str,
    name: str,
    apps: Mapping[str, str],
    patience: float,
    stop: asyncio.Event,
    standing_by: Callable[[str], None] | None,
) -> SeatTenure | None:
    """Become the worker `name`. None when `stop` was set first, or at once when `standing_by` is None and
    another process is that worker; otherwise `standing_by` is told, once, who that is.

    Raises `LedgerUnusable`.
    """
    await prepare(url)
    db: Connection | None = None
    still = Stillness()
    looks = 0
    try:
        while not stop.is_set():
            try:
                db = db or await connect(url)
                found = await workers.seat(db, name)
                began = now()
                if found is None or still.gone(found, began):
                    taken = await workers.take(db, found, name, apps, patience)
                    if taken is not None:
                        return SeatTenure(url, taken, began)
                elif found.heir and not found.wanted:
                    await workers.want(db, name, found.token)
            except Exception as error:
                if not is_passing(error) and not isinstance(error, LedgerStuck):
                    raise
                if db is None and not looks:
                    raise
                found, db = None, None
            looks += 1
            if found is not None and looks > 1:
                if standing_by is None:
                    return None
                if looks == 2:
                    standing_by(f"{found.heir or found.name} on {found.host}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await stop.wait()
    finally:
        if db is not None:
            await close(db)
    return None
