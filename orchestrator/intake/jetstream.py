"""Jobs from NATS JetStream, read by a durable pull consumer (https://docs.nats.io/nats-concepts/jetstream).

A message's payload is the job's JSON. It is acknowledged after the commit. While the ledger takes its time
the server is told that work goes on, so it gives the message to nobody else. A stream that is missing is
made: for jobs a work queue, whose messages are deleted once they are acknowledged; for dead letters and
notifications one with a bound. What cannot be taken is published to the dead subject with a `Reason` header,
under a `Nats-Msg-Id` that makes a repeated publication one message.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from orchestrator.intake.accept import MAX_JOB_BYTES
from orchestrator.intake.desk import Desk, Fate, Message, Refused
from orchestrator.intake.options import Intake
from orchestrator.intake.source import LAG_EVERY, IntakeDown, Replies, Source, reason_of
from orchestrator.intake.vanished import Watch
from orchestrator.notify.delivery import Delivery
from orchestrator.notify.payload import CONTENT_TYPE
from orchestrator.notify.schedule import Answered, Failed, Response

TIMEOUT: Final = 5.0
"""Seconds for one answer of the server."""
PULL_FOR: Final = 5.0
"""Seconds that one request for messages stands; the server answers it in any case."""
GRACE: Final = 2.0
"""Seconds after that until the server counts as gone."""
DUPLICATES: Final = 3600.0
"""Seconds within which the server knows a repeated `Nats-Msg-Id`, in streams that we make."""


FAULTS: Final = (nats.errors.Error, OSError, TimeoutError)
"""All that a lost connection, or a server that refuses, can raise."""


async def connect(intake: Intake, gone: Callable[[], None] = lambda: None) -> Client:
    """A connection that does not come back by itself: who holds it begins anew. `gone` is called at its end.
    Raises one of `FAULTS`."""

    met: list[Exception] = []

    async def quiet(error: Exception) -> None:
        """What goes wrong is met where it is waited for; while connecting, it says why."""
        met[:] = [error]

    async def closed() -> None:
        gone()

    try:
        return await nats.connect(
            intake.url or "",
            name="orchestrator",
            connect_timeout=int(TIMEOUT),
            allow_reconnect=False,
            max_reconnect_attempts=1,  # with 0 the first connection would be tried for ever, without a word
            reconnect_time_wait=0,
            error_cb=quiet,
            closed_cb=closed,
        )
    except nats.errors.NoServersError as none:
        raise (met[0] if met else none) from None


class NatsSource:
    """Reads one subject."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def serve(self, desk: Desk) -> None:
        """See `Source.serve`."""
        intake = self._intake
        arriving: asyncio.Queue[Msg | None] = asyncio.Queue()

        async def put(message: Msg) -> None:
            arriving.put_nowait(message)

        try:
            client = await connect(intake, lambda: arriving.put_nowait(None))
            try:
                jetstream = client.jetstream(timeout=TIMEOUT)
                stream = await stream_of(jetstream, intake, intake.jobs, work_queue=True)
                for place in filter(None, (intake.dead_place, intake.replies)):
                    await stream_of(jetstream, intake, place)
                await self._make_consumer(jetstream, stream)
                inbox = client.new_inbox()
                await client.subscribe(inbox, cb=put, pending_msgs_limit=0, pending_bytes_limit=0)
                desk.up()
                await self._read(client, stream, arriving, inbox, desk)
            finally:
                with contextlib.suppress(*FAULTS):
                    await client.close()
        except FAULTS as error:
            raise IntakeDown(reason_of(error, intake.url)) from None

    async def _make_consumer(self, jetstream: JetStreamContext, stream: str) -> None:
        intake = self._intake
        try:
            await jetstream.consumer_info(stream, intake.group)
        except NotFoundError:
            config = ConsumerConfig(
                durable_name=intake.group,
                filter_subject=intake.jobs,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=intake.redeliver_after,
                max_deliver=-1,
                max_ack_pending=max(1000, 10 * intake.prefetch),
            )
            await jetstream.add_consumer(stream, config)

    async def _read(
        self,
        client: Client,
        stream: str,
        arriving: asyncio.Queue[Msg | None],
        inbox: str,
        desk: Desk,
    ) -> None:
        jetstream = client.jetstream(timeout=TIMEOUT)
        asked_for = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self._intake.group}"
        looked_at = 0.0
        loop = asyncio.get_running_loop()
        watch = Watch(self._intake.name)
        while True:
            await desk.room()
            request = {"batch": self._intake.prefetch, "expires": int(PULL_FOR * 1e9)}
            await client.publish(asked_for, json.dumps(request).encode(), reply=inbox)
            left = most = self._intake.prefetch
            over = False
            while left > 0 and not over:
                messages, over = await _arrived(arriving, left)
                if messages:
                    await self._take(client, jetstream, messages, desk)
                left -= len(messages)
                idle = over and left == most
                if idle or loop.time() - looked_at >= LAG_EVERY:
                    info = await jetstream.consumer_info(stream, self._intake.group)
                    desk.lag((info.num_pending or 0) + (info.num_ack_pending or 0))
                    looked_at = loop.time()
                    if idle:
                        await watch.nothing_came(client, jetstream, info)

    async def _take(
        self, client: Client, jetstream: JetStreamContext, messages: Sequence[Msg], desk: Desk
    ) -> None:
        working = asyncio.create_task(self._keep_working(messages))
        try:
            fates = await desk.take([_message(message) for message in messages])
        finally:
            working.cancel()
            await asyncio.wait([working])
        for message, fate in zip(messages, fates, strict=True):
            await self._settle(jetstream, message, fate)
        await client.flush(int(TIMEOUT))

    async def _keep_working(self, messages: Sequence[Msg]) -> None:
        """Tell the server, while the messages are worked on, that they are."""
        while True:
            await asyncio.sleep(self._intake.redeliver_after / 3)
            with contextlib.suppress(*FAULTS):  # a lost connection is met elsewhere
                for message in messages:
                    await message.in_progress()

    async def _settle(self, jetstream: JetStreamContext, message: Msg, fate: Fate) -> None:
        if isinstance(fate, Refused):
            meta = message.metadata
            key = f"{meta.stream}.{meta.sequence.stream}"
            headers = {
                # A header ends with its line.
                "Reason": " ".join(fate.reason.split()),
                "Message": key,
                "Nats-Msg-Id": f"dead.{key}",
            }
            # What is far too long would not fit with these headers: the server's limit is for both together.
            await jetstream.publish(
                self._intake.dead_place, message.data[: 2 * MAX_JOB_BYTES], timeout=TIMEOUT, headers=headers
            )
        await message.ack()


async def _arrived(arriving: asyncio.Queue[Msg | None], most: int) -> tuple[list[Msg], bool]:
    """What has come of a request, after waiting for the first; and whether nothing more will.

    Raises TimeoutError when the server does not answer any more, and `nats.errors.Error` when it is gone.
    """
    messages: list[Msg] = []
    while len(messages) < most and (not messages or not arriving.empty()):
        async with asyncio.timeout(PULL_FOR + GRACE):
            message = await arriving.get()
        if message is None:
            raise nats.errors.ConnectionClosedError
        status = (message.headers or {}).get("Status")
        # Only the server's own word has nothing to acknowledge; a producer may write any header.
        if status is None or message.reply.startswith("$JS.ACK."):
            messages.append(message)
        elif status == "409":  # the consumer was deleted, or is asked for too much
            raise nats.errors.Error((message.headers or {}).get("Description", "consumer deleted"))
        elif status != "100":  # 404, 408: nothing, or nothing more. 100 only says that the server lives
            return messages, True
    return messages, False


def _message(message: Msg) -> Message:
    # A stream that was deleted and made again counts from 1 anew, so the time belongs to the name.
    _, _, _, _, _, sequence, _, at, *_ = _ack_tokens(message.reply)
    return Message(f"{message.metadata.stream}.{sequence}.{at}", message.data)


def _ack_tokens(reply: str) -> list[str]:
    """`$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>`, or with
    domain and account behind ACK (https://docs.nats.io/reference/reference-protocols/nats_api_reference)."""
    tokens = reply.split(".")
    return tokens if len(tokens) < 11 else tokens[:2] + tokens[4:]


async def stream_of(
    jetstream: JetStreamContext, intake: Intake, subject: str, *, work_queue: bool = False
) -> str:
    """The stream that keeps `subject`, made if there is none."""
    with contextlib.suppress(NotFoundError):
        return await jetstream.find_stream_name_by_subject(subject)
    config = StreamConfig(
        name=subject.replace(".", "-"),
        subjects=[subject],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE if work_queue else RetentionPolicy.LIMITS,
        max_msgs=-1 if work_queue else intake.max_kept,
        duplicate_window=DUPLICATES,
    )
    made = await jetstream.add_stream(config)
    return str(made.config.name)


class NatsReplies:
    """Publishes notifications; the server knows by `Nats-Msg-Id` one that is published again."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._client: Client | None = None
        self._lock = asyncio.Lock()

    async def send(self, delivery: Delivery) -> Response:
        """See `Carrier.send`."""
        headers = {
            "Nats-Msg-Id": delivery.event_id,
            "Content-Type": CONTENT_TYPE,
            "Type": delivery.type,
        }
        try:
            client = await self._connected()
            await client.jetstream(timeout=TIMEOUT).publish(
                self._intake.replies or "", delivery.body, timeout=TIMEOUT, headers=headers
            )
        except FAULTS as error:
            return Failed(reason_of(error, self._intake.url))
        return Answered(204)

    async def _connected(self) -> Client:
        async with self._lock:
            if self._client is None or not self._client.is_connected:
                await self._drop()
                self._client = await connect(self._intake)
                jetstream = self._client.jetstream(timeout=TIMEOUT)
                await stream_of(jetstream, self._intake, self._intake.replies or "")
            return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*FAULTS):
                await client.close()

    async def close(self) -> None:
        """Let the connection go."""
        await self._drop()


def make(intake: Intake, path_of: Callable[[str], Path], worker: str) -> tuple[Source, Replies | None]:
    """The two sides of a JetStream subject."""
    return NatsSource(intake), NatsReplies(intake) if intake.replies else None
