"""Breaks everything that can break while real calls are made, and checks that no law was broken.

    python -m tests.chaos --seed 1 2 3 4 5 --calls 5000 --worker-kills 200 --pbx-kills 20 --json OUT

A real Asterisk, real worker processes, SIPp as the callees. The same seed and numbers give the same jobs and
faults in the same order. With several seeds the numbers are shared out among them, one run after the other.
Exit code: 0 when every law held, 1 when one was broken, 2 for a wrong use, 3 when something is missing here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from tests.chaos.plan import Plan, Size, make_plan
from tests.chaos.show import play, verdict
from tests.real.lab import LabUnavailableError


def share(total: int, parts: int) -> list[int]:
    """`total` as `parts` numbers, as even as can be."""
    return [total // parts + (number < total % parts) for number in range(parts)]


def sizes(arguments: argparse.Namespace) -> list[Size]:
    """One for each seed."""
    several = len(arguments.seed)
    return [
        Size(seed, calls, worker_kills, pbx_kills, arguments.live, arguments.rate, arguments.workers)
        for seed, calls, worker_kills, pbx_kills in zip(
            arguments.seed,
            share(arguments.calls, several),
            share(arguments.worker_kills, several),
            share(arguments.pbx_kills, several),
            strict=True,
        )
    ]


def command(size: Size) -> str:
    """How to run this one again."""
    fields = dataclasses.asdict(size)
    words = [word for name, value in fields.items() for word in (f"--{name.replace('_', '-')}", f"{value:g}")]
    return shlex.join(["python", "-m", "tests.chaos", *words])


def total(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all runs together: what is counted is added, of what is measured the worst is kept."""
    first: dict[str, Any] = {}
    for name, value in runs[0].items():
        values = [run[name] for run in runs]
        if "_max" in name or name == "load_average":
            first[name] = max(values)
        elif name in ("seed", "worker_exit_codes", "recovery_s_median"):
            first[name] = values
        elif isinstance(value, bool):
            first[name] = all(values)
        elif isinstance(value, dict):
            keys = sorted({key for each in values for key in each})
            first[name] = {key: sum(each.get(key, 0) for each in values) for key in keys}
        else:
            first[name] = round(sum(values), 1) if isinstance(value, float) else sum(values)
    return first


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _run(plan: Plan, folder: Path) -> dict[str, Any]:
    """One run. SIGTERM, SIGHUP and Ctrl-C unwind it, so that nothing is left behind."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await play(plan, folder, _say)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        yield Path(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--worker-kills", type=int, default=20)
    parser.add_argument("--pbx-kills", type=int, default=2)
    parser.add_argument("--live", type=int, default=500, help="calls at the same time, at most")
    parser.add_argument("--rate", type=float, default=40.0, help="jobs submitted a second, at most")
    parser.add_argument("--workers", type=int, default=2, choices=(1, 2), help="one works, one stands by")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave ledger and logs in DIR")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    if shutil.which("sipp") is None:
        _say("chaos: sipp is not installed, and without callees nothing can be shown.")
        _say("       mend: apt-get install sip-tester")
        return 3
    runs: list[dict[str, Any]] = []
    try:
        with _folder(arguments.keep) as folder:
            for size in sizes(arguments):
                _say(command(size))
                figures = uvloop.run(_run(make_plan(size), folder / f"seed-{size.seed}"))
                runs.append(figures)
                for fault in verdict(figures):
                    _say(f"  BROKEN: {fault}")
    except LabUnavailableError as error:
        _say(f"chaos: {error}")
        return 3
    except asyncio.CancelledError:
        _say("chaos: interrupted; what was started is stopped")
        return 130
    result = total(runs) if len(runs) > 1 else runs[0]
    wrong = [f"seed {run['seed']}: {fault}" for run in runs for fault in verdict(run)]
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        more = {"commands": [command(size) for size in sizes(arguments)], "broken": wrong, "runs": runs}
        arguments.json.write_text(json.dumps({**result, **more}, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
