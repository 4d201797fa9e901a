"""As many live calls as are wanted, all at once: answered, in the middle of a long prompt, then hung up."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench.outside import usage
from bench.stage import ORCHESTRATOR, Plan, Stage, all_told, jobs, reading, stage, submit
from bench.throughput import arrived

WARM = 200
"""Calls made before anything is measured, at most: caches fill, modules load, and that is no live call's
cost."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What holding the calls came to. Memory is the worker's resident set."""

    live: int
    """How many lived at the same time, each answered, by the word of both the worker and the PBX."""
    failed: int
    undelivered: int
    seconds: float
    """From the first dial until all lived."""
    rss_mb_before: float
    rss_mb_live: float
    rss_mb_after: float
    kb_per_call: float
    idle_cores: float
    """What the worker uses while all live and nothing happens."""
    load: float


def holding(
    plan: Plan,
    live: int,
    folder: Path,
    runner: Sequence[str] = ORCHESTRATOR,
    *,
    rest: float = 3.0,
    watched: bool = False,
) -> Holding:
    """Hold `live` calls, with so many seconds' `rest` before memory is read. With `watched`, `runner` is told
    of the moments between which memory counts."""
    load = os.getloadavg()[0]
    with stage(plan, folder, runner) as on:
        found = asyncio.run(_hold(on, plan, live, rest, watched))
        with reading(on.config) as db:
            bad = "outcome IS NULL OR outcome NOT IN ('hung_up_early', 'completed')"
            failed = db.execute(f"SELECT count(*) FROM jobs WHERE {bad}").fetchone()[0]  # noqa: S608
            undelivered = db.execute("SELECT count(*) FROM outbox WHERE state <> 'delivered'").fetchone()[0]
    lacking, _ = arrived(on.got, live + min(WARM, live), each=5)
    return Holding(failed=failed, undelivered=undelivered + lacking, load=load, **found)


async def _hold(on: Stage, plan: Plan, live: int, rest: float, watched: bool) -> dict[str, Any]:
    pid = on.worker.pid
    warm = jobs(on.config, min(WARM, live), {"template": "digits", "plays": 1, "expires_in": 3600})
    held = jobs(on.config, live, {"template": "hold", "plays": 2, "expires_in": 3600, "max_duration": 14400})
    await submit(on.config, warm)
    await all_told(on, webhooks=True)
    await asyncio.sleep(rest)
    if watched:
        on.worker.send_signal(signal.SIGUSR1)
    before = usage(pid)
    began = time.monotonic()
    async with aiohttp.ClientSession(on.control) as control:
        await submit(on.config, held)
        most = await _all_up(on, control, live, patience=60 + 4 * live / plan.max_cps)
        seconds = time.monotonic() - began
        await asyncio.sleep(rest)
        rested = usage(pid)
        if watched:
            on.worker.send_signal(signal.SIGUSR1)
        await asyncio.sleep(rest)
        between = usage(pid)
        await _hang_up_all(control, plan.max_cps)
    await all_told(on, webhooks=True)
    after = usage(pid)
    return {
        "live": most,
        "seconds": seconds,
        "rss_mb_before": before.rss_kb / 1024,
        "rss_mb_live": rested.rss_kb / 1024,
        "rss_mb_after": after.rss_kb / 1024,
        "kb_per_call": (rested.rss_kb - before.rss_kb) / live,
        "idle_cores": (between.cpu_seconds - rested.cpu_seconds) / rest,
    }


async def _all_up(on: Stage, control: aiohttp.ClientSession, live: int, patience: float) -> int:
    """Wait until all live, are answered, and all that is to be told of them is told. How many do, which is
    fewer when it takes too long or some end."""
    until = time.monotonic() + patience
    most = 0
    with reading(on.config) as db:
        while time.monotonic() < until:
            on.check()
            if on.live() >= live:
                pending = db.execute("SELECT count(*) FROM outbox WHERE state = 'pending'").fetchone()[0]
                up = sum(call["state"] == "up" for call in await _calls(control))
                most = max(most, min(up, on.live()))
                if most >= live and not pending:
                    break
            await asyncio.sleep(0.5)
    return most


async def _calls(control: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with control.get("/calls") as answer:
        return msgspec.json.decode(await answer.read(), type=list[dict[str, Any]])


async def _hang_up_all(control: aiohttp.ClientSession, per_second: float) -> None:
    """The callees hang up, `per_second` of them a second."""
    began = time.monotonic()
    for n, call in enumerate(await _calls(control)):
        early = n / per_second - (time.monotonic() - began)
        if early > 0:
            await asyncio.sleep(early)
        async with control.post(f"/calls/{call['id']}/hangup", data=b"{}"):
            pass
