"""Three workers, two PBXs, one PostgreSQL, each a process or server of its own: one worker is killed in the
middle, the PostgreSQL restarted, and nobody is called twice or forgotten."""

import asyncio
import base64
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp import web

from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.pbx import VirtualPbx
from orchestrator.testing import virtual_pbx_with
from tests.postgres import Server

CPS, JOBS = 20, 90

CONFIG = """
[worker]
name = "{name}"
lease = 2.0
drain_timeout = 0.5
[ledger]
url = "{url}"
key = "{key}"
[notify]
url = "http://127.0.0.1:{receiver}/events"
secret = "whsec_{key}"
cdr_interval = 0.5
"""
NODE = """
[[pbx]]
name = "ast{n}"
url = "{url}"
password = "virtual"
dial = "PJSIP/{{number}}@lab"
max_cps = {cps}.0
max_calls = 200
"""


class Receiver:
    """Takes notifications; of each job, in the order of their arrival: sequence and type."""

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[int, str]]] = {}
        self.port = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/events", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        event = msgspec.json.decode(await request.read())
        if event["type"] != "cdr":
            self.heard.setdefault(event["subject"], []).append((event["data"]["sequence"], event["type"]))
        return web.Response()

    def ended(self) -> int:
        return sum(any(type == "job.ended" for _, type in told) for told in self.heard.values())


def counted(pbx: VirtualPbx) -> list[tuple[float, str]]:
    """When the PBX began which call, by its own count."""
    began: list[tuple[float, str]] = []
    add = pbx.switch.legs.__class__.__setitem__

    class Legs(dict):  # type: ignore[type-arg]
        def __setitem__(self, id: str, leg: Any) -> None:
            began.append((time.monotonic(), id))
            add(self, id, leg)

    pbx.switch.legs = Legs(pbx.switch.legs)
    return began


class Crew:
    """Workers as processes, each with a configuration of its own."""

    def __init__(self, folder: Path, url: str, nodes: str, receiver: int) -> None:
        self._folder = folder
        self._words = {
            "url": url,
            "key": base64.b64encode(bytes(32)).decode(),
            "receiver": receiver,
        }
        self._nodes = nodes
        self._running: dict[str, asyncio.subprocess.Process] = {}

    def config(self, name: str) -> Path:
        path = self._folder / f"{name}.toml"
        path.write_text(CONFIG.format(name=name, **self._words) + self._nodes)
        return path

    async def start(self, name: str) -> asyncio.subprocess.Process:
        with (self._folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orchestrator", "run", "-c", str(self.config(name)), stderr=log
            )
        self._running[name] = process
        return process

    async def command(self, *words: str, given: bytes = b"") -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "orchestrator", *words, "-c", str(self.config("w1")),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate(given)
        assert process.returncode == 0
        return said

    async def stop(self) -> None:
        for process in self._running.values():
            if process.returncode is None:
                process.terminate()
        for process in self._running.values():
            async with asyncio.timeout(20):
                await process.wait()

    def kill(self, name: str) -> None:
        os.kill(self._running[name].pid, signal.SIGKILL)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))


async def until_value(db_url: str, query: str, least: int, seconds: float = 30.0) -> None:
    """Wait until the query's number is that large."""
    async with asyncio.timeout(seconds):
        while True:
            db = await asyncpg.connect(db_url)
            try:
                if int(await db.fetchval(query)) >= least:
                    return
            finally:
                await db.close()
            await asyncio.sleep(0.05)


async def in_ledger(url: str) -> str:
    """What the ledger tells when a test has failed."""
    db = await asyncpg.connect(url)
    try:
        calls = await db.fetch("SELECT worker, count(*), count(ended_at) AS ended FROM calls GROUP BY worker")
        jobs = await db.fetch(
            "SELECT state, outcome, count(*), min(reason) FROM jobs GROUP BY state, outcome"
        )
        return "\n".join(map(str, (*calls, *jobs, *await db.fetch("SELECT * FROM workers"))))
    finally:
        await db.close()


@pytest.fixture
def server():  # type: ignore[no-untyped-def]
    made = Server.made()
    yield made
    made.remove()


async def test_three_workers_share_two_nodes_and_one_is_killed_and_the_server_restarted(
    server: Server, tmp_path: Path
) -> None:
    url = await server.database()
    callee = {"5550150": Callee(rings=0.2, hangs_up=2.5)}
    async with (
        Receiver().listening() as receiver,
        virtual_pbx_with(callees=callee) as one,
        virtual_pbx_with(callees=callee) as two,
    ):
        began = [counted(one), counted(two)]
        nodes = "".join(NODE.format(n=n, url=pbx.ari_url, cps=CPS) for n, pbx in enumerate((one, two)))
        crew = Crew(tmp_path, url, nodes, receiver.port)
        try:
            jobs = [
                {"id": f"job-{n}", "to": "+12025550150", "code": "493817", "expires_in": 300}
                for n in range(JOBS)
            ]
            for name in ("w1", "w2", "w3"):
                await crew.start(name)
            async with asyncio.timeout(40):
                while crew.logs().count('"pbx_ready"') < 6:  # noqa: ASYNC110 - it is written by others
                    await asyncio.sleep(0.05)
            lines = b"\n".join(map(msgspec.json.encode, jobs))
            assert len((await crew.command("submit", given=lines)).split()) == JOBS
            await until_value(url, "SELECT count(*) FROM calls WHERE worker = 'w1' AND ended_at IS NULL", 2)
            crew.kill("w1")
            await until_value(url, "SELECT count(*) FROM calls", JOBS // 2)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(60):
                while receiver.ended() < JOBS:  # noqa: ASYNC110 - the receiver is told by others
                    await asyncio.sleep(0.05)
            shown = msgspec.json.decode(await crew.command("show", "job-1", "--json"))
        except TimeoutError:
            pytest.fail(
                f"{[len(some) for some in began]} dialled\n{await in_ledger(url)}\n{crew.logs()[-20000:]}"
            )
        finally:
            await crew.stop()
        db = await asyncpg.connect(url)
        outcomes = Counter(row[0] for row in await db.fetch("SELECT outcome FROM jobs"))
        failed = {
            row[0]
            for row in await db.fetch(
                "SELECT worker FROM calls JOIN jobs ON jobs.id = job_id WHERE outcome = 'failed'"
            )
        }
        by_worker = Counter(row[0] for row in await db.fetch("SELECT worker FROM calls"))
        assert await db.fetchval("SELECT count(*) FROM calls WHERE ended_at IS NULL") == 0
        assert await db.fetchval("SELECT count(*) FROM calls WHERE NOT cdr_sent") == 0
        assert await db.fetchval("SELECT count(*) FROM outbox WHERE state = 'pending'") == 0
        assert [row[0] for row in await db.fetch("SELECT name FROM workers")] == []
        await db.close()
    assert shown["state"] == "ended"
    # A call that was on its way to the PBX when its worker was killed is never dialled again.
    assert set(outcomes) <= {"hung_up_early", "failed"}, outcomes
    assert failed <= {"w1"}
    assert outcomes["failed"] <= 10
    assert set(by_worker) == {"w1", "w2", "w3"}
    # By the PBXs' own count: nobody was rung twice, and no second saw more calls begin than its
    # node may: the three on their own would make three times as many.
    dialled = Counter(id for some in began for _, id in some)
    assert set(dialled.values()) == {1}
    assert JOBS - outcomes["failed"] <= len(dialled) <= JOBS
    for some in began:
        times = [at for at, _ in some]
        most = max(sum(at <= other < at + 1.0 for other in times) for at in times)
        assert most <= CPS + 1  # this process, the PBX, may itself be late to see one while all is busy
    # Everybody was told of each job in order, to its one end.
    for told in receiver.heard.values():
        first = list(dict.fromkeys(told))
        assert [sequence for sequence, _ in first] == list(range(1, len(first) + 1)), told
        assert [type for _, type in first].count("job.ended") == 1
        assert first[-1][1] == "job.ended"
