"""`make test`: lint, type check, then every test. Stops at the first of the three that fails."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINT = (
    ("ruff check", ["ruff", "check", "."]),
    ("ruff format", ["ruff", "format", "--check", "--quiet", "."]),
    ("mypy", ["mypy"]),
)


def run(name: str, command: list[str]) -> bool:
    print(f"── {name} ".ljust(78, "─"), flush=True)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False)
    print(
        f"   {name}: {'ok' if done.returncode == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lint", action="store_true", help="no tests")
    arguments, more = parser.parse_known_args()
    if not all(run(name, command) for name, command in LINT):
        return 1
    if arguments.lint:
        return 0
    if not run("tests that listen", ["pytest", "-n", "2", "--dist", "load", "-q", "-m", "alone", *more]):
        return 1
    print("── tests ".ljust(78, "─"), flush=True)
    # Half of the time goes by while calls ring and are listened to: more workers than cores wait together.
    workers = str(min(6, 2 * (os.cpu_count() or 1)))
    # The tests' closing line is the last thing printed, so that nobody has to look for it.
    order = ["--dist", "loadfile", "--no-loadscope-reorder"]
    tests = ["pytest", "-n", workers, *order, "-q", "-m", "not alone", *more]
    return subprocess.run([sys.executable, "-m", *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
