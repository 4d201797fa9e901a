"""As many whole calls as the worker can make: each rings, is answered, hears six digits and is hung up."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.outside import TICK, usage
from bench.stage import ORCHESTRATOR, Plan, Stage, all_told, jobs, reading, stage, submit


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """What `calls` calls came to. Cores are CPU seconds a second of the calls."""

    calls: int
    failed: int
    undelivered: int
    repeated: int
    """Notifications that came more than once."""
    cps: float
    cpu_ms_per_call: float
    worker_cores: float
    pbx_cores: float
    receiver_cores: float
    load: float
    """What else the machine did: the mean number of ready processes in the minute before."""


def throughput(
    plan: Plan, calls: int, folder: Path, runner: Sequence[str] = ORCHESTRATOR, *, watched: bool = False
) -> Throughput:
    """Make `calls` calls. CPU is counted from when the worker is ready until the last notification has
    arrived: its start is not a call's cost. With `watched`, `runner` is told of these moments."""
    load = os.getloadavg()[0]
    with stage(plan, folder, runner) as on:
        accepted = jobs(on.config, calls, {"template": "digits", "plays": 1, "expires_in": 3600})
        processes = {"worker": on.worker, "pbx": on.pbx, "receiver": on.receiver}
        before = {name: usage(each.pid).cpu_seconds for name, each in processes.items()}

        async def make() -> None:
            await submit(on.config, accepted)
            await all_told(on, plan.webhooks)

        if watched:
            on.worker.send_signal(signal.SIGUSR1)
        asyncio.run(make())
        if watched:
            on.worker.send_signal(signal.SIGUSR1)
        used = {name: usage(each.pid).cpu_seconds - before[name] for name, each in processes.items()}
        seconds, failed, undelivered = _of_ledger(on)
    repeated = 0
    if plan.webhooks:
        lacking, repeated = arrived(on.got, calls, each=5)
        undelivered += lacking
    return Throughput(
        calls=calls,
        failed=failed,
        undelivered=undelivered,
        repeated=repeated,
        cps=calls / seconds,
        cpu_ms_per_call=1000 * max(used["worker"], TICK) / calls,  # eight calls may take less than a tick
        worker_cores=used["worker"] / seconds,
        pbx_cores=used["pbx"] / seconds,
        receiver_cores=used["receiver"] / seconds,
        load=load,
    )


def _of_ledger(on: Stage) -> tuple[float, int, int]:
    """Seconds from the first call's plan to the last call's end, calls that were not completed, notifications
    that were not delivered."""
    with reading(on.config) as db:
        first, last = db.execute("SELECT min(at), max(at) FROM journal").fetchone()
        failed = db.execute("SELECT count(*) FROM jobs WHERE outcome IS NOT 'completed'").fetchone()[0]
        undelivered = db.execute("SELECT count(*) FROM outbox WHERE state <> 'delivered'").fetchone()[0]
    return last - first, failed, undelivered


class _Told(msgspec.Struct, frozen=True):
    id: str
    type: str


def arrived(got: Path, calls: int, each: int) -> tuple[int, int]:
    """Of `each` notifications a call, how many never came to the receiver, and how many came again."""
    lines = got.read_bytes().splitlines()
    decode = msgspec.json.Decoder(_Told).decode
    told = [decode(line.partition(b" ")[2]) for line in lines]
    ids = [event.id for event in told if event.type != "cdr"]
    return calls * each - len({*ids}), len(ids) - len({*ids})
