"""How much of Asterisk's own speed is left when every call goes through the worker.

    python bench/asterisk.py --calls 1000 --concurrent 500 --json OUT

One run, one machine, one real Asterisk, SIPp as the callees, four digits played to each: (a) calls that ARI
merely starts and the dialplan plays; (b) the same through the whole worker, its ledger on disk and five
signed webhooks a call delivered to a local receiver.
"""

import argparse
import asyncio
import contextlib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import dialplan_side, steady, worker_side
from bench.outside import usage
from bench.sipp.far_end import far_end
from orchestrator.prompts import packaged_root
from tests.real.lab import LabInfo, start_lab, stop_lab

NAME = "bench"


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed (nearest rank)."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def bucket(counts: dict[float, int], percent: float) -> float:
    """The bound of the histogram's bucket that holds `percent` of all: never less than the true value."""
    most = max(counts.values(), default=0)
    if most == 0:
        return math.nan
    return min(bound for bound, count in counts.items() if count >= percent / 100 * most)


@contextlib.contextmanager
def lab_with_sounds() -> Iterator[LabInfo]:
    """A lab of our own, with the package's sounds where Asterisk reads them."""
    lab = start_lab(NAME)
    try:
        shutil.copytree(packaged_root(), lab.sounds / "orchestrator", dirs_exist_ok=True)
        yield lab
    finally:
        stop_lab(NAME)


def measure(calls: int, concurrent: int, cps: float, folder: Path, profile: bool) -> dict[str, float]:
    """Both sides, one after the other, and what they come to."""
    with lab_with_sounds() as lab, far_end(lab.sipp_port, folder / "sipp", most_calls=2 * concurrent):
        tries = steady.look()
        _say(f"(a) {calls} calls, {concurrent} at once, by the dialplan alone ...")
        before = usage(lab.pid).cpu_seconds
        plain = asyncio.run(dialplan_side.run(lab, calls, concurrent, cps))
        between = usage(lab.pid).cpu_seconds
        tries += steady.look()
        _say(f"(b) {calls} calls, {concurrent} at once, through the worker ...")
        worked = worker_side.run(lab, calls, concurrent, cps, folder / "worker", profile)
        after = usage(lab.pid).cpu_seconds
        tries += steady.look()
    dialplan_cps, worker_cps = plain.ended / plain.seconds, worked.completed / worked.seconds
    return {
        "calls": calls,
        "concurrent": concurrent,
        "dialplan_cps": round(dialplan_cps, 1),
        "worker_cps": round(worker_cps, 1),
        "ratio": round(worker_cps / dialplan_cps, 3),
        "worker_cpu_ms_per_call": round(worked.cpu_ms_per_call, 2),
        "dialplan_pbx_cpu_ms_per_call": round(1000 * (between - before) / calls, 2),
        "worker_pbx_cpu_ms_per_call": round(1000 * (after - between) / calls, 2),
        "stasis_to_play_ms_p50": bucket(worked.stasis_to_play_ms, 50),
        "stasis_to_play_ms_p99": bucket(worked.stasis_to_play_ms, 99),
        "play_accepted_ms_p50": round(percentile(worked.play_accepted_ms, 50), 2),
        "play_accepted_ms_p99": round(percentile(worked.play_accepted_ms, 99), 2),
        "event_to_webhook_ms_p50": round(percentile(worked.event_to_webhook_ms, 50), 2),
        "event_to_webhook_ms_p99": round(percentile(worked.event_to_webhook_ms, 99), 2),
        "peak_rss_mb": round(worked.peak_rss_mb, 1),
        "failed_calls": worked.failed + plain.failed,
        "undelivered": worked.undelivered,
        "notifications": worked.notifications,
        "machine_slowdown": round(steady.slowdown(tries), 2),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--concurrent", type=int, default=500)
    parser.add_argument("--cps", type=float, default=300, help="calls started a second, on both sides")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave ledger and logs in DIR")
    parser.add_argument("--profile", action="store_true", help="profile the worker into DIR/worker.prof")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        result = measure(arguments.calls, arguments.concurrent, arguments.cps, folder, arguments.profile)
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:<{width}}  {value:>10}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
