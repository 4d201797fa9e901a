"""How fast jobs are accepted over each front, and how long an accepted job waits for its originate.

    python bench/intake.py --json OUT

A queue is filled before the worker starts, so its producer is not measured; then it is counted how many jobs
a second come into the ledger. `accept_to_originate_ms_*` is the time from a job's acceptance to its originate
in the call's own record, over Redis Streams with signed webhooks, at half of the calls a second that the same
worker makes when it has as many jobs as it can take. The PBX is the virtual one, in a process of its own.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.outside import free_port
from bench.stage import Plan, Stage, all_told, reading, stage
from tests.intake.endurance import SQLITE, Trial, job
from tests.intake.producers import JOBS, producing
from tests.intake.servers import serving
from tests.postgres import Server

QUEUES = ("redis", "amqp", "nats", "folder")
FRONTS = ("http", *QUEUES)
AT_ONCE = 32
"""HTTP requests at the same time, each over a connection of its own."""
LIFE = {"expires_in": 86400}
SPEED = 50.0
"""How fast the virtual PBX's time runs: a second's ringing takes 20 ms."""
TICK = 0.02
"""Seconds between two handfuls of jobs, when they come at a steady rate."""
Count = Callable[[], Awaitable[int]]


class _Postgres(Server):
    """As in production: what was committed outlives a loss of power."""

    settings = dict(Server.settings) | {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}


class Ledger(NamedTuple):
    """Where jobs are accepted into, and how many are in it."""

    url: str
    stored: Count


@contextlib.asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Ledger]:
    def stored() -> int:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)) as db:
                return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0

    async def count() -> int:
        return stored()

    yield Ledger(SQLITE, count)


@contextlib.asynccontextmanager
async def _postgresql(folder: Path) -> AsyncIterator[Ledger]:
    server = await asyncio.to_thread(_Postgres.made)
    try:
        url = await server.database()
        db = await asyncpg.connect(url)

        async def count() -> int:
            try:
                return int(await db.fetchval("SELECT count(*) FROM jobs"))
            except asyncpg.UndefinedTableError:  # not made yet
                return 0

        yield Ledger(url, count)
        await db.close()
    finally:
        await asyncio.to_thread(server.remove)


LEDGERS = {"sqlite": _sqlite, "postgresql": _postgresql}


async def rate_of(front: str, ledger: str, folder: Path, jobs: int, prefetch: int) -> float:
    """Jobs a second that come into the ledger over one front."""
    async with LEDGERS[ledger](folder) as into:
        if front == "http":
            return await _http_rate(folder, into, jobs)
        return await _queue_rate(front, folder, into, jobs, prefetch)


def _jobs(count: int) -> list[tuple[int, bytes]]:
    late = datetime.fromtimestamp(time.time() + 72_000).astimezone().isoformat()
    return [(n, job(n, not_before=late, **LIFE)) for n in range(1, count + 1)]


async def _reached(on: Trial, into: Ledger, least: int, within: float) -> None:
    async def enough() -> bool:
        return await into.stored() >= least

    await on.until(enough, within)


async def _queue_rate(kind: str, folder: Path, into: Ledger, jobs: int, prefetch: int) -> float:
    """Out of a full queue."""
    on = Trial(kind, folder, prefetch, into.url)
    try:
        if on.server is not None:
            await asyncio.to_thread(on.server.start)
        on.worker.start()  # it makes the queue
        await on.look(_is_there)
        on.worker.kill()
        await on.put(_jobs(jobs))
        on.worker.start()
        await _reached(on, into, prefetch, 60)
        first, began = await into.stored(), time.perf_counter()
        await _reached(on, into, jobs, 600)
        return (jobs - first) / (time.perf_counter() - began)
    finally:
        on.worker.kill()
        if on.server is not None:
            on.server.close()


async def _http_rate(folder: Path, into: Ledger, jobs: int) -> float:
    """As fast as a few clients are answered."""
    listen = f"127.0.0.1:{free_port()}"
    on = Trial("folder", folder, 1, into.url, f'[http]\nlisten = "{listen}"')
    left = iter(_jobs(jobs))
    try:
        on.worker.start()
        async with aiohttp.ClientSession(f"http://{listen}") as client:

            async def ready() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    async with client.get("/readyz") as answer:
                        return answer.status == 200
                return False

            async def submit() -> None:
                for _, body in left:
                    headers = {"content-type": "application/json"}
                    async with client.post("/v1/jobs", data=body, headers=headers) as answer:
                        assert answer.status == 202, await answer.text()

            await on.until(ready, 60)
            began = time.perf_counter()
            await asyncio.gather(*(submit() for _ in range(AT_ONCE)))
            return jobs / (time.perf_counter() - began)
    finally:
        on.worker.kill()


async def _is_there(producer: Any) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return await producer.left() == 0  # type: ignore[no-any-return]
    return False


def accept_to_originate(folder: Path, calls: int, seconds: float) -> dict[str, float]:
    """Waiting times in milliseconds at half of the capacity, and that capacity in calls a second."""
    folder.mkdir(parents=True)
    with serving("redis", folder / "server") as server:
        intake = f'[[intake]]\nname = "jobs"\nkind = "redis"\nurl = "{server.url}"\njobs = "{JOBS}"\n'
        plan = Plan(face="ari", max_cps=1000.0, max_calls=400, speed=SPEED, more=intake)
        with stage(plan, folder / "full") as on:
            asyncio.run(_put_at(on, server.url, 1, calls, None))
            records = _records(on)
        ends = sorted(_epoch(record["ended_at"]) for record in records)
        # Without the start and the end, where not every line is taken.
        tenth = len(ends) // 10
        capacity = (len(ends) - 2 * tenth) / (ends[-tenth - 1] - ends[tenth])
        with stage(plan, folder / "half") as on:
            rate = capacity / 2
            asyncio.run(_put_at(on, server.url, calls + 1, int(rate * seconds), rate))
            records = _records(on)
    waits = sorted(1000 * (_epoch(each["dialed_at"]) - _epoch(each["created_at"])) for each in records)
    cuts = statistics.quantiles(waits, n=100, method="inclusive")
    return {
        "accept_to_originate_ms_p50": round(cuts[49], 1),
        "accept_to_originate_ms_p99": round(cuts[98], 1),
        "accept_to_originate_capacity_cps": round(capacity, 1),
        "accept_to_originate_calls": len(waits),
    }


async def _put_at(on: Stage, url: str, first: int, count: int, rate: float | None) -> None:
    """Put `count` jobs at `rate` a second (None: at once), and wait until all is over."""
    loop = asyncio.get_running_loop()
    messages = [
        (n, job(n, template="digits", plays=1, expires_in=3600, to=f"+1{200 + n % 800}5550100"))
        for n in range(first, first + count)
    ]
    began, put = loop.time(), 0
    async with producing("redis", url) as producer:
        while put < count:
            due = count if rate is None else min(count, int((loop.time() - began) * rate) + 1)
            if due > put:
                await producer.put(messages[put:due])
                put = due
            await asyncio.sleep(0 if rate is None else TICK)
        while await producer.left():
            on.check()
            await asyncio.sleep(0.1)
    await all_told(on, webhooks=True)


def _records(on: Stage) -> Sequence[dict[str, Any]]:
    with reading(on.config) as db:
        return [json.loads(row[0]) for row in db.execute("SELECT cdr FROM calls WHERE cdr IS NOT NULL")]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs in each queue")
    parser.add_argument("--prefetch", type=int, default=200, help="as the intake's `prefetch`")
    parser.add_argument("--calls", type=int, default=3000, help="calls that show the capacity; 0: none")
    parser.add_argument("--seconds", type=float, default=20.0, help="of calls at half of it")
    parser.add_argument("--front", choices=FRONTS, action="append", help="this one alone")
    parser.add_argument("--ledger", choices=LEDGERS, action="append", help="this one alone")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as JSON")
    options = parser.parse_args()
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for ledger, front in itertools.product(options.ledger or LEDGERS, options.front or FRONTS):
            print(f"{front} on {ledger}: {options.jobs} jobs ...", file=sys.stderr, flush=True)
            place = folder / f"{front}_{ledger}"
            place.mkdir()
            rate = asyncio.run(rate_of(front, ledger, place, options.jobs, options.prefetch))
            result[f"{front}_{ledger}_jobs_per_s"] = round(rate, 1)
        if options.calls:
            print(
                f"accept to originate: {options.calls} calls, then half as fast ...",
                file=sys.stderr,
                flush=True,
            )
            result |= accept_to_originate(folder / "calls", options.calls, options.seconds)
    for name, value in result.items():
        print(f"{name:<36}  {value:>10}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
