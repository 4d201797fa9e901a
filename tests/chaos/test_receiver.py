"""The receiver misbehaves by its seed, at the first arrival only, and writes down what it said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.chaos.receiver import FAULTS, Answer, Receiver, receiving

BODY = b'{"type": "call.dialing"}'


def _id_that_meets(receiver: Receiver, wanted: Answer) -> str:
    return next(f"evt_{n}" for n in range(100_000) if receiver._first(f"evt_{n}") == wanted)


async def _post(receiver: Receiver, webhook: str) -> bytes:
    """The first line of the answer; empty when the connection was ended, None-like `...` when none came."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            b"POST /events HTTP/1.1\r\nHost: x\r\nWebhook-Id: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (webhook.encode(), len(BODY), BODY)
        )
        async with asyncio.timeout(0.3):
            return await reader.readline()
    except TimeoutError:
        return b"..."
    except OSError:
        return b""
    finally:
        writer.transport.abort()


EXPECTED: dict[Answer, bytes] = {"500": b"HTTP/1.1 500", "503": b"HTTP/1.1 503", "hang": b"...", "reset": b""}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_met_at_the_first_arrival_and_not_at_the_second(
    fault: Answer, tmp_path: Path
) -> None:
    log = tmp_path / "webhooks.jsonl"
    async with receiving(1, log, faulty=True) as receiver:
        webhook = _id_that_meets(receiver, fault)
        first, second = await _post(receiver, webhook), await _post(receiver, webhook)
        assert first[:12] == EXPECTED[fault]
        assert second.startswith(b"HTTP/1.1 204")
        receiver.flush()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["id"], line["taken"], line["said"]) for line in lines] == [
        (webhook, False, fault),
        (webhook, True, "204"),
    ]
    assert lines[0]["event"] == {"type": "call.dialing"}


async def test_a_receiver_that_was_down_is_back_at_the_same_address(tmp_path: Path) -> None:
    async with receiving(1, tmp_path / "log", faulty=False) as receiver:
        before = receiver.url
        receiver.down()
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
            await _post(receiver, "evt_1")
        await receiver.up()
        assert receiver.url == before
        assert (await _post(receiver, "evt_1")).startswith(b"HTTP/1.1 204")
