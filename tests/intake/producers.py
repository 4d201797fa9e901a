"""Producers that an operator could have: each puts jobs into a real queue by its client library, and knows
how to say the same thing twice without saying two things. They look into the queue's other places too."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import aio_pika
import nats
import nats.errors
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

JOBS, DEAD, REPLIES = "calls.jobs", "calls.dead", "calls.events"
LOST: tuple[type[Exception], ...] = (
    RedisError, AMQPError, ChannelInvalidStateError, nats.errors.Error, OSError, TimeoutError,
)  # fmt: skip
"""What a producer meets while the server is away."""

Numbered = tuple[int, bytes]
"""A message and its number, from 1 in ascending order."""


class Producer(Protocol):
    """One connection of a producer's."""

    async def put(self, messages: Sequence[Numbered]) -> None:
        """Have these in the queue, durably. Put again, they are the same messages."""
        ...

    async def left(self) -> int:
        """How many messages are not acknowledged."""
        ...

    async def dead(self) -> list[tuple[str, bytes]]:
        """Reason and body of each dead letter."""
        ...

    async def replies(self) -> list[dict[str, Any]]:
        """The notifications."""
        ...


class RedisProducer:
    def __init__(self, client: Redis) -> None:
        self._client = client

    async def put(self, messages: Sequence[Numbered]) -> None:
        async with self._client.pipeline(transaction=False) as pipe:
            for n, body in messages:
                pipe.xadd(JOBS, {"job": body}, id=f"{n}-1")
            for answer in await pipe.execute(raise_on_error=False):
                if isinstance(answer, ResponseError) and "equal or smaller" in str(answer):
                    continue  # it was there already
                if isinstance(answer, Exception):
                    raise answer

    async def left(self) -> int:
        return int(await self._client.xlen(JOBS))

    async def _all(self, stream: str) -> list[dict[bytes, bytes]]:
        found: Any = await self._client.xrange(stream)
        return [fields for _, fields in found]

    async def dead(self) -> list[tuple[str, bytes]]:
        return [(each[b"reason"].decode(), each.get(b"job", b"")) for each in await self._all(DEAD)]

    async def replies(self) -> list[dict[str, Any]]:
        return [json.loads(each[b"event"]) for each in await self._all(REPLIES)]


class AmqpProducer:
    def __init__(self, connection: aio_pika.abc.AbstractConnection) -> None:
        self._connection = connection
        self._letters: list[tuple[str, bytes]] = []
        self._events: list[dict[str, Any]] = []

    async def put(self, messages: Sequence[Numbered]) -> None:
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = channel.default_exchange
        await asyncio.gather(
            *(
                exchange.publish(
                    aio_pika.Message(body, message_id=str(n), delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                    JOBS,
                    mandatory=True,
                    timeout=10,
                )
                for n, body in messages
            )
        )
        await channel.close()

    async def left(self) -> int:
        channel = await self._connection.channel()
        queue = await channel.declare_queue(JOBS, passive=True)
        await channel.close()
        return int(queue.declaration_result.message_count or 0)

    async def _all(self, name: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
        channel = await self._connection.channel()
        queue = await channel.declare_queue(name, passive=True)
        found = []
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            found.append(message)
        await channel.close()
        return found

    async def dead(self) -> list[tuple[str, bytes]]:
        self._letters += [(str(each.headers["reason"]), each.body) for each in await self._all(DEAD)]
        return self._letters

    async def replies(self) -> list[dict[str, Any]]:
        self._events += [json.loads(each.body) for each in await self._all(REPLIES)]
        return self._events


class NatsProducer:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, messages: Sequence[Numbered]) -> None:
        jetstream = self._client.jetstream(timeout=5)
        await asyncio.gather(
            *(
                jetstream.publish(JOBS, body, timeout=5, headers={"Nats-Msg-Id": str(n)})
                for n, body in messages
            )
        )

    async def left(self) -> int:
        # By the consumer's account. A server that was killed may keep messages in a work queue although they
        # were acknowledged (seen with 2.9.10); it never delivers them again.
        info = await self._client.jetstream(timeout=5).consumer_info(JOBS.replace(".", "-"), "orchestrator")
        return int(info.num_pending or 0) + int(info.num_ack_pending or 0)

    async def _all(self, subject: str) -> list[tuple[dict[str, str], bytes]]:
        jetstream = self._client.jetstream(timeout=5)
        try:
            info = await jetstream.stream_info(subject.replace(".", "-"))
        except NotFoundError:
            return []
        found = [
            await jetstream.get_msg(subject.replace(".", "-"), seq)
            for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1)
        ]
        return [(each.headers or {}, each.data or b"") for each in found]

    async def dead(self) -> list[tuple[str, bytes]]:
        return [(headers["Reason"], body) for headers, body in await self._all(DEAD)]

    async def replies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in await self._all(REPLIES)]


class FolderProducer:
    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, messages: Sequence[Numbered]) -> None:
        incoming = self._root / "incoming"
        for n, body in messages:
            partial = incoming / f".{n}.part"
            partial.write_bytes(body)
            os.utime(partial, (1, 1))  # written long ago: nobody waits for more of it
            partial.rename(incoming / f"{n}.json")

    async def left(self) -> int:
        return sum(1 for name in ("incoming", "taking") for _ in (self._root / name).iterdir())

    async def dead(self) -> list[tuple[str, bytes]]:
        failed = sorted((self._root / "failed").glob("*.json"))
        return [(path.with_name(f"{path.name}.reason").read_text(), path.read_bytes()) for path in failed]

    async def replies(self) -> list[dict[str, Any]]:
        files = sorted((self._root / "replies").glob("*.json"))
        return [json.loads(path.read_bytes()) for path in files]


@contextlib.asynccontextmanager
async def producing(kind: str, where: str) -> AsyncIterator[Producer]:
    """A producer's connection to the queue at `where`; raises one of `LOST` when there is none."""

    async def quiet(error: Exception) -> None:
        """What goes wrong is met where it is waited for."""

    if kind == "redis":
        redis = Redis.from_url(where, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=5)
        try:
            yield RedisProducer(redis)
        finally:
            await redis.aclose()
    elif kind == "amqp":
        connection = await aio_pika.connect(where, timeout=5)
        try:
            yield AmqpProducer(connection)
        finally:
            with contextlib.suppress(*LOST):
                await connection.close()
    elif kind == "nats":
        client = await nats.connect(where, allow_reconnect=False, connect_timeout=5, error_cb=quiet)
        try:
            yield NatsProducer(client)
        finally:
            with contextlib.suppress(*LOST):
                await client.close()
    else:
        yield FolderProducer(Path(where))
