"""`bench/worker.py` with few calls. How fast it all goes is nothing that a test could say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import orchestrator
from bench.rooms import LOOP, growth, room_of, shares

BENCH = Path(__file__).parents[2] / "bench" / "worker.py"
PACKAGE = Path(orchestrator.__file__).parent


def bench(folder: Path, *options: str) -> tuple[dict[str, float], str]:
    """The figures of eight whole calls and eight live ones, and what was said meanwhile."""
    few = ["--calls", "8", "--live", "8", "--rest", "0.2", "--json", "out.json"]
    done = subprocess.run(
        [sys.executable, str(BENCH), *few, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out.json").read_text()), done.stderr


def test_it_measures_whole_calls_and_live_ones_none_of_which_fails(tmp_path: Path) -> None:
    told, _ = bench(tmp_path, "--face", "ari")
    assert told["live_calls"] == told["ari_live_calls"] == 8
    assert told["kb_per_live_call"] == told["ari_kb_per_live_call"]
    for run in ("ari", "ari_no_webhooks"):
        assert told[f"{run}_cps"] > 0
        assert told[f"{run}_cpu_ms_per_call"] > 0
        assert told[f"{run}_failed"] == told[f"{run}_undelivered"] == 0
    assert told["ari_live_failed"] == told["ari_live_undelivered"] == 0


def test_with_a_profile_it_also_says_where_time_and_memory_go(tmp_path: Path) -> None:
    told, said = bench(tmp_path, "--face", "esl", "--profile", "--keep", "kept")
    assert told["esl_failed"] == told["esl_undelivered"] == told["esl_live_failed"] == 0
    assert told["live_calls"] == 8
    assert shares(tmp_path / "kept" / "esl.stacks")[0]
    assert "dispatcher.py" in said.partition("B in all")[2]


def test_time_counts_for_the_innermost_function_of_ours_and_its_room(tmp_path: Path) -> None:
    run, apply = f"{PACKAGE}/cli/run.py:run", f"{PACKAGE}/live.py:LiveCalls._apply"
    write = f"{PACKAGE}/pbx/ari/stream.py:Stream.write"
    sampled = tmp_path / "cpu.stacks"
    sampled.write_text(
        f"{run};/lib/asyncio/runners.py:Runner.run 2\n"
        f"{run};{apply} 1\n"
        f"{run};{apply};{write};/lib/aiohttp/writer.py:write 5\n"
    )
    rooms, functions = shares(sampled)
    assert rooms == {"pbx": 5 / 8, LOOP: 2 / 8, "live calls": 1 / 8}
    assert list(functions) == ["pbx/ari/stream.py:Stream.write", LOOP, "live.py:LiveCalls._apply"]
    assert room_of("systemd.py") == "worker"


def test_growth_is_told_by_call_the_largest_first(tmp_path: Path) -> None:
    traced = tmp_path / "memory"
    traced.write_text(f"200\t2\t{PACKAGE}/live.py:9\n800\t20\t{PACKAGE}/job.py:3\n")
    told = [line.split() for line in growth(traced, 10)]
    assert told == [
        ["100", "B", "in", "all"],
        ["80", "B", "2.0", "job.py:3"],
        ["20", "B", "0.2", "live.py:9"],
    ]
