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
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.stage import Plan, Stage, all_told, reading, stage
from tests.intake.endurance import Trial, job
from tests.intake.producers import JOBS, producing
from tests.intake.servers import serving

QUEUES = ("redis", "amqp", "nats", "folder")
TOMORROW = {"expires_in": 86400}
SPEED = 50.0
"""How fast the virtual PBX's time runs: a second's ringing takes 20 ms."""
TICK = 0.02
"""Seconds between two handfuls of jobs, when they come at a steady rate."""


class Ledger(NamedTuple):
    """A ledger that the fronts are measured on."""

    name: str
    folder: Callable[[Path], contextlib.AbstractContextManager[None]]
    """Has the ledger ready for a worker whose configuration lies in the folder."""


@contextlib.contextmanager
def _nothing(folder: Path) -> Iterator[None]:
    yield


LEDGERS = (Ledger("sqlite", _nothing),)


async def queue_rate(kind: str, folder: Path, jobs: int, prefetch: int) -> float:
    """Jobs a second out of a full queue into the ledger."""
    on = Trial(kind, folder, prefetch)
    try:
        if on.server is not None:
            await asyncio.to_thread(on.server.start)
        on.worker.start()  # it makes the queue
        await on.look(_is_there)
        on.worker.kill()
        late = datetime.fromtimestamp(time.time() + 72_000).astimezone().isoformat()
        await on.put([(n, job(n, not_before=late, **TOMORROW)) for n in range(1, jobs + 1)])
        on.worker.start()
        await on.stored(prefetch, within=60)
        first, began = on.worker.stored(), time.perf_counter()
        await on.stored(jobs, within=600)
        return (jobs - first) / (time.perf_counter() - began)
    finally:
        on.worker.kill()
        if on.server is not None:
            on.server.close()


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
    parser.add_argument("--queue", choices=QUEUES, action="append", help="this one alone")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as JSON")
    options = parser.parse_args()
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for ledger in LEDGERS:
            for kind in options.queue or QUEUES:
                print(f"{kind} on {ledger.name}: {options.jobs} jobs ...", file=sys.stderr, flush=True)
                place = folder / f"{kind}_{ledger.name}"
                place.mkdir()
                with ledger.folder(place):
                    rate = asyncio.run(queue_rate(kind, place, options.jobs, options.prefetch))
                result[f"{kind}_{ledger.name}_jobs_per_s"] = round(rate, 1)
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
