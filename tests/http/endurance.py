"""The HTTP API of a real worker that is killed while jobs come in: no job lost, none twice.

    python -m tests.http.endurance --jobs 10000 --rounds 6

A producer as it should be: it repeats a job, under the same id, until it has been told 202 or 200. The jobs
are for tomorrow, so nothing is dialled until all have been counted.
"""

import argparse
import asyncio
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec

from tests.http.test_health import free_port
from tests.intake.endurance import CODE, Found, Worker

AT_ONCE = 16
"""Producers that submit side by side."""
AGAIN = 0.02
"""Seconds until a producer that got no answer asks again."""
_GONE = (aiohttp.ClientError, TimeoutError, ConnectionError)


class Producers:
    """Submit jobs until each is known to be stored."""

    def __init__(self, url: str, jobs: Iterator[tuple[str, bytes]]) -> None:
        self.stored: set[str] = set()
        """Those of which the worker has said so."""
        self.odd: list[int] = []
        """Statuses other than 202 and 200."""
        self._url = url
        self._left = jobs

    async def submit(self) -> None:
        """Submit what is left, one after the other."""
        json_ = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(self._url, headers=json_) as client:
            for id_, body in self._left:
                while True:
                    if await self._told(client, body):
                        break
                    await asyncio.sleep(AGAIN)
                self.stored.add(id_)

    async def _told(self, client: aiohttp.ClientSession, body: bytes) -> bool:
        try:
            async with client.post("/v1/jobs", data=body) as answer:
                if answer.status not in (200, 202):
                    self.odd.append(answer.status)
                return answer.status in (200, 202)
        except _GONE:
            return False


def _jobs(count: int) -> Iterator[tuple[str, bytes]]:
    tomorrow = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=20)).isoformat()
    fixed = {"to": "+12025550100", "code": CODE, "not_before": tomorrow, "expires_in": 86400}
    for n in range(1, count + 1):
        yield f"job-{n}", json.dumps({"id": f"job-{n}", "user_data": str(n), **fixed}).encode()


async def endure(folder: Path, jobs: int, rounds: int) -> tuple[Found, list[int]]:
    """Submit `jobs` jobs while the worker is killed `rounds` times; what became of them, and every answer
    that was neither 202 nor 200."""
    listen = f"127.0.0.1:{free_port()}"
    worker = Worker(folder, "folder", f'jobs = "{folder / "drop"}"', 1, more=f'[http]\nlisten = "{listen}"')
    producers = Producers(f"http://{listen}", _jobs(jobs))
    began, kills = time.monotonic(), 0
    try:
        worker.start()
        async with asyncio.timeout(600), asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(producers.submit())
            for turn in range(1, rounds + 1):
                while len(producers.stored) < jobs * turn // (rounds + 1):
                    worker.check()
                    await asyncio.sleep(0.01)
                worker.kill()
                kills += 1
                worker.start()
    finally:
        worker.kill()
    marks = worker.marks()
    wanted = {str(n) for n in range(1, jobs + 1)}
    found = Found(
        kind="http",
        jobs=jobs,
        stored=sum(marks.values()),
        lost=len(wanted - marks.keys()),
        twice=sum(count > 1 for count in marks.values()),
        dead=0,
        left=jobs - len(producers.stored),
        worker_kills=kills,
        server_kills=0,
        seconds=round(time.monotonic() - began, 1),
    )
    return found, producers.odd


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=6, help="the worker is killed in each")
    options = parser.parse_args()
    print(f"http: {options.jobs} jobs on {os.cpu_count()} cores ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        found, odd = asyncio.run(endure(Path(folder), options.jobs, options.rounds))
    print(json.dumps({**msgspec.to_builtins(found), "odd_answers": len(odd)}))
    return 1 if found.lost or found.twice or found.left or odd else 0


if __name__ == "__main__":
    sys.exit(main())
