"""What the worker alone can do, and what a call costs it: CPU for whole calls, memory for live ones.

    python bench/worker.py --json OUT

The PBX is the virtual one, in a process of its own, over real sockets: ARI, then ESL. The worker is a process
as well (`orchestrator run`, ledger on disk), measured from outside. Its calls are made with five signed
webhooks each, delivered to a local receiver, and once more with none.

The keys of the contract (ari_cps, esl_cps, ari_cpu_ms_per_call, esl_cpu_ms_per_call, live_calls,
kb_per_live_call) are those with webhooks. Of ARI and ESL, live_calls is the lesser number and
kb_per_live_call the greater one.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.holding import Holding, holding
from bench.rooms import growth, shares
from bench.stage import ORCHESTRATOR, Face, Plan
from bench.throughput import Throughput, throughput

FACES: tuple[Face, ...] = ("ari", "esl")
SPEED = 50.0
"""How fast the virtual PBX's time runs for whole calls: a second's ringing takes 20 ms."""
PATIENCE = 120.0
"""Seconds that live calls stay on at least, once all should live."""


def whole_calls(face: Face, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Whole calls with and without webhooks. Figures without a mark are with."""
    result: dict[str, float] = {}
    for webhooks, mark in ((True, ""), (False, "_no_webhooks")):
        _say(f"{face}: {options.calls} calls, {'five webhooks each' if webhooks else 'no webhooks'} ...")
        plan = Plan(
            face=face,
            webhooks=webhooks,
            max_cps=options.cps * options.nodes,
            max_calls=options.concurrent,
            nodes=options.nodes,
            speed=SPEED,
        )
        part = folder / f"{face}{mark}"
        profile = folder / f"{face}{mark}.stacks"
        runner = ("-m", "bench.watched", "cpu", str(profile)) if options.profile else ORCHESTRATOR
        found = throughput(plan, options.calls, part, runner, watched=options.profile)
        result |= _of_throughput(found, f"{face}{mark}")
        if options.profile:
            _print_shares(profile)
    return result


def live_calls(face: Face, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Live calls, all at once."""
    _say(f"{face}: {options.live} live calls, {options.ramp:g} more a second ...")
    hold = PATIENCE + 2 * options.live / options.ramp
    plan = Plan(
        face=face, max_cps=options.ramp, max_calls=options.live, nodes=options.nodes, speed=1.0, hold=hold
    )
    trace = folder / f"{face}.memory"
    runner = ("-m", "bench.watched", "memory", str(trace)) if options.profile else ORCHESTRATOR
    found = holding(
        plan, options.live, folder / f"{face}_live", runner, rest=options.rest, watched=options.profile
    )
    if options.profile:
        for line in growth(trace, options.live)[:25]:
            _say(f"  {line}")
    return _of_holding(found, face)


def _of_throughput(found: Throughput, mark: str) -> dict[str, float]:
    return {
        f"{mark}_cps": round(found.cps, 1),
        f"{mark}_cpu_ms_per_call": round(found.cpu_ms_per_call, 3),
        f"{mark}_cps_per_core": round(1000 / found.cpu_ms_per_call, 1),
        f"{mark}_worker_cores": round(found.worker_cores, 2),
        f"{mark}_pbx_cores": round(found.pbx_cores, 2),
        f"{mark}_receiver_cores": round(found.receiver_cores, 2),
        f"{mark}_failed": found.failed,
        f"{mark}_undelivered": found.undelivered,
        f"{mark}_load": round(found.load, 2),
    }


def _of_holding(found: Holding, mark: str) -> dict[str, float]:
    return {
        f"{mark}_live_calls": found.live,
        f"{mark}_kb_per_live_call": round(found.kb_per_call, 2),
        f"{mark}_live_seconds": round(found.seconds, 1),
        f"{mark}_live_rss_mb_before": round(found.rss_mb_before, 1),
        f"{mark}_live_rss_mb": round(found.rss_mb_live, 1),
        f"{mark}_live_rss_mb_after": round(found.rss_mb_after, 1),
        f"{mark}_live_idle_cores": round(found.idle_cores, 3),
        f"{mark}_live_failed": found.failed,
        f"{mark}_live_undelivered": found.undelivered,
        f"{mark}_live_load": round(found.load, 2),
    }


def _print_shares(profile: Path) -> None:
    rooms, functions = shares(profile)
    for name, share in [*rooms.items(), ("", 0.0), *list(functions.items())[:20]]:
        _say(f"  {100 * share:5.1f} %  {name}" if name else "")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000, help="whole calls in each run; 0: none")
    parser.add_argument("--concurrent", type=int, default=400, help="of which so many at once, at most")
    parser.add_argument("--cps", type=float, default=1000, help="calls asked for a second, of each node")
    parser.add_argument("--live", type=int, default=10_000, help="live calls to hold; 0: none")
    parser.add_argument("--ramp", type=float, default=250, help="live calls begun, and ended, a second")
    parser.add_argument("--nodes", type=int, default=1, help="as how many nodes the PBX is driven")
    parser.add_argument("--rest", type=float, default=3.0, help="seconds of rest before memory is read")
    parser.add_argument("--face", choices=FACES, action="append", help="one of the two alone")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave ledgers, logs and profiles in DIR")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="where time and memory go; slows all, so the figures are not true",
    )
    options = parser.parse_args()
    result: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        folder = (
            options.keep.absolute()
            if options.keep
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        )
        for face in options.face or FACES:
            if options.calls:
                result |= whole_calls(face, options, folder)
            if options.live:
                result |= live_calls(face, options, folder)
    held = [value for name, value in result.items() if name.endswith("_live_calls")]
    if held:
        result["live_calls"] = min(held)
        result["kb_per_live_call"] = max(
            value for name, value in result.items() if name.endswith("_kb_per_live_call")
        )
    width = max(map(len, result), default=0)
    for name, value in result.items():
        print(f"{name:<{width}}  {value:>10}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
