"""A NATS server that came back with an account of a consumer older than the stream itself."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from orchestrator.intake import jetstream
from orchestrator.intake.options import Intake
from orchestrator.intake.vanished import acknowledge_vanished
from tests.intake.house import job, make_rules, standing, until
from tests.intake.servers import Server, serving
from tests.intake.test_servers import need

pytestmark = pytest.mark.real
DELIVERED, AFTERWARDS = 400, 5


def account_in(folder: Path) -> Path:
    """Where the server keeps what it knows of its consumer."""
    return next(folder.rglob("o.dat"))


@contextlib.asynccontextmanager
async def behind(folder: Path) -> AsyncIterator[Server]:
    """A server whose consumer waits for `DELIVERED` messages, of which the stream has but the last, and tries
    to deliver them again. Other messages have come since."""
    need("nats")
    with serving("nats", folder) as server:
        client = await nats.connect(server.url, allow_reconnect=False)
        stream = client.jetstream()
        await stream.add_stream(
            StreamConfig(
                name="jobs",
                subjects=["jobs", "elsewhere"],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
            )
        )
        config = ConsumerConfig(
            durable_name="orchestrator", filter_subject="jobs", ack_policy=AckPolicy.EXPLICIT, ack_wait=1
        )
        await stream.add_consumer("jobs", config)
        await stream.publish("elsewhere", b"")  # what is older than all that a stream has, a server forgets
        for n in range(DELIVERED):
            await stream.publish("jobs", job(user_data=str(n)))
        pull = await stream.pull_subscribe("jobs", "orchestrator")
        messages = await pull.fetch(DELIVERED)
        account = account_in(folder)
        await until(lambda: len(account.read_bytes()) > 2 * DELIVERED, 20)  # it is written a moment later
        older = account.read_bytes()
        for message in messages[:-1]:
            await message.ack_sync()
        await client.close()
        server.kill(signal.SIGTERM)
        account.write_bytes(older)
        server.start()
        client = await nats.connect(server.url, allow_reconnect=False)
        stream = client.jetstream()
        pull = await stream.pull_subscribe("jobs", "orchestrator")
        async with asyncio.timeout(20):
            while "deleted message" not in (folder / "server.log").read_text():
                with contextlib.suppress(nats.errors.TimeoutError):
                    await pull.fetch(1, timeout=0.1)
        for n in range(AFTERWARDS):
            await stream.publish("jobs", job(user_data=str(DELIVERED + n)))
        await client.close()
        yield server


async def test_what_the_stream_has_no_more_is_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    async with behind(tmp_path / "server") as server:
        client = await nats.connect(server.url, allow_reconnect=False)
        stream = client.jetstream()
        before = await stream.consumer_info("jobs", "orchestrator")
        assert before.num_ack_pending == DELIVERED
        assert await acknowledge_vanished(client, stream, before) == DELIVERED - 1
        after = await stream.consumer_info("jobs", "orchestrator")
        assert (after.num_ack_pending, after.num_pending) == (1, AFTERWARDS)
        assert await acknowledge_vanished(client, stream, after) == 0
        await client.close()


async def test_the_jobs_behind_vanished_messages_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "PULL_FOR", 0.5)
    async with behind(tmp_path / "server") as server, standing(tmp_path, make_rules(tmp_path / "s")) as house:
        intake = Intake(name="q", kind="nats", url=server.url, jobs="jobs", redeliver_after=1)
        task = asyncio.create_task(jetstream.NatsSource(intake).serve(house.desk(intake)))
        # By itself the server would come past those that it has no more in half a minute.
        await until(lambda: house.counts.outcomes.get("accepted") == AFTERWARDS + 1, 10)
        task.cancel()
        await asyncio.wait([task])
