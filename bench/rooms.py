"""Where the worker's time and memory go: what `bench.watched` has written, made readable."""

from collections import Counter
from pathlib import Path
from typing import Final

import orchestrator

_HERE: Final = f"{Path(orchestrator.__file__).parent}/"
_ROOMS: Final = {
    "live calls": ("live.py", "call/", "report.py"),
    "pbx": ("pbx/",),
    "ledger": ("ledger/",),
    "notifier": ("notify/",),
    "dispatcher": ("dispatcher.py", "pace.py", "health/", "guard/"),
}
"""What our own files are counted under; any other is `worker`."""
LOOP: Final = "loop"
"""The event loop itself: polling, reading sockets, timers, tasks; what no code of ours is on the stack of."""


def room_of(file: str) -> str:
    """The room that a file within the package belongs to."""
    return next((room for room, starts in _ROOMS.items() if file.startswith(starts)), "worker")


def shares(sampled: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The parts of the time, 0 to 1, largest first: by room, and by the innermost function of ours. What C
    code and libraries take counts for whoever of ours calls them."""
    rooms: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in sampled.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        place = _innermost(stack)
        rooms[room_of(place.partition(":")[0]) if place else LOOP] += int(count)
        functions[place or LOOP] += int(count)
    return _parts(rooms), _parts(functions)


def _innermost(stack: str) -> str:
    """`live.py:LiveCalls._apply`, or nothing when nothing but the way to the loop is ours."""
    for place in reversed(stack.split(";")):
        within = place.removeprefix(_HERE)
        if within != place:
            return "" if within.startswith(("cli/", "__main__")) else within
    return ""


def _parts(counts: Counter[str]) -> dict[str, float]:
    return {name: count / counts.total() for name, count in counts.most_common()}


def growth(traced: Path, calls: int) -> list[str]:
    """What a live call's objects take, by line: bytes, number, place; most first."""
    lines = [line.split("\t") for line in traced.read_text().splitlines()]
    grown = sorted(((int(size), int(count), where) for size, count, where in lines), reverse=True)
    return [f"{sum(size for size, _, _ in grown) / calls:7.0f} B in all"] + [
        f"{size / calls:7.0f} B {count / calls:6.1f}  {where.removeprefix(_HERE)}"
        for size, count, where in grown
    ]
