"""One whole run: all is brought up, the plan carried out, the judge asked. Leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.chaos import judge, stage
from tests.chaos.conduct import RESTARTS, Conductor, Recovery, write_recoveries
from tests.chaos.crew import Crew
from tests.chaos.disk import Disk, disk
from tests.chaos.plan import LONGEST_CALL, Plan
from tests.chaos.producer import producing
from tests.chaos.proxy import relaying
from tests.chaos.receiver import receiving
from tests.real.lab import LabInfo, own_name, start_lab, stop_lab
from tests.real.worker import install_sounds

SETTLE: Final = LONGEST_CALL + 120.0
"""Seconds that the last calls and the last notifications get, those tried again included."""
FULL: Final = 450
LEDGER: Final = "ledger.db"
RECOVERY_S: Final = 5.0
ZERO: Final = (
    "double_rings",
    "missing_verdicts",
    "duplicate_verdicts",
    "sequence_gaps",
    "out_of_order",
    "open_jobs",
    "stray_channels",
    "unplanned_rings",
    "unseen_rings",
    "contradictions",
    "changed_events",
    "missing_records",
    "duplicate_records",
    "wrong_hangups",
    "undelivered",
)
"""The figures that must be zero."""

Say = Callable[[str], None]


async def play(plan: Plan, folder: Path, say: Say = lambda text: None) -> dict[str, Any]:
    """Carry `plan` out; the figures. What the judge read stays in `folder`."""
    name = own_name("chaos")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)  # noqa: ASYNC240 - nothing else runs yet
    began = time.monotonic()
    lab = await asyncio.to_thread(start_lab, name)
    try:
        await asyncio.to_thread(install_sounds, lab)
        megabytes = 64 + plan.size.calls // 20
        with stage.callees(lab, folder), disk(folder / "disk", megabytes) as ledger_disk:
            say(f"{len(plan.jobs)} calls and {len(plan.ops)} steps, about {plan.seconds:.0f} s ...")
            told = await _conduct(plan, lab, folder, ledger_disk, say)
            stage.copy_ledger(ledger_disk.folder / LEDGER, folder / LEDGER)
            (folder / "channels.json").write_text(json.dumps(await stage.channels_left(lab)))
    finally:
        await asyncio.to_thread(stop_lab, name)
    found = judge.read_evidence(folder)
    offences = judge.judge(found)
    (folder / "offences.json").write_text(json.dumps(offences, indent=2) + "\n")
    figures = {"seed": plan.size.seed, **judge.figures(found, offences), **told}
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


async def _conduct(plan: Plan, lab: LabInfo, folder: Path, ledger_disk: Disk, say: Say) -> dict[str, Any]:
    """The run itself, from the first worker's start to the last one's end."""
    ledger, listen = ledger_disk.folder / LEDGER, f"127.0.0.1:{stage.free_port()}"
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(relaying(int(lab.ari_url.rpartition(":")[2].split("/")[0])))
        receiver = await stack.enter_async_context(
            receiving(plan.size.seed, folder / "webhooks.jsonl", faulty=True)
        )
        config = stage.write_config(
            folder,
            lab,
            ledger=ledger,
            ari_url=f"http://127.0.0.1:{proxy.port}/ari",
            notify_url=receiver.url,
            listen=listen,
            max_calls=plan.size.live,
            max_cps=2.5 * plan.size.rate,
            more="lease = 2.0",
        )
        producer = await stack.enter_async_context(producing(config, folder / "jobs.jsonl"))
        timeout = aiohttp.ClientTimeout(total=1.0)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        crew = Crew(config, ledger, listen, folder)
        stack.callback(crew.end)
        conductor = Conductor(plan, lab, ledger, crew, producer, proxy, receiver, ledger_disk, http)
        await conductor.run()
        say("waiting for the last calls and notifications ...")
        settled = await conductor.settle(SETTLE)
        codes = await crew.stop(40.0)
    write_recoveries(folder / "recoveries.jsonl", conductor.recoveries)
    return {
        "worker_kills": crew.kills,
        "pbx_kills": conductor.pbx_kills,
        **_recovery_figures(conductor.recoveries),
        "live_max": conductor.live_max,
        "killed_at": dict(sorted(crew.kills_at.items())),
        "worker_yielded": crew.yielded,
        "worker_ended_alone": crew.ended_alone,
        "worker_exit_codes": codes,
        "settled": settled,
        "load_average": round(os.getloadavg()[1], 1),
    }


def _recovery_figures(recoveries: Sequence[Recovery]) -> dict[str, Any]:
    """`recovery_s_max` is over the restarts of workers and of Asterisk; see `recovery`."""
    restarts = sorted((each.seconds, each.live) for each in recoveries if each.after in RESTARTS)
    others = [each.seconds for each in recoveries if each.after not in RESTARTS]
    full = [seconds for seconds, live in restarts if live >= FULL]
    return {
        "recoveries": len(restarts),
        "recovery_s_max": round(max((seconds for seconds, _ in restarts), default=0.0), 2),
        "recovery_s_median": round(restarts[len(restarts) // 2][0], 2) if restarts else 0.0,
        "recovery_live_max": max((live for _, live in restarts), default=0),
        f"recovery_s_max_above_{FULL}_live": round(max(full, default=0.0), 2),
        "other_recovery_s_max": round(max(others, default=0.0), 2),
    }


def verdict(figures: dict[str, Any]) -> list[str]:
    """What is wrong with the figures of a run, in words; empty when nothing is."""
    wrong = [f"{figures[name]} {name}" for name in ZERO if figures[name]]
    if figures["recovery_s_max"] > RECOVERY_S:
        wrong.append(f"recovery_s_max is {figures['recovery_s_max']}, above {RECOVERY_S}")
    if any(figures["worker_exit_codes"]):
        wrong.append(f"told to stop, the workers exited with {figures['worker_exit_codes']}")
    if not figures["rings"]:
        wrong.append("no phone rang")
    return wrong
