"""Several workers, several PBXs, one PostgreSQL, and all of them killed; the same judge as on SQLite.

    python -m tests.chaos.shared --calls 1500 --worker-kills 20 --postgresql-restarts 4 --pbx-kills 2

Real Asterisks, real worker processes, a PostgreSQL of the run's own, SIPp as the callees of each Asterisk.
Beyond the laws: no Asterisk may start more calls in any second than its max_cps says, all workers together,
by the INVITEs that reached SIPp.
Exit code: 0 when every law held, 1 when one was broken, 3 when something is missing here.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from tests.chaos import judge, stage
from tests.chaos.conduct import Recovery, write_recoveries
from tests.chaos.export import export_ledger
from tests.chaos.pace import most_in_a_second, put_first
from tests.chaos.producer import producing
from tests.chaos.receiver import receiving
from tests.chaos.shared_conduct import SharedConductor
from tests.chaos.shared_crew import SharedCrew
from tests.chaos.shared_plan import SharedPlan, SharedSize, make_shared_plan
from tests.chaos.show import RECOVERY_S, SETTLE, ZERO, Say
from tests.postgres import Server
from tests.real.lab import LabInfo, LabUnavailableError, own_name, start_lab, stop_lab
from tests.real.worker import install_sounds

RECOVERED_AFTER: Final = ("kill", "restart", "kill-pbx")
LEASE: Final = 2.0


async def play(plan: SharedPlan, folder: Path, say: Say = lambda text: None) -> dict[str, Any]:
    """Carry `plan` out; the figures. What the judge read stays in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)  # noqa: ASYNC240 - nothing else runs yet
    began = time.monotonic()
    with _labs(plan.size.pbxs) as labs, _server() as server:
        with contextlib.ExitStack() as stack:
            for number, lab in enumerate(labs, 1):
                (folder / f"ast{number}").mkdir()
                far = stack.enter_context(stage.callees(lab, folder / f"ast{number}"))
                put_first(far.pid)
            say(f"{len(plan.jobs)} calls and {len(plan.ops)} steps, about {plan.seconds:.0f} s ...")
            url = await server.database()
            told = await _conduct(plan, labs, server, url, folder, say)
            left = [each for lab in labs for each in await stage.channels_left(lab)]
        (folder / "channels.json").write_text(json.dumps(left))
        await export_ledger(url, folder / "ledger.db")
    logs = [folder / f"ast{number}" / stage.RINGS for number in range(1, plan.size.pbxs + 1)]
    (folder / stage.RINGS).write_bytes(b"".join(log.read_bytes() for log in logs))
    found = judge.read_evidence(folder)
    offences = judge.judge(found)
    (folder / "offences.json").write_text(json.dumps(offences, indent=2) + "\n")
    return {
        "seed": plan.size.seed,
        **judge.figures(found, offences),
        **told,
        "cps_limit": plan.size.max_cps,
        "cps_max": [_cps(log) for log in logs],
        "seconds": round(time.monotonic() - began, 1),
    }


def _cps(log: Path) -> int:
    return most_in_a_second(at for times in judge.read_rings(log).values() for at in times)


@contextlib.contextmanager
def _labs(count: int) -> Iterator[list[LabInfo]]:
    names = [own_name(f"shared{number}") for number in range(1, count + 1)]
    try:
        labs = [start_lab(name) for name in names]
        for lab in labs:
            install_sounds(lab)
            if lab.pid is not None:
                put_first(lab.pid)
        yield labs
    finally:
        for name in names:
            stop_lab(name)


@contextlib.contextmanager
def _server() -> Iterator[Server]:
    server = Server.made()
    try:
        yield server
    finally:
        server.remove()


async def _conduct(
    plan: SharedPlan, labs: Sequence[LabInfo], server: Server, url: str, folder: Path, say: Say
) -> dict[str, Any]:
    """The run itself, from the first worker's start to the last one's end."""
    async with contextlib.AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(
            receiving(plan.size.seed, folder / "webhooks.jsonl", faulty=True)
        )
        config = _write_config(plan.size, labs, folder, url, receiver.url)
        producer = await stack.enter_async_context(producing(config, folder / "jobs.jsonl"))
        crew = SharedCrew(config, folder)
        stack.callback(crew.end)
        conductor = SharedConductor(plan, labs, server, url, crew, producer)
        await conductor.run()
        say("waiting for the last calls and notifications ...")
        settled = await conductor.settle(SETTLE)
        await crew.stop_all(40.0)
    write_recoveries(folder / "recoveries.jsonl", conductor.recoveries)
    return {
        "workers": plan.size.workers,
        "pbxs": plan.size.pbxs,
        "worker_kills": crew.kills,
        "worker_stops": crew.stops,
        "postgresql_restarts": conductor.restarts,
        "pbx_kills": conductor.pbx_kills,
        **_recovery_figures(conductor.recoveries),
        "live_max": conductor.live_max,
        "worker_ended_alone": crew.ended_alone,
        "worker_found_no_ledger": crew.unreachable,
        "worker_exit_codes": crew.stop_codes,
        "settled": settled,
        "load_average": round(os.getloadavg()[1], 1),
    }


def _recovery_figures(recoveries: Sequence[Recovery]) -> dict[str, Any]:
    seconds = sorted(each.seconds for each in recoveries)
    by = {name: [each.seconds for each in recoveries if each.after == name] for name in RECOVERED_AFTER}
    return {
        "recoveries": len(seconds),
        "recovery_s_max": round(max(seconds, default=0.0), 2),
        "recovery_s_median": round(seconds[len(seconds) // 2], 2) if seconds else 0.0,
        "recovery_s_max_after": {name: round(max(found), 2) for name, found in by.items() if found},
    }


def _write_config(size: SharedSize, labs: Sequence[LabInfo], folder: Path, url: str, notify_url: str) -> Path:
    """As on SQLite, but for the ledger, the nodes, and no HTTP: several workers on one machine would need
    several ports."""
    (folder / "templates").mkdir()
    (folder / "templates" / "digits.ssml").write_text(stage.TEMPLATE)
    key = base64.b64encode(bytes(32)).decode()
    nodes = "".join(
        f"""
[[pbx]]
name = "ast{number}"
url = "{lab.ari_url}"
username = "{lab.ari_username}"
password_file = "{lab.ari_password_file}"
app = "shared-{os.getpid()}"
dial = "{lab.sipp_dial}"
max_cps = {size.max_cps}
max_calls = {size.live}
"""
        for number, lab in enumerate(labs, 1)
    )
    path = folder / "orchestrator.toml"
    path.write_text(
        f"""
[worker]
lease = {LEASE}
drain_timeout = 0.5
[ledger]
url = "{url}"
key = "{key}"
{nodes}
[notify]
url = "{notify_url}"
secret = "{stage.SECRET}"
timeout = {stage.NOTIFY_TIMEOUT}
cdr_interval = 0.5
per_receiver = 64
[prompts]
templates = {json.dumps(str(folder / "templates"))}
"""
    )
    return path


def verdict(figures: dict[str, Any]) -> list[str]:
    """What is wrong with the figures of a run, in words; empty when nothing is."""
    wrong = [f"{figures[name]} {name}" for name in ZERO if figures[name]]
    limit = figures["cps_limit"]
    wrong += [
        f"ast{number} began {most} calls within a second, above {limit:g}"
        for number, most in enumerate(figures["cps_max"], 1)
        if most > limit
    ]
    if figures["recovery_s_max"] > RECOVERY_S + LEASE:
        wrong.append(f"recovery_s_max is {figures['recovery_s_max']}, above {RECOVERY_S + LEASE}")
    if any(figures["worker_exit_codes"]):
        wrong.append(f"told to stop, workers exited with {figures['worker_exit_codes']}")
    if figures["worker_ended_alone"]:
        wrong.append(f"{figures['worker_ended_alone']} workers ended by themselves")
    if not figures["settled"]:
        wrong.append("not all was settled in time")
    if not figures["rings"]:
        wrong.append("no phone rang")
    return wrong


def command(size: SharedSize) -> str:
    """How to run this one again."""
    fields = dataclasses.asdict(size)
    words = [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", f"{value:g}")]
    return shlex.join(["python", "-m", "tests.chaos.shared", *words])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _run(plan: SharedPlan, folder: Path) -> dict[str, Any]:
    """One run. SIGTERM, SIGHUP and Ctrl-C unwind it, so that nothing is left behind."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await play(plan, folder, _say)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.shared",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--worker-kills", type=int, default=5)
    parser.add_argument("--worker-stops", type=int, default=2)
    parser.add_argument("--postgresql-restarts", type=int, default=2)
    parser.add_argument("--pbx-kills", type=int, default=1)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--pbxs", type=int, default=2)
    parser.add_argument("--live", type=int, default=120, help="calls at the same time on a PBX, at most")
    parser.add_argument("--wave", type=int, default=90, help="jobs submitted at once")
    parser.add_argument("--max-cps", type=float, default=20.0, help="calls a second of each PBX, at most")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave ledger and logs in DIR")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    if shutil.which("sipp") is None:
        _say("chaos: sipp is not installed, and without callees nothing can be shown.")
        _say("       mend: apt-get install sip-tester")
        return 3
    names = [field.name for field in dataclasses.fields(SharedSize)]
    size = SharedSize(**{name: getattr(arguments, name) for name in names})
    _say(command(size))
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            figures = uvloop.run(_run(make_shared_plan(size), arguments.keep or Path(folder) / "run"))
    except LabUnavailableError as error:
        _say(f"chaos: {error}")
        return 3
    except asyncio.CancelledError:
        _say("chaos: interrupted; what was started is stopped")
        return 130
    wrong = verdict(figures)
    for fault in wrong:
        _say(f"  BROKEN: {fault}")
    print(json.dumps(figures, indent=2))
    if arguments.json:
        told = {**figures, "commands": [command(size)], "broken": wrong}
        arguments.json.write_text(json.dumps(told, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
