"""Jobs from an AMQP 0-9-1 queue, such as RabbitMQ's quorum queues (https://www.rabbitmq.com/docs/quorum-queues).

A message's body is the job's JSON. It is acknowledged after the commit. What cannot be taken is published,
with its properties and a `reason` header, to the dead-letter queue; once the broker has confirmed that, it is
acknowledged. Queues that are missing are made, as quorum queues; those that are there are taken as they are.

AMQP gives a message no name that stays the same when it is redelivered. So a job without an id needs a
message with a `message_id`; one with neither is refused, as it could be dialled twice.
"""

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelNotFoundEntity, DeliveryError
from pamqp.encode import field_table

from orchestrator.intake.desk import Desk, Message, Refused
from orchestrator.intake.options import Intake
from orchestrator.intake.source import LAG_EVERY, IntakeDown, Replies, Source, reason_of
from orchestrator.notify.delivery import Delivery
from orchestrator.notify.payload import CONTENT_TYPE
from orchestrator.notify.schedule import Answered, Failed, Response

TIMEOUT: Final = 10.0
"""Seconds for one answer of the broker."""
HEARTBEAT: Final = 10
"""Seconds without a sign of life after which either side gives the connection up."""
FAULTS: Final = (AMQPError, DeliveryError, OSError, TimeoutError, ChannelInvalidStateError)
"""All that a lost connection, or a broker that refuses, can raise."""
MOST_HEADERS: Final = 96 * 1024
"""Bytes of headers that a dead letter may have: with its other properties they are one frame of 128 KiB."""

# What goes wrong with a connection is told once, by `intake_down`.
for _library in ("aio_pika", "aiormq"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


async def connect(intake: Intake) -> AbstractConnection:
    """A connection that does not come back by itself: who holds it begins anew. Raises one of `FAULTS`."""
    return await aio_pika.connect(
        intake.url or "", timeout=TIMEOUT, heartbeat=HEARTBEAT, client_properties={"product": "orchestrator"}
    )


async def opened(connection: AbstractConnection) -> AbstractChannel:
    """A channel on which each publication is confirmed, and refused when it leads to no queue."""
    return await connection.channel(publisher_confirms=True, on_return_raises=True)


async def see_to(connection: AbstractConnection, name: str, arguments: dict[str, Any]) -> None:
    """Make the queue if there is none. One that is there keeps the arguments that its owner gave it."""
    channel = await opened(connection)
    try:
        await channel.declare_queue(name, passive=True, timeout=TIMEOUT)
    except ChannelNotFoundEntity:  # which has closed the channel
        channel = await opened(connection)
        quorum = {"x-queue-type": "quorum", **arguments}
        await channel.declare_queue(name, durable=True, arguments=quorum, timeout=TIMEOUT)
    await channel.close()


class AmqpSource:
    """Reads one queue."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def serve(self, desk: Desk) -> None:
        """See `Source.serve`."""
        intake = self._intake
        try:
            connection = await connect(intake)
            try:
                dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": intake.dead_place}
                for place in filter(None, (intake.dead_place, intake.replies)):
                    await see_to(connection, place, {})
                await see_to(connection, intake.jobs, dead)
                await self._read(connection, desk)
            finally:
                with contextlib.suppress(*FAULTS):
                    await connection.close()
        except FAULTS as error:
            raise IntakeDown(reason_of(error, intake.url)) from None

    async def _read(self, connection: AbstractConnection, desk: Desk) -> None:
        arriving: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()

        async def put(message: AbstractIncomingMessage) -> None:
            arriving.put_nowait(message)

        def gone(*_: object) -> None:
            arriving.put_nowait(None)

        channel = await opened(connection)
        connection.close_callbacks.add(gone)
        channel.close_callbacks.add(gone)
        await channel.set_qos(prefetch_count=self._intake.prefetch, timeout=TIMEOUT)
        queue = await channel.get_queue(self._intake.jobs, ensure=False)
        await queue.consume(put, timeout=TIMEOUT)
        desk.up()
        loop = asyncio.get_running_loop()
        looked_at = 0.0
        while True:
            await desk.room()
            messages = await _arrived(arriving)
            if messages:
                await self._take(channel, messages, desk)
            if loop.time() - looked_at >= LAG_EVERY:
                desk.lag(await _ready(channel, queue))
                looked_at = loop.time()

    async def _take(
        self, channel: AbstractChannel, messages: Sequence[AbstractIncomingMessage], desk: Desk
    ) -> None:
        fates = await desk.take([_message(message) for message in messages])
        for message, fate in zip(messages, fates, strict=True):
            if isinstance(fate, Refused):
                await self._bury(channel, message, fate.reason)
        # They came over this channel in this order, and what came before them is settled.
        await messages[-1].ack(multiple=True)

    async def _bury(self, channel: AbstractChannel, message: AbstractIncomingMessage, reason: str) -> None:
        letter = aio_pika.Message(
            message.body,
            headers=headers_with(message.headers, reason),
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            correlation_id=message.correlation_id,
            message_id=message.message_id,
            app_id=message.app_id,
            timestamp=message.timestamp,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchange = channel.default_exchange
        await exchange.publish(letter, self._intake.dead_place, mandatory=True, timeout=TIMEOUT)


def headers_with(given: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The headers of a dead letter. The producer's own are left out where they cannot be sent again: other
    clients know types that this one reads and does not write (byte arrays)."""
    headers = {**given, "reason": reason}
    try:
        fits = len(field_table(headers)) <= MOST_HEADERS
    except (TypeError, ValueError, OverflowError, struct.error):
        fits = False
    return headers if fits else {"reason": reason}


async def _arrived(
    arriving: asyncio.Queue[AbstractIncomingMessage | None],
) -> list[AbstractIncomingMessage]:
    """All that has come, after waiting a while for the first. Raises AMQPError when no more will come."""
    messages: list[AbstractIncomingMessage] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAG_EVERY):
            while not messages or not arriving.empty():
                message = await arriving.get()
                if message is None:
                    raise AMQPError("the broker closed the connection")
                messages.append(message)
    return messages


async def _ready(channel: AbstractChannel, queue: AbstractQueue) -> int:
    """How many messages wait. Raises when the queue is there no more."""
    found = await channel.declare_queue(queue.name, passive=True, timeout=TIMEOUT)
    return int(found.declaration_result.message_count or 0)


def _message(message: AbstractIncomingMessage) -> Message:
    key = f"{message.app_id or ''}/{message.message_id}" if message.message_id else ""
    return Message(key, message.body)


class AmqpReplies:
    """Publishes notifications to a queue; the broker confirms each. `message_id` is the event's id."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()

    async def send(self, delivery: Delivery) -> Response:
        """See `Carrier.send`."""
        message = aio_pika.Message(
            delivery.body,
            content_type=CONTENT_TYPE,
            message_id=delivery.event_id,
            type=delivery.type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            channel = await self._opened()
            place = self._intake.replies or ""
            await channel.default_exchange.publish(message, place, mandatory=True, timeout=TIMEOUT)
        except FAULTS as error:
            return Failed(reason_of(error, self._intake.url))
        return Answered(204)

    async def _opened(self) -> AbstractChannel:
        async with self._lock:
            if self._channel is None or self._channel.is_closed:
                await self._drop()
                self._connection = await connect(self._intake)
                await see_to(self._connection, self._intake.replies or "", {})
                self._channel = await opened(self._connection)
            return self._channel

    async def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*FAULTS):
                await connection.close()

    async def close(self) -> None:
        """Let the connection go."""
        await self._drop()


def make(intake: Intake, path_of: Callable[[str], Path], worker: str) -> tuple[Source, Replies | None]:
    """The two sides of an AMQP queue."""
    return AmqpSource(intake), AmqpReplies(intake) if intake.replies else None
