"""The thread that waits for the disk: in order, results on the loop, and gone in the end."""

import asyncio
import threading

import pytest

from orchestrator.ledger.diskthread import DiskThread


async def test_work_is_done_in_order_on_one_thread_and_told_on_the_loop() -> None:
    thread, done, told = DiskThread("disk"), list[tuple[int, str]](), asyncio.Queue[tuple[int, object, str]]()

    def work(n: int) -> None:
        done.append((n, threading.current_thread().name))

    for n in range(5):
        thread.do(
            lambda n=n: work(n),  # type: ignore[misc]
            lambda error, n=n: told.put_nowait((n, error, threading.current_thread().name)),  # type: ignore[misc]
        )
    here = threading.current_thread().name
    assert [await told.get() for _ in range(5)] == [(n, None, here) for n in range(5)]
    assert done == [(n, "disk") for n in range(5)]
    await thread.end()


async def test_what_fails_is_told_and_the_next_is_done_all_the_same() -> None:
    thread = DiskThread("disk")
    with pytest.raises(ZeroDivisionError):
        await thread.result(lambda: 1 / 0)
    assert await thread.result(lambda: 7) == 7
    await thread.end()


async def test_it_ends_after_what_was_given_and_a_last_word() -> None:
    thread, done = DiskThread("disk that ends"), list[int]()
    for n in range(3):
        thread.do(lambda n=n: done.append(n), lambda error: None)  # type: ignore[misc]
    await thread.end(lambda: done.append(99))
    assert done == [0, 1, 2, 99]
    assert "disk that ends" not in {each.name for each in threading.enumerate()}


async def test_who_stops_waiting_for_a_result_disturbs_nobody() -> None:
    thread, go_on = DiskThread("disk"), threading.Event()
    waiting = asyncio.create_task(thread.result(go_on.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    assert await thread.result(lambda: "next") == "next"
    assert waiting.cancelled()
    await thread.end()
