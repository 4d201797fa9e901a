"""Messages that a NATS server waits to see acknowledged and has no more.

A server that was killed may come back with an account of a consumer that is older than the stream: it lists
messages as delivered and not acknowledged that were acknowledged, and deleted thereby. It then tries to
deliver them again, one in each `ack_wait`, and whatever comes after them stands still (nats-server 2.9.10
says "Received an error looking up message for consumer: deleted message"). Acknowledging them once more
takes them out of that account, and concerns nobody: nobody can ever get them.
"""

import asyncio
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

AT_ONCE: Final = 64
"""Messages asked for at the same time."""
MOST: Final = 20_000
"""Messages asked for in one go; there may be as many between two that are not acknowledged."""

_log = structlog.get_logger(__name__)


class Watch:
    """Looks for such messages when nothing is delivered although something is due. `name` is the intake's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen = (0, 0)
        self._told = False

    async def nothing_came(self, client: Client, jetstream: JetStreamContext, info: ConsumerInfo) -> None:
        """A request for messages stood its whole time and brought none. `info` was asked for afterwards."""
        seen = info.delivered.consumer_seq if info.delivered is not None else 0, info.num_ack_pending or 0
        if seen == self._seen:  # looked through already
            if info.num_pending and not self._told:
                self._told = True
                mend = f"unless other workers are busy, delete consumer {info.name} of {info.stream_name}"
                _log.warning("intake_stands_still", intake=self._name, waiting=info.num_pending, mend=mend)
            return
        self._seen, self._told = seen, False
        if not info.num_ack_pending:
            return
        try:
            found = await acknowledge_vanished(client, jetstream, info)
        except (nats.errors.Error, TimeoutError) as error:
            if not client.is_connected:
                raise
            # Somebody may not be allowed to look into the stream.
            _log.warning("intake_not_looked_through", intake=self._name, reason=type(error).__name__)
            return
        if found:
            _log.warning("intake_vanished", intake=self._name, messages=found, consumer=info.name)


async def acknowledge_vanished(client: Client, jetstream: JetStreamContext, info: ConsumerInfo) -> int:
    """Acknowledge what the consumer waits for and its stream has not. How many there were.

    Raises nats-py's errors and TimeoutError.
    """
    last = info.delivered.stream_seq if info.delivered is not None else 0
    first = (info.ack_floor.stream_seq if info.ack_floor is not None else 0) + 1
    gone = 0
    for start in range(first, min(last, first + MOST - 1) + 1, AT_ONCE):
        some = range(start, min(start + AT_ONCE, last + 1))
        there = await asyncio.gather(*(_there(jetstream, info.stream_name, each) for each in some))
        for sequence in (each for each, is_there in zip(some, there, strict=True) if not is_there):
            # The subject on which each delivery asks to be acknowledged; of its numbers the stream's counts.
            await client.publish(
                f"$JS.ACK.{info.stream_name}.{info.name}.1.{sequence}.{sequence}.0.0", b"+ACK"
            )
            gone += 1
    if not gone:
        return 0
    await client.flush(5)
    after = await jetstream.consumer_info(info.stream_name, info.name)
    return max(0, (info.num_ack_pending or 0) - (after.num_ack_pending or 0))


async def _there(jetstream: JetStreamContext, stream: str, sequence: int) -> bool:
    try:
        await jetstream.get_msg(stream, sequence)
    except NotFoundError:
        return False
    return True
