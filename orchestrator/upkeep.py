"""What the worker does now and then: see to the clock and to what others wrote, send CDRs, count, forget."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from orchestrator.clock import Clock, moment
from orchestrator.config import Config
from orchestrator.health.fleet import Fleet
from orchestrator.ledger import stepped
from orchestrator.ledger.lease import Lease
from orchestrator.ledger.port import Ledger
from orchestrator.live import LiveCalls
from orchestrator.meters import Meters
from orchestrator.notify.payload import MAX_RECORDS
from orchestrator.pbx.errors import PbxError
from orchestrator.pbx.port import Pbx
from orchestrator.report import cdr_batch

WATCH_EVERY: Final = 0.1
"""Seconds between two looks whether another process wrote to the ledger."""
COUNT_EVERY: Final = 5.0
GAUGE_EVERY: Final = 1.0
FORGET_EVERY: Final = 600.0
FORGET_AT_ONCE: Final = 500

_log = structlog.get_logger(__name__)


async def settle_clock(ledger: Ledger, before: Lease | None, clock: Clock) -> None:
    """Settle what a clock that was set since the former owner's start would hold up, or have expire."""
    if before is None:
        return
    now = moment(clock)
    was = stepped.was(before.seen, now)
    moved = await ledger.clock_set(was, now.at)
    if moved:
        _log.warning("clock_set", seconds=round(now.at - was, 1), moved=moved)


async def watch(ledger: Ledger, wake: Callable[[], None]) -> None:
    """Call `wake` whenever another process has written to the ledger."""
    while True:
        if await ledger.changed():
            wake()
        await asyncio.sleep(WATCH_EVERY)


async def batch_cdrs(ledger: Ledger, clock: Clock, config: Config, wanted: bool) -> None:
    """Send call records in batches: fifty together, or what there is every `notify.cdr_interval`."""
    url = config.notify.url
    if url is None or not wanted:
        return
    while True:
        await asyncio.sleep(config.notify.cdr_interval)
        await send_cdrs(ledger, clock, url, config.worker.name)


async def flush_cdrs(ledger: Ledger, clock: Clock, config: Config) -> None:
    """At the end, put the records into the outbox that would have waited for their batch."""
    if config.notify.url is not None:
        await send_cdrs(ledger, clock, config.notify.url, config.worker.name)


async def send_cdrs(ledger: Ledger, clock: Clock, url: str, worker: str) -> None:
    """Put every record not sent yet into the outbox, up to fifty a notification."""
    while await ledger.batch_cdrs(MAX_RECORDS, lambda records: cdr_batch(records, url, worker, clock())):
        pass


async def keep_counts(ledger: Ledger, meters: Meters) -> None:
    """Keep the gauges true that only the ledger can tell. While it is stuck they stay as they were."""
    while True:
        counts = await ledger.counts()
        for state in ("queued", "active"):
            meters.jobs.labels(state).set(counts.get(f"jobs_{state}", 0))
        for state in ("pending", "dead"):
            meters.outbox.labels(state).set(counts.get(f"outbox_{state}", 0))
        await asyncio.sleep(COUNT_EVERY)


async def keep_gauges(
    ledger: Ledger, meters: Meters, live: LiveCalls, why_not_ready: Callable[[], str | None]
) -> None:
    """Keep the other gauges true. Asks the ledger nothing: they matter most while it is stuck."""
    while True:
        meters.ledger_waiting.set(ledger.waiting)
        meters.ready.set(why_not_ready() is None)
        for name, pbx in live.nodes.items():
            meters.live.labels(name).set(live.on_node(name))
            meters.connected.labels(name).set(pbx.connected)
        await asyncio.sleep(GAUGE_EVERY)


async def keep_health(fleet: Fleet) -> None:
    """Compare the nodes now and then."""
    while True:
        fleet.judge()
        await asyncio.sleep(GAUGE_EVERY)


async def keep_recordings(ledger: Ledger, nodes: Mapping[str, Pbx], clock: Clock, keep_days: float) -> None:
    """Delete recordings older than `keep_days`."""
    while True:
        deleted = await delete_recordings(ledger, nodes, clock() - keep_days * 86400)
        if deleted:
            _log.info("recordings_deleted", count=deleted)
        await asyncio.sleep(FORGET_EVERY)


async def delete_recordings(ledger: Ledger, nodes: Mapping[str, Pbx], before: float) -> int:
    """Delete recordings of calls that ended before `before` from their PBX. One that cannot be asked now is
    asked later, and holds up none of the others'; a node that is configured no more keeps its own. How many.
    """
    deleted, passed, lost = 0, 0, set[str]()
    while True:
        batch = max(FORGET_AT_ONCE, passed)
        found = (await ledger.recordings(before, passed + batch))[passed:]
        for kept in found:
            node = nodes.get(kept.pbx)
            try:
                if kept.pbx not in lost and node is not None:
                    await node.delete_recording(kept.recording)
            except PbxError as error:
                _log.warning("recording_not_deleted", pbx=kept.pbx, call=kept.call_id, reason=str(error))
                lost.add(kept.pbx)
            if kept.pbx in lost:
                passed += 1
                continue
            await ledger.recording_gone(kept.call_id)
            deleted += 1
        if len(found) < batch:
            return deleted


async def keep_forgetting(ledger: Ledger, clock: Clock, keep_days: float) -> None:
    """Delete jobs that ended longer ago than `keep_days`, a few at a time."""
    while True:
        forgotten = await ledger.forget(clock() - keep_days * 86400, FORGET_AT_ONCE)
        if forgotten:
            _log.info("jobs_forgotten", count=forgotten)
        await asyncio.sleep(1.0 if forgotten == FORGET_AT_ONCE else FORGET_EVERY)
