"""An intake on its real server, with a real worker, while both are killed: no job lost, none twice.

    python -m tests.intake.endurance --kind redis --jobs 10000 --rounds 6

Every second job has no id, so that its id must come from its message. The jobs are for tomorrow, so nothing
is dialled until all have been counted; then a few are called, and their notifications must come back.
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.intake.producers import DEAD, JOBS, LOST, REPLIES, Numbered, Producer, producing
from tests.intake.servers import Server

KINDS = ("folder", "redis", "nats", "amqp")
CODE = "739164"
"""In every job, and to be found nowhere else."""
AT_ONCE = 100
SQLITE = "sqlite:///ledger.db"
CALLS = 3
_CONFIG = """
[worker]
name = "w1"
[ledger]
url = "{ledger}"
key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
[[pbx]]
name = "virtual"
kind = "virtual"
url = "http://127.0.0.1:0/ari"
dial = "PJSIP/{{number}}@lab"
max_cps = 50
[pbx.virtual]
speed = 50
[[intake]]
name = "jobs"
kind = "{kind}"
{place}
dead = "{dead}"
replies = "{replies}"
prefetch = {prefetch}
redeliver_after = 2
poll_interval = 0.02
{more}
"""


class Found(msgspec.Struct, frozen=True):
    """What became of the jobs."""

    kind: str
    jobs: int
    stored: int
    lost: int
    twice: int
    dead: int
    left: int
    worker_kills: int
    server_kills: int
    seconds: float


class Worker:
    """A real worker on its own ledger, killed and started again at will."""

    def __init__(
        self, folder: Path, kind: str, place: str, prefetch: int, ledger: str = SQLITE, more: str = ""
    ) -> None:
        self.ledger = folder / "ledger.db"
        self.log = folder / "worker.log"
        self._config = folder / "worker.toml"
        dead, replies = ("failed", "replies") if kind == "folder" else (DEAD, REPLIES)
        named = {"kind": kind, "place": place, "dead": dead, "replies": replies, "prefetch": prefetch}
        self._config.write_text(_CONFIG.format(**named, ledger=ledger, more=more))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "orchestrator", "run", "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def check(self) -> None:
        """Raises RuntimeError when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the worker ended by itself:\n{self.log.read_text()[-3000:]}")

    def marks(self) -> Counter[str]:
        """The `user_data` of every job in the ledger."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as db:
                rows = db.execute("SELECT json_extract(CAST(body AS TEXT), '$.user_data') FROM jobs")
                return Counter(str(row[0]) for row in rows)
        except sqlite3.OperationalError:  # not made yet
            return Counter()

    def stored(self) -> int:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as db:
                return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


class Trial:
    """A server (a folder has none), a worker and a producer."""

    def __init__(self, kind: str, folder: Path, prefetch: int, ledger: str = SQLITE, more: str = "") -> None:
        self.kind = kind
        self.server = Server(kind, folder / "server") if kind != "folder" else None  # type: ignore[arg-type]
        self.where = self.server.url if self.server is not None else str(folder / "drop")
        jobs = self.where if self.server is None else JOBS
        url = "" if self.server is None else f'url = "{self.where}"\n'
        self.worker = Worker(folder, kind, f'{url}jobs = "{jobs}"', prefetch, ledger, more)
        self.worker_kills = self.server_kills = 0

    async def until(self, condition: Callable[[], Awaitable[bool]], within: float) -> None:
        """Wait for what other processes bring about."""
        async with asyncio.timeout(within):
            while not await condition():
                self.worker.check()
                await asyncio.sleep(0.01)

    async def look(self, what: Callable[[Producer], Awaitable[bool]], within: float = 60.0) -> None:
        """Wait until the queue is as `what` says."""

        async def seen() -> bool:
            with contextlib.suppress(*LOST):
                async with producing(self.kind, self.where) as producer:
                    return await what(producer)
            return False

        await self.until(seen, within)

    async def put(self, messages: list[Numbered]) -> None:
        """Put all of them, however often the server goes away meanwhile."""
        left = list(messages)
        while left:
            try:
                async with producing(self.kind, self.where) as producer:
                    while left:
                        await producer.put(left[:AT_ONCE])
                        del left[:AT_ONCE]
            except LOST:
                await asyncio.sleep(0.05)

    async def stored(self, least: int, within: float = 120.0) -> None:
        async def enough() -> bool:
            return self.worker.stored() >= least

        await self.until(enough, within)

    async def hurt(self, turn: int) -> None:
        """Kill the worker, the server or both, and start what was killed."""
        server = self.server if turn % 3 else None
        if server is not None:
            server.kill()
            self.server_kills += 1
        if turn % 3 != 1 or server is None:
            self.worker.kill()
            self.worker_kills += 1
            self.worker.start()
        if server is not None:
            await asyncio.to_thread(server.start)


def job(n: int, **fields: Any) -> bytes:
    named = {"id": f"job-{n}"} if n % 2 else {}
    return json.dumps({"to": "+12025550100", "code": CODE, "user_data": str(n)} | named | fields).encode()


@contextlib.asynccontextmanager
async def trial(kind: str, folder: Path, prefetch: int) -> AsyncIterator[Trial]:
    """What stands, until the block ends."""
    on = Trial(kind, folder, prefetch)
    try:
        if on.server is not None:
            await asyncio.to_thread(on.server.start)
        on.worker.start()

        async def there(producer: Producer) -> bool:
            with contextlib.suppress(FileNotFoundError):
                return await producer.left() == 0
            return False

        await on.look(there)
        yield on
    finally:
        on.worker.kill()
        if on.server is not None:
            on.server.close()


async def endure(on: Trial, jobs: int, rounds: int) -> Found:
    """Put `jobs` jobs while something is killed in each of `rounds`, and count."""
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=20)
    later = {"not_before": tomorrow.isoformat(), "expires_in": 86400}
    messages = [(n, job(n, **later)) for n in range(1, jobs + 1)]
    began = time.monotonic()
    for turn in range(rounds):
        part = messages[jobs * turn // rounds : jobs * (turn + 1) // rounds]
        before = on.worker.stored()
        putting = asyncio.create_task(on.put(part))
        await on.stored(min(before + len(part) // 3, jobs))
        await on.hurt(turn)
        await putting
    await on.stored(jobs)

    async def empty(producer: Producer) -> bool:
        return await producer.left() == 0

    await on.look(empty)
    seconds = time.monotonic() - began
    marks = on.worker.marks()
    wanted = {str(n) for n in range(1, jobs + 1)}
    async with producing(on.kind, on.where) as producer:
        return Found(
            kind=on.kind,
            jobs=jobs,
            stored=sum(marks.values()),
            lost=len(wanted - marks.keys()),
            twice=sum(count > 1 for count in marks.values()),
            dead=len(await producer.dead()),
            left=await producer.left(),
            worker_kills=on.worker_kills,
            server_kills=on.server_kills,
            seconds=round(seconds, 1),
        )


async def refuse_and_reply(on: Trial, first: int) -> tuple[list[tuple[str, bytes]], list[dict[str, Any]]]:
    """Put three messages that cannot be taken, and some jobs to be called now. The dead letters, and the
    notifications once every call is over. `first` is the first number that no message has yet."""
    odd = first | 1
    bad = [
        (odd, job(odd, code="1")),
        (odd + 1, b"{not json"),
        (odd + 2, job(odd + 2, id="job-1")),  # known with other content
    ]
    await on.put(bad + [(n, job(n)) for n in range(odd + 3, odd + 3 + CALLS)])

    async def told(producer: Producer) -> bool:
        ended = sum(event["type"] == "job.ended" for event in await producer.replies())
        return ended >= CALLS and len(await producer.dead()) >= len(bad)

    letters: list[tuple[str, bytes]] = []
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        async with producing(on.kind, on.where) as producer:
            while not await told(producer):
                on.worker.check()
                await asyncio.sleep(0.05)
            letters, events = await producer.dead(), await producer.replies()
    return letters, events


async def _main(options: argparse.Namespace) -> None:
    for kind in options.kind or KINDS:
        with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
            async with trial(kind, Path(folder), options.prefetch) as on:
                print(f"{kind}: {options.jobs} jobs on {os.cpu_count()} cores ...", file=sys.stderr)
                found = await endure(on, options.jobs, options.rounds)
                print(json.dumps(msgspec.to_builtins(found)), flush=True)
                assert (found.lost, found.twice, found.dead) == (0, 0, 0), "the intake did not keep its word"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=6, help="something is killed in each")
    parser.add_argument("--prefetch", type=int, default=200)
    asyncio.run(_main(parser.parse_args()))
