"""One transaction for all that came within a few milliseconds, on one connection, by one task.

A function given to `post` or `call` is a part of a transaction: it is awaited with the connection, in the
order given, and perhaps again, when the transaction has to be made anew. Whoever needs durability awaits
`call`; it returns after the commit. While a commit is on its way, what comes is gathered and goes into the
next one together.

A lost connection, a server that restarts or has no room stop nothing but the commit: the whole group is
tried again until it goes through. Was the connection lost in the middle of COMMIT, nobody knows whether the
group is stored; so each transaction of a worker leaves a mark (`Guard`), which is looked for before anything
is done anew. A transaction's own number would not do: after a crash the server may give it to another. A
function that fails for another reason is undone alone (savepoint) and its caller told.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import asyncpg
import structlog

from orchestrator.ledger.errors import LeaseLost, LedgerClosed, LedgerError, LedgerUnusable
from orchestrator.ledger.postgresql.connection import Connection, close, is_passing, why

T = TypeVar("T")
R = TypeVar("R")
Operation = Callable[[Connection], Awaitable[T]]

RETRY_EVERY: Final = 0.25
"""Seconds between two tries to commit while the server is not to be had."""
SOON: Final = 0.005
"""Seconds over which writes are gathered at most once somebody waits for one of them."""
PATIENCE: Final = 1.0
"""Seconds of that before it counts as a fault."""

_log = structlog.get_logger(__name__)


class Guard(Protocol):
    """What each transaction begins with, and how it is known again."""

    async def begin(self, db: Connection, mark: int) -> None:
        """Leave `mark`, other than all before. Raises `LeaseLost` when it is no longer ours to write."""
        ...

    async def stored(self, db: Connection, mark: int) -> bool:
        """Whether the transaction of that mark, the latest, is stored. Waits for its end."""
        ...


class NoGuard:
    """For who submits, cancels and reads: all of that can be done once more without harm."""

    async def begin(self, db: Connection, mark: int) -> None:
        """Leave nothing."""

    async def stored(self, db: Connection, mark: int) -> bool:
        """Not known, so it is done once more."""
        return False


class Part:
    """One operation, whoever waits for it, and whoever wants its result after the commit."""

    __slots__ = ("error", "future", "operation", "order", "result", "then", "weight")

    def __init__(
        self,
        operation: Operation[Any],
        future: asyncio.Future[Any] | None,
        then: Callable[[Any, Exception | None], None] | None,
        order: str = "",
    ) -> None:
        self.operation = operation
        self.future = future
        self.then = then
        self.order = order
        self.result: Any = None
        self.error: Exception | None = None
        self.weight = 1


class Commits:
    """Gathers operations and commits them together, once in `interval` seconds at most; within `SOON` when
    somebody waits for one of them, or the last commit is as long ago. `run` does the work.

    When the guard raises `LeaseLost`, nothing is or will be written any more. Parts are executed by their
    `order`, and as they came where that is the same: locks that several workers want must be taken in one
    order.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        interval: float,
        guard: Guard,
    ) -> None:
        self._connect = connect
        self._interval = interval
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._gathered: list[Part] = []
        self._wanted = asyncio.Event()
        self._hurried = asyncio.Event()
        self._closing = asyncio.Event()
        self._waiting = 0
        self._lost: LeaseLost | None = None
        self._over: LedgerError | None = None
        self._since: float | None = None
        self._db: Connection | None = None
        self._mark = 0
        self.group = 0
        """The number of the group that is being gathered."""
        self.fault: str | None = None
        """Why nothing can be committed now; None while all is well."""
        self.broken: asyncio.Future[None] = self._loop.create_future()
        """Fails when a posted operation failed by a fault of ours; the worker must not go on."""

    @property
    def waiting(self) -> int:
        """How many operations are not committed yet."""
        return self._waiting

    def post(
        self,
        operation: Operation[T],
        then: Callable[[T, Exception | None], None] | None = None,
        *,
        soon: bool = False,
    ) -> Part:
        """Have `operation` committed with the next group; `then` gets its result or error afterwards. `soon`
        says that something waits for it."""
        part = Part(operation, None, then)
        self._add(part, soon)
        return part

    def weigh(self, part: Part) -> None:
        """Count one more write into `part`, which is still being gathered."""
        part.weight += 1
        self._waiting += 1

    async def call(self, operation: Operation[T], order: str = "", *, soon: bool = True) -> T:
        """Have `operation` committed with the next group, and wait for that. Without `soon` it has time, and
        goes with a commit that is due anyway."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._add(Part(operation, future, None, order), soon)
        return await future

    def close(self) -> None:
        """Take no more. `run` commits what was handed over, and returns. What cannot be committed now is
        given up: whoever awaits it gets `LedgerClosed`."""
        self._closing.set()
        self._wanted.set()
        self._hurried.set()

    async def run(self) -> None:
        """Commit until closed. Raises what broke it for good; whoever waits is told the same."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await self._gather()
                while self._gathered:
                    group, self._gathered = self._gathered, []
                    self.group += 1
                    group.sort(key=lambda part: part.order)
                    await self._commit(group)
                if self._closing.is_set():
                    return
        finally:
            self._over = LedgerClosed("the ledger is closed; nothing was stored")
            self._give_up(self._gathered, self._over)
            self._gathered = []
            if self._db is not None:
                await close(self._db)
            if not self.broken.done():
                self.broken.cancel()
            elif not self.broken.cancelled():
                self.broken.exception()  # of two streams that broke, one is told of

    async def _gather(self) -> None:
        """Let more come, until the interval since the last commit is over or somebody waits."""
        await self._pause(min(self._interval, SOON))
        left = self._began_at + self._interval - self._loop.time()
        if left > 0 and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._hurried.wait()
        self._hurried.clear()
        self._began_at = self._loop.time()

    def _add(self, part: Part, soon: bool) -> None:
        if self._closing.is_set() or self._over is not None:
            raise LedgerClosed("the ledger is closed; nothing was stored")
        if self._lost is not None:  # whoever waits is told, the rest is the new owner's
            self._tell(part, self._lost)
            return
        self._gathered.append(part)
        self._waiting += 1
        self._wanted.set()
        if soon:
            self._hurried.set()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not when it is time to close."""
        if seconds > 0 and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()

    # One group, until it is stored or nobody may store it.

    async def _commit(self, group: list[Part]) -> None:
        singly = False
        while True:
            last = self._closing.is_set()
            try:
                singly = await self._try(group, singly)
            except LeaseLost as lost:
                self._lose(group, lost)
                return
            except Exception as error:
                if not _mends_itself(error):
                    self._give_up(group, LedgerClosed(f"the ledger failed: {why(error)}"))
                    self._break(error)
                    raise
                await self._let_go()
                self._note(error)
                if last:
                    _log.error("ledger_gave_up", lost=len(group), error=why(error))
                    self._give_up(
                        group,
                        LedgerClosed(f"the ledger was closed before this could be stored: {why(error)}"),
                    )
                    return
                await self._pause(RETRY_EVERY if not _at_once(error) else 0.0)
                continue
            if singly:
                continue
            if self.fault is not None:
                _log.info("ledger_goes_on")
            self.fault = self._since = None
            self._deliver(group)
            return

    async def _try(self, group: list[Part], singly: bool) -> bool:
        """Store the group. True, with nothing done, when one of it fails and all must be done singly."""
        if self._db is None or self._db.is_closed():
            self._db = await self._connect()
        db = self._db
        self._mark += 1
        await db.execute("BEGIN")
        await self._guard.begin(db, self._mark)
        for part in group:
            part.error = None
            if singly:
                await db.execute("SAVEPOINT part")
            try:
                part.result = await part.operation(db)
            except Exception as error:
                if is_passing(error) or isinstance(error, LeaseLost):
                    raise
                if not singly:
                    await db.execute("ROLLBACK")
                    return True
                await db.execute("ROLLBACK TO part")
                part.error = error
            if singly:
                await db.execute("RELEASE part")
        try:
            await db.execute("COMMIT")
        except Exception as error:
            # Even what the server says may come after it has stored all, such as when it is shut down.
            if not is_passing(error) or not await self._stored():
                raise
        return False

    async def _stored(self) -> bool:
        """Whether the transaction is stored, of which nothing good was heard after its COMMIT."""
        await self._let_go()
        _log.warning("ledger_commit_unknown", note="the connection was lost in it; the server is asked")
        while True:
            try:
                self._db = self._db or await self._connect()
                return await self._guard.stored(self._db, self._mark)
            except Exception as error:
                if not _mends_itself(error):
                    raise
                self._note(error)
                await self._let_go()
                if self._closing.is_set():
                    raise
            await self._pause(RETRY_EVERY)

    async def _let_go(self) -> None:
        """Drop the connection: whatever transaction is open on it ends with it."""
        db, self._db = self._db, None
        if db is not None:
            db.terminate()

    def _note(self, error: Exception) -> None:
        now = self._loop.time()
        self._since = now if self._since is None else self._since
        if now - self._since >= PATIENCE and not _at_once(error):
            if self.fault is None:
                _log.error("ledger_stuck", error=why(error), mend="see that PostgreSQL runs and has room")
            self.fault = why(error)

    # After a commit, or instead of one.

    def _deliver(self, group: list[Part]) -> None:
        self._waiting -= sum(part.weight for part in group)
        for part in group:
            if part.future is not None:
                if part.future.done():
                    continue
                if part.error is not None:
                    part.future.set_exception(part.error)
                else:
                    part.future.set_result(part.result)
            elif part.then is not None:
                try:
                    part.then(part.result, part.error)
                except Exception as error:  # noqa: BLE001 - a fault of ours, but the others' results are due
                    self._break(error)
            elif part.error is not None:
                self._break(part.error)

    def _lose(self, group: list[Part], lost: LeaseLost) -> None:
        """Give up all that waits, now and from now on: it is the new owner's to write."""
        self._lost = lost
        left, self._gathered = group + self._gathered, []
        self._give_up(left, lost)
        self._break(lost)
        if self._db is not None:
            self._db.terminate()
            self._db = None

    def _give_up(self, group: Sequence[Part], reason: LedgerError) -> None:
        self._waiting -= sum(part.weight for part in group)
        for part in group:
            self._tell(part, reason)

    def _tell(self, part: Part, reason: LedgerError) -> None:
        if part.future is not None and not part.future.done():
            part.future.set_exception(reason)
        elif part.then is not None:
            part.then(None, reason)

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)


class Batch(Generic[T]):
    """Members of one operation that is still being gathered, so that they become one statement."""

    def __init__(
        self,
        commits: Commits,
        run: Callable[[Connection, Sequence[T]], Awaitable[R]],
        then: Callable[[Sequence[T], R, Exception | None], None],
        *,
        soon: bool = False,
    ) -> None:
        self._commits = commits
        self._run = run
        self._then = then
        self._soon = soon
        self._members: list[T] = []
        self._part: Part | None = None
        self._group = -1

    def add(self, member: T) -> None:
        """Add to the open batch, or to a new one when there is none or its group has gone to be committed."""
        if self._part is not None and self._group == self._commits.group:
            self._members.append(member)
            self._commits.weigh(self._part)
            return
        members = self._members = [member]
        self._part = self._commits.post(
            lambda db: self._run(db, members),
            lambda result, error: self._then(members, result, error),
            soon=self._soon,
        )
        self._group = self._commits.group

    def close(self) -> None:
        """Take no more: something else comes between."""
        self._part = None


def _at_once(error: Exception) -> bool:
    """Whether the very next try may do: others were in the way, and nothing is wrong."""
    return isinstance(error, asyncpg.TransactionRollbackError)


def _mends_itself(error: Exception) -> bool:
    return is_passing(error) or isinstance(error, LedgerUnusable)
