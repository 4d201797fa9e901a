"""Runs the command line while its CPU or memory is watched: `python -m bench.watched cpu|memory FILE run …`.

Watching begins at the first SIGUSR1 and ends at the second, when FILE is written.

`cpu`: after every few ms of CPU (ITIMER_PROF) it is noted where the loop's thread is, one stack a line, as
flame graphs are made of. A profiler that is told of each call would make the cheap calls look dear.
`memory`: how much the Python objects have grown, by the line that made them. Memory that is no Python
object's is not seen.
"""

import signal
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from orchestrator.cli.entry import main

EVERY: Final = 0.001
"""Seconds of CPU between two looks; the kernel's tick makes it 1 to 10 ms."""

Told = Callable[[], None]
"""What is called at the beginning and at the end."""


def sample_cpu(into: Path) -> Told:
    """Look at the stack now and then."""
    stacks: Counter[str] = Counter()
    running = False

    def look(number: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
            frame = frame.f_back
        stacks[";".join(reversed(stack))] += 1

    def toggle() -> None:
        nonlocal running
        running = not running
        if running:
            signal.signal(signal.SIGPROF, look)
            signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
        else:
            signal.setitimer(signal.ITIMER_PROF, 0)
            into.write_text("".join(f"{stack} {count}\n" for stack, count in stacks.items()))

    return toggle


def trace_memory(into: Path) -> Told:
    """Compare what lives at the end with what lived at the beginning."""
    tracemalloc.start()
    before: list[tracemalloc.Snapshot] = []

    def compare() -> None:
        now = tracemalloc.take_snapshot()
        if before:
            grown = now.compare_to(before[0], "lineno")
            lines = [f"{each.size_diff}\t{each.count_diff}\t{each.traceback}\n" for each in grown]
            into.write_text("".join(lines))
        before.append(now)

    return compare


def _run() -> None:
    what, into = sys.argv.pop(1), Path(sys.argv.pop(1))
    act = sample_cpu(into) if what == "cpu" else trace_memory(into)

    def told(number: int, frame: FrameType | None) -> None:
        act()

    signal.signal(signal.SIGUSR1, told)
    main()


if __name__ == "__main__":
    _run()
