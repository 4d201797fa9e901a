"""The API as the worker serves it: a job handed in over HTTP is called by a virtual PBX and told live."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from orchestrator.clock import steady_clock
from orchestrator.config import load_config
from orchestrator.guard.keyfile import change_keys
from orchestrator.guard.keys import ENTROPY, instant, make_key
from orchestrator.running import run_worker
from tests.http.world import job, lines_until
from tests.prompts.small_library import write_library

CONFIG = """
[ledger]
commit_interval = 0
[[pbx]]
name = "v1"
kind = "virtual"
url = "http://127.0.0.1:0/ari"
dial = "PJSIP/{{number}}@lab"
[pbx.virtual]
speed = 100
[http]
listen = "127.0.0.1:{port}"
keys = "keys.json"
"""


async def test_a_job_over_http_is_called_and_told_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = write_library(tmp_path / "library")
    monkeypatch.setattr("orchestrator.setup.packaged_root", lambda: library)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "orchestrator.toml").write_text(CONFIG.format(port=port))
    clock, stop, started = steady_clock(), asyncio.Event(), asyncio.Event()
    key, text = make_key("shop", instant(clock()), bytes(ENTROPY))
    change_keys(tmp_path / "keys.json", lambda known: (key,))
    config = load_config(tmp_path / "orchestrator.toml", {})
    url, headers = f"http://127.0.0.1:{port}/v1/jobs", {"Authorization": f"Bearer {text}"}
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(run_worker(config, stop, clock, started=lambda worker: started.set()))
        await started.wait()
        async with aiohttp.ClientSession(headers=headers) as client:
            async with client.post(url, json=job(id="a")) as answer:
                assert answer.status == 202
            live = {"Accept": "text/event-stream"}
            async with client.get(f"{url}/a/events", headers=live) as stream:
                got = await lines_until(stream.content, b"event: job.ended")
                assert [line.split()[1] for line in got if line.startswith(b"event")][-2] == b"call.hangup"
            async with client.get(f"{url}/a") as answer:
                assert (await answer.json())["outcome"] == "completed"
        stop.set()
