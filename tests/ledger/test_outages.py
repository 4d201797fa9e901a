"""The server goes away, in the middle of whatever: what was promised is there, once."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from orchestrator.call import events as ev
from orchestrator.ledger.errors import LedgerClosed
from orchestrator.ledger.postgresql import commits, connection
from orchestrator.ledger.postgresql.ledger import PostgresLedger
from orchestrator.ledger.postgresql.tenure import take_seat
from orchestrator.ledger.records import CallEnd, Entry, Outgoing, Requeue, Verdict
from orchestrator.notify.delivery import Delivery
from tests.fakes import EPOCH, new_job
from tests.postgres import Server

NOW = EPOCH + 1


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "RETRY_EVERY", 0.02)
    monkeypatch.setattr(commits, "PATIENCE", 0.1)


@contextlib.asynccontextmanager
async def worker(url: str, to: str | None = None) -> AsyncIterator[PostgresLedger]:
    """A worker's ledger; its connections go to `to`, where given."""
    held = await take_seat(url, "w1", {}, 60.0, asyncio.Event(), None)
    assert held is not None
    ledger = await PostgresLedger.open(to or url, 0.0, "w1", held.seat.token)
    try:
        yield ledger
    finally:
        await ledger.close()


class Wire:
    """Between a ledger and the server. Cuts the line at a COMMIT: before the server had it, or after that."""

    def __init__(self, url: str, folder: Path) -> None:
        self._server = f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"
        self.url = url.replace(parse_qs(urlsplit(url).query)["host"][0], str(folder))
        self._socket = folder / ".s.PGSQL.5432"
        self.cut: str | None = None
        self.cuts = 0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_unix_server(self._serve, self._socket)
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._server)
        asked = asyncio.create_task(self._pass(reader, far_writer, near=True))
        told = asyncio.create_task(self._pass(far_reader, writer, near=False))
        await asyncio.wait((asked, told), return_when=asyncio.FIRST_COMPLETED)
        for task in (asked, told):
            task.cancel()
        for each in (writer, far_writer):
            each.transport.abort()
        await asyncio.gather(asked, told, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, near: bool) -> None:
        while data := await reader.read(65536):
            if not near and self.cut == "after" and b"COMMIT\x00" in data:  # the server's "CommandComplete"
                self.cut, self.cuts = None, self.cuts + 1
                return
            if near and self.cut == "before" and b"COMMIT\x00" in data:
                self.cut, self.cuts = None, self.cuts + 1
                return
            writer.write(data)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_line_cut_in_the_middle_of_a_commit_stores_all_of_it_once(
    url: str, tmp_path: Path, cut: str
) -> None:
    async with Wire(url, tmp_path).laid() as wire, worker(url, wire.url) as ledger:
        told: list[Delivery] = []
        ledger.on_deliveries = told.extend
        wire.cut = cut
        assert await ledger.submit([new_job("a"), new_job("b")]) == ["new", "new"]
        wire.cut = cut
        (claim,) = (await ledger.claim("ast1", [], NOW, 1)).claims
        wire.cut = cut
        out = Outgoing(
            event_id="e1", lane=claim.job.id, sequence=1, url="http://r/", type="t", body=b"{}", at=NOW
        )
        end = CallEnd(job_id=claim.job.id, call_id=claim.call_id, ended_at=NOW, cdr=b"{}", then=Requeue(NOW))
        ledger.record(claim.job.id, claim.call_id, Entry(2, NOW, ev.Ended(16)), [out], end)
        summary = await ledger.summary(claim.job.id)
        assert summary is not None
        assert wire.cuts == 3
        assert (summary.job.attempts, summary.notifications, len(told)) == (1, {"pending": 1}, 1)
        assert (await ledger.counts())["jobs_queued"] == 2
        assert ledger.fault is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_server_that_restarts_or_crashes_under_load_loses_nothing_and_makes_nothing_twice(
    server: Server, url: str, how: signal.Signals
) -> None:
    async with worker(url) as ledger:
        ended: list[str] = []
        over = asyncio.Event()

        async def produce(part: int) -> None:
            for n in range(40):
                became = await ledger.submit([new_job(f"job-{part}-{n}")])
                assert became == ["new"]

        async def dial() -> None:
            while len(ended) < 160:
                for claim in (await ledger.claim("ast1", [], NOW, 5)).claims:
                    out = Outgoing(
                        event_id=claim.job.id, lane=claim.job.id, sequence=1, url="http://r/",
                        type="job.ended", body=b"{}", at=NOW,
                    )  # fmt: skip
                    end = CallEnd(
                        job_id=claim.job.id, call_id=claim.call_id, ended_at=NOW, cdr=b"{}",
                        then=Verdict("completed", "", NOW),
                    )  # fmt: skip
                    ledger.record(claim.job.id, claim.call_id, Entry(2, NOW, ev.Ended(16)), [out], end)
                    ended.append(claim.job.id)
                    if len(ended) in (30, 90):
                        over.set()

        async def restart() -> None:
            for _ in range(2):
                await over.wait()
                over.clear()
                await asyncio.to_thread(server.stop, how)
                await asyncio.to_thread(server.start)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for part in range(4):
                group.create_task(produce(part))
            group.create_task(dial())
            group.create_task(restart())
        assert sorted(ended) == sorted(f"job-{part}-{n}" for part in range(4) for n in range(40))
        assert await ledger.counts() == {
            "jobs_queued": 0, "jobs_active": 0, "outbox_pending": 160, "outbox_dead": 0,
        }  # fmt: skip
        assert (ledger.waiting, ledger.fault) == (0, None)


async def test_while_the_server_is_away_writes_wait_and_the_fault_is_told(server: Server, url: str) -> None:
    async with worker(url) as ledger:
        await ledger.counts()
        await asyncio.to_thread(server.stop)
        try:
            waiting = asyncio.create_task(ledger.submit([new_job("a")]))
            async with asyncio.timeout(20):
                while ledger.fault is None:  # noqa: ASYNC110 - it is asked, by who reports on health
                    await asyncio.sleep(0.01)
            assert not waiting.done()
            assert ledger.waiting == 1
        finally:
            await asyncio.to_thread(server.start)
        assert await waiting == ["new"]
        assert ledger.fault is None


async def test_what_cannot_be_stored_when_the_ledger_is_closed_is_given_up_and_told(
    server: Server, url: str
) -> None:
    async with worker(url) as ledger:
        await ledger.counts()
        await asyncio.to_thread(server.stop)
        try:
            waiting = asyncio.create_task(ledger.submit([new_job("a")]))
            await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await ledger.close()
            with pytest.raises(LedgerClosed):
                await waiting
        finally:
            await asyncio.to_thread(server.start)


async def test_a_server_that_stands_still_is_given_up_and_asked_anew(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "COMMAND_TIMEOUT", 0.3)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.3)
    async with worker(url) as ledger:
        await ledger.submit([new_job("a")])
        server.pause()
        try:
            (waiting, claiming) = (
                asyncio.create_task(ledger.submit([new_job("b")])),
                asyncio.create_task(ledger.claim("ast1", [], NOW, 1)),
            )
            async with asyncio.timeout(20):
                while ledger.fault is None:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
        finally:
            server.go_on()
        assert await waiting == ["new"]
        (claim,) = (await claiming).claims
        assert claim.job.id == "a"
        assert (await ledger.counts())["jobs_active"] == 1


async def test_two_that_wait_for_each_other_are_set_right(url: str) -> None:
    """The server ends one of two transactions that block each other; that one is made anew."""
    async with worker(url) as ledger:
        await ledger.submit([new_job("a"), new_job("b")])
        other = await asyncpg.connect(url)
        await other.execute(
            "BEGIN; SET deadlock_timeout = '10s'; UPDATE jobs SET priority = 1 WHERE id = 'b'"
        )
        held = asyncio.Event()

        async def both(db: connection.Connection) -> int:
            await db.execute("SET LOCAL deadlock_timeout = '20ms'")
            await db.execute("UPDATE jobs SET priority = 2 WHERE id = 'a'")
            held.set()
            await db.execute("UPDATE jobs SET priority = 2 WHERE id = 'b'")
            return 2

        waiting = asyncio.create_task(ledger._call(both))
        await held.wait()
        await other.execute("UPDATE jobs SET priority = 1 WHERE id = 'a'")
        await other.execute("COMMIT")
        assert await waiting == 2
        assert [row[0] for row in await other.fetch("SELECT DISTINCT priority FROM jobs")] == [2]
        await other.close()
