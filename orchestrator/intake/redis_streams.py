"""Jobs from a Redis stream, read by a consumer group (https://redis.io/docs/latest/develop/data-types/streams/).

A message has one field, `job`, that holds the job's JSON. It is acknowledged, and deleted, in one transaction
after the commit; what cannot be taken is in the dead-letter stream by then, with all its fields and a
`reason`. What a dead worker had taken is claimed after `redeliver_after` seconds; a worker that
comes back under its own name takes up its own at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from orchestrator.intake.desk import Desk, Fate, Message, Refused
from orchestrator.intake.options import Intake
from orchestrator.intake.source import LAG_EVERY, IntakeDown, Replies, Source, reason_of
from orchestrator.notify.delivery import Delivery
from orchestrator.notify.payload import CONTENT_TYPE
from orchestrator.notify.schedule import Answered, Failed, Response

FIELD: Final = b"job"
BLOCK: Final = 1000
"""Milliseconds that a reading waits for a message; less than TIMEOUT."""
TIMEOUT: Final = 5.0
"""Seconds for one answer of the server."""

Fields = Mapping[bytes, bytes]
Entry = tuple[bytes, Fields]


def client_of(intake: Intake) -> Redis:
    """A client that answers in bytes and repeats nothing by itself: a repeated XADD would be a second one."""
    return Redis.from_url(
        intake.url or "",
        protocol=2,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class RedisSource:
    """Reads one stream."""

    def __init__(self, intake: Intake, worker: str) -> None:
        self._intake = intake
        self._consumer = worker

    async def serve(self, desk: Desk) -> None:
        """See `Source.serve`."""
        client = client_of(self._intake)
        try:
            await self._join(client)
            desk.up()
            await self._take_up_own(client, desk)
            await self._read(client, desk)
        except (RedisError, OSError, TimeoutError) as error:
            raise IntakeDown(reason_of(error, self._intake.url)) from None
        finally:
            await client.aclose()

    async def _join(self, client: Redis) -> None:
        """Make the group, from the stream's beginning, if there is none."""
        try:
            await client.xgroup_create(self._intake.jobs, self._intake.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _take_up_own(self, client: Redis, desk: Desk) -> None:
        """What a former process of the same name took and did not acknowledge."""
        after = b"0"
        while entries := await self._group_read(client, after, None):
            await desk.room()
            await self._take(client, desk, entries)
            after = entries[-1][0]

    async def _read(self, client: Redis, desk: Desk) -> None:
        claimed_at = looked_at = time.monotonic() - 3600.0
        while True:
            await desk.room()
            if time.monotonic() - claimed_at >= self._intake.redeliver_after / 2:
                await self._claim(client, desk)
                claimed_at = time.monotonic()
            await self._take(client, desk, await self._group_read(client, b">", BLOCK))
            if time.monotonic() - looked_at >= LAG_EVERY:
                desk.lag(await self._lag(client))
                looked_at = time.monotonic()

    async def _group_read(self, client: Redis, after: bytes, block: int | None) -> list[Entry]:
        intake = self._intake
        found: Any = await client.xreadgroup(
            intake.group, self._consumer, {intake.jobs: after}, count=intake.prefetch, block=block
        )
        return list(found[0][1]) if found else []

    async def _claim(self, client: Redis, desk: Desk) -> None:
        """Take over what another consumer has had for too long."""
        intake, start = self._intake, b"0-0"
        while True:
            answer: Any = await client.xautoclaim(
                intake.jobs,
                intake.group,
                self._consumer,
                min_idle_time=int(intake.redeliver_after * 1000),
                start_id=start,
                count=intake.prefetch,
            )
            start, entries = answer[0], answer[1]
            await self._take(client, desk, entries)
            if start == b"0-0":
                return
            await desk.room()

    async def _take(self, client: Redis, desk: Desk, entries: Sequence[Entry]) -> None:
        # One that was deleted while it was pending has no fields; the job, if it was one, is gone for ever.
        there = [(id_, fields) for id_, fields in entries if fields]
        fates = await desk.take([_message(id_, fields) for id_, fields in there]) if there else []
        if entries:
            await self._settle(client, [id_ for id_, _ in entries], list(zip(there, fates, strict=True)))

    async def _settle(self, client: Redis, ids: Sequence[bytes], fates: Sequence[tuple[Entry, Fate]]) -> None:
        intake = self._intake
        # Not in the transaction below: Redis rolls nothing back, so what it refused to bury would be gone.
        for (id_, fields), fate in fates:
            if isinstance(fate, Refused):
                letter: dict[Any, Any] = {**fields, b"reason": fate.reason, b"message_id": id_}
                await client.xadd(intake.dead_place, letter, maxlen=intake.max_kept, approximate=True)
        async with client.pipeline(transaction=True) as pipe:
            pipe.xack(intake.jobs, intake.group, *ids)
            if not intake.keep:
                pipe.xdel(intake.jobs, *ids)
            await pipe.execute()

    async def _lag(self, client: Redis) -> int:
        """What no consumer has read yet, and what is not acknowledged."""
        groups: Any = await client.xinfo_groups(self._intake.jobs)
        ours = next(each for each in groups if each["name"] == self._intake.group.encode())
        return int(ours.get("lag") or 0) + int(ours["pending"])


def _message(id_: bytes, fields: Fields) -> Message:
    raw = fields.get(FIELD)
    if raw is None:
        return Message(id_.decode(), b"", "the message has no field `job`")
    return Message(id_.decode(), raw)


class RedisReplies:
    """Adds notifications to a stream. Added twice, an event has the same `id` both times."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._client: Redis | None = None

    async def send(self, delivery: Delivery) -> Response:
        """See `Carrier.send`."""
        if self._client is None:
            self._client = client_of(self._intake)
        fields: dict[Any, Any] = {
            "id": delivery.event_id,
            "type": delivery.type,
            "content_type": CONTENT_TYPE,
            "event": delivery.body,
        }
        try:
            place, most = self._intake.replies or "", self._intake.max_kept
            await self._client.xadd(place, fields, maxlen=most, approximate=True)
        except (RedisError, OSError, TimeoutError) as error:
            return Failed(reason_of(error, self._intake.url))
        return Answered(204)

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def make(intake: Intake, path_of: Callable[[str], Path], worker: str) -> tuple[Source, Replies | None]:
    """The two sides of a Redis stream."""
    return RedisSource(intake, worker), RedisReplies(intake) if intake.replies else None
