"""What keeps an intake going, whatever breaks on it."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest
from nats.aio.msg import Msg
from structlog.testing import capture_logs

from orchestrator.intake.amqp import MOST_HEADERS, headers_with
from orchestrator.intake.desk import Desk
from orchestrator.intake.jetstream import _arrived
from orchestrator.intake.options import Intake
from orchestrator.intake.source import IntakeDown, keep, reason_of
from orchestrator.ledger.errors import LeaseLost, LedgerStuck
from tests.intake.house import CODE, make_rules, standing, until

QUEUE = Intake(name="q", kind="redis", url="redis://127.0.0.1:1", jobs="jobs")


class Breaks:
    """A source that breaks in each of these ways, then serves."""

    def __init__(self, *ways: Exception) -> None:
        self.ways = list(ways)

    async def serve(self, desk: Desk) -> None:
        if self.ways:
            raise self.ways.pop(0)
        desk.up()
        await asyncio.Event().wait()


async def test_nothing_that_breaks_on_one_queue_ends_the_worker_or_shows_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.intake.source.LONGEST_WAIT", 0.01)
    ways = (IntakeDown("gone"), ValueError(f"of {CODE}"), RecursionError(), LedgerStuck("the disk is full"))
    async with standing(tmp_path, make_rules(tmp_path / "sounds")) as house:
        with capture_logs() as logs:
            task = asyncio.create_task(keep(Breaks(*ways), house.desk(QUEUE), Random(1)))
            await until(lambda: house.counts.up)
            task.cancel()
            await asyncio.wait([task])
    down = [log["reason"] for log in logs if log["event"] == "intake_down"]
    assert [down[0], down[3]] == ["gone", "the disk is full"]
    assert "ValueError at test_source.py" in down[1]
    assert [log["event"] for log in logs].count("intake_fault") == 2
    assert CODE not in str(logs)


async def test_a_ledger_that_is_ours_no_more_ends_the_intake(tmp_path: Path) -> None:
    async with standing(tmp_path, make_rules(tmp_path / "sounds")) as house:
        with pytest.raises(LeaseLost):
            await keep(Breaks(LeaseLost("another worker")), house.desk(QUEUE), Random(1))


def test_a_reason_shows_no_password_however_it_is_written() -> None:
    url = "redis://user:p%40ss@127.0.0.1:1"
    assert "ss" not in reason_of(OSError("no p@ss, no p%40ss at user:p%40ss@127.0.0.1:1"), url)


@pytest.mark.parametrize("given", [{"blob": b"\xff"}, {"big": 2**70}, {"long": "x" * MOST_HEADERS}])
def test_headers_that_cannot_be_sent_again_do_not_keep_a_message_from_the_dead_letters(
    given: dict[str, object],
) -> None:
    assert headers_with(given, "why") == {"reason": "why"}
    assert headers_with({"a": [1, {"b": None}]}, "why") == {"a": [1, {"b": None}], "reason": "why"}


async def test_a_producers_header_is_not_taken_for_the_word_of_the_server() -> None:
    arriving: asyncio.Queue[Msg | None] = asyncio.Queue()
    client: Any = None
    for status in ("409", "404"):
        reply = "$JS.ACK.jobs.orchestrator.1.1.1.1.0"
        arriving.put_nowait(Msg(client, "jobs", reply, b"{}", {"Status": status, "Description": "boo"}))
    messages, over = await _arrived(arriving, 10)
    assert (len(messages), over) == (2, False)
    arriving.put_nowait(Msg(client, "_INBOX.1", "", b"", {"Status": "404"}))
    assert await _arrived(arriving, 10) == ([], True)
