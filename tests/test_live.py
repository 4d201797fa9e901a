"""Live calls on virtual time: what is told, when it is dialled again, and what survives a crash."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.call import events as ev
from orchestrator.call.commands import Hangup
from orchestrator.ledger.records import JobState, Script
from orchestrator.live import shared
from orchestrator.pbx.port import PlaySounds, Signal
from tests.fakes import ANSWERS, BUSY, RINGS, SILENT, Far, new_job, now, run, until
from tests.floor import floor, node

RETRY = {"attempts": 3, "delay": 10.0, "on": ["busy", "no_answer", "failed"]}


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on virtual time."""

    @wraps(test)
    def sync(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return sync


@virtual
async def test_an_answered_call_is_told_step_by_step_and_ends_completed() -> None:
    async with floor() as on:
        await on.submit(new_job())
        await on.ended()
        assert on.types() == ["call.dialing", "call.ringing", "call.answered", "call.hangup", "job.ended"]
        assert on.outcome() == "completed"
        verdict = on.told()[-1]["data"]
        assert (verdict["outcome"], verdict["attempts"]) == ("completed", 1)
        (cdr,) = on.cdrs()
        assert (cdr["plays_completed"], cdr["trunk"], cdr["pbx"]) == (2, "carrier", "ast1")
        assert cdr["dialed_at"] < cdr["ringing_at"] < cdr["answered_at"] < cdr["ended_at"]
        assert [delivery.type for delivery in on.offered] == on.types()
        assert len(on.live) == 0


@virtual
async def test_each_play_is_sent_its_own_sounds() -> None:
    script = Script((("en/digits/1",), ("en/digits/2", "en/digits/3")), 5)
    async with floor() as on:
        await on.submit(new_job(), script=script)
        await on.ended()
        assert tuple(r.sounds for r in on.pbx.requests if isinstance(r, PlaySounds)) == script.plays


def test_live_calls_share_the_names_of_the_sounds_that_they_play() -> None:
    stored = msgspec.json.encode(Script((("en/digits/1",), ("en/digits/2", "en/digits/3")), 5))
    one, other = (shared(msgspec.json.decode(stored, type=Script)) for _ in range(2))
    assert one == other == msgspec.json.decode(stored, type=Script)
    assert all(mine is theirs for mine, theirs in zip(one.plays[1], other.plays[1], strict=True))


@virtual
async def test_a_busy_number_is_dialled_again_after_the_delay_until_it_answers() -> None:
    async with floor(far=(BUSY, BUSY, ANSWERS)) as on:
        await on.submit(new_job(retry=RETRY))
        await on.ended()
        first, second, third = on.pbx.dialled_at
        assert second - first == pytest.approx(10.21, abs=0.05)
        assert third - second == pytest.approx(10.21, abs=0.05)
        assert len({dial.channel for dial in on.pbx.dials()}) == 3
        assert on.types().count("call.hangup") == 3
        assert [cdr["outcome"] for cdr in on.cdrs()] == ["busy", "busy", "completed"]
        assert on.told()[-1]["data"]["attempts"] == 3


@virtual
async def test_the_last_attempt_gives_the_verdict() -> None:
    async with floor(far=(BUSY,)) as on:
        await on.submit(new_job(retry=RETRY))
        await on.ended()
        assert len(on.pbx.dials()) == 3
        assert (on.outcome(), on.told()[-1]["data"]["attempts"]) == ("busy", 3)


@virtual
async def test_an_outcome_that_the_job_does_not_name_is_not_retried() -> None:
    async with floor(far=(BUSY,)) as on:
        await on.submit(new_job(retry={**RETRY, "on": ["no_answer"]}))
        await on.ended()
        assert len(on.pbx.dials()) == 1


@virtual
async def test_no_attempt_is_planned_beyond_the_expiry() -> None:
    async with floor(far=(BUSY,)) as on:
        await on.submit(new_job(retry={**RETRY, "delay": 200.0}))
        await on.ended(within=5)
        assert on.outcome() == "busy"
        assert "expires before another attempt" in on.told()[-1]["data"]["reason"]


@virtual
async def test_a_call_whose_phone_may_have_rung_is_never_dialled_again() -> None:
    lost: Far = ((0.01, ev.OriginateLost("unconfirmed")),)
    async with floor(far=(lost,)) as on:
        await on.submit(new_job(retry=RETRY))
        await on.ended()
        assert len(on.pbx.dials()) == 1
        assert on.outcome() == "failed"


@virtual
async def test_a_lost_originate_whose_channel_lives_goes_on() -> None:
    lost: Far = ((0.0, ev.OriginateLost("unconfirmed")),)
    async with floor(far=(lost,)) as on:
        await on.submit(new_job())
        await until(lambda: len(on.pbx.requests) == 2)
        (dial,) = on.pbx.dials()
        on.pbx.living[dial.channel] = ev.Alive(ringing=False, up=True, ready=True)
        await on.ended()
        assert on.outcome() == "completed"


@virtual
async def test_an_originate_that_never_left_gives_its_attempt_back_and_leaves_no_trace() -> None:
    unsent: Far = ((0.0, ev.OriginateLost("not_sent")),)
    async with floor(far=(unsent, unsent, ANSWERS)) as on:
        await on.submit(new_job())
        await on.ended()
        assert len(on.pbx.dials()) == 3
        assert len({dial.channel for dial in on.pbx.dials()}) == 1
        assert (on.outcome(), on.told()[-1]["data"]["attempts"]) == ("completed", 1)
        assert len(on.cdrs()) == 1
        assert on.live.on_node("ast1") == 0


@virtual
async def test_a_dial_is_given_back_while_it_is_not_certain_that_the_ledger_is_ours() -> None:
    may_act = iter([False])
    async with floor() as on:
        on.live._may_act = lambda: next(may_act, True)
        await on.submit(new_job())
        await on.ended(within=30.0)
        assert (on.outcome(), len(on.pbx.dials())) == ("completed", 1)
        assert on.told()[-1]["data"]["attempts"] == 1


@virtual
async def test_an_answered_call_that_nobody_could_hang_up_is_not_dialled_again() -> None:
    async with floor() as on:
        await on.submit(new_job(retry=RETRY))
        await until(lambda: any(isinstance(request, PlaySounds) for request in on.pbx.requests))
        on.pbx.deaf = True  # the callee may listen to silence all the while
        await on.ended()
        assert len(on.pbx.dials()) == 1
        assert on.outcome() == "failed"


@virtual
async def test_a_live_call_is_hung_up_when_its_job_is_cancelled() -> None:
    async with floor(far=(RINGS,)) as on:
        await on.submit(new_job(retry=RETRY))
        await until(lambda: "call.ringing" in [event["type"] for event in on.told()])
        await on.ledger.request_cancel("job-1")
        on.wake()
        await on.ended(within=3)
        assert on.outcome() == "cancelled"
        assert on.types()[-2:] == ["call.hangup", "job.ended"]
        assert sum(isinstance(request, Hangup) for request in on.pbx.requests) == 1


@virtual
async def test_a_job_that_was_cancelled_between_two_attempts_is_not_dialled_again() -> None:
    async with floor(far=(BUSY,)) as on:
        await on.submit(new_job(retry=RETRY))
        await until(lambda: on.cdrs() != [])
        await on.ledger.request_cancel("job-1")
        on.wake()
        await on.ended(within=3)
        assert (on.outcome(), len(on.pbx.dials())) == ("cancelled", 1)
        assert on.told()[-1]["data"]["attempts"] == 1


@virtual
async def test_only_the_wanted_events_are_told_and_the_verdict_always() -> None:
    async with floor() as on:
        await on.submit(new_job(notify_events=["call.answered"]))
        await on.ended()
        assert on.types() == ["call.answered", "job.ended"]


@virtual
async def test_without_an_address_nothing_is_queued() -> None:
    async with floor() as on:
        await on.submit(new_job(notify_url=None))
        await on.ended()
        assert on.told() == []
        assert len(on.cdrs()) == 1


@virtual
async def test_a_stranger_that_shows_life_is_hung_up_and_one_that_ends_is_left_alone() -> None:
    async with floor() as on:
        for event in (ev.Ended(16), ev.Gone(), ev.PlayFinished("p"), ev.Digit("1"), ev.Dialed("BUSY")):
            on.live.sink(Signal("ast1", "stranger", event, now()))
        await asyncio.sleep(1)
        assert on.pbx.requests == []
        on.live.sink(Signal("ast1", "stranger", ev.Ready(), now()))
        await asyncio.sleep(1)
        assert on.pbx.requests == [Hangup("stranger")]


@virtual
async def test_a_silent_pbx_ends_the_call_by_our_own_timers() -> None:
    async with floor(far=(SILENT,)) as on:
        await on.submit(new_job())
        await on.ended()
        assert on.types()[-1] == "job.ended"
        assert on.outcome() == "no_answer"


@virtual
async def test_a_full_inbox_is_told_once_and_settled_by_reconciliation() -> None:
    async with floor(max_queued=5) as on:
        await asyncio.sleep(0.1)
        for n in range(20):
            on.live.sink(Signal("ast1", f"c{n}", ev.Ended(16), now()))
        assert on.meters.events_dropped.labels().value == 15
        await until(lambda: len(on.links) == 2)
        assert on.links[-1].up
        assert "overflowed" in on.links[-1].reason


@virtual
async def test_a_full_inbox_of_a_node_that_is_down_waits_for_its_connection() -> None:
    async with floor(max_queued=5) as on:
        on.pbx.link(False, "lost")
        for n in range(20):
            on.live.sink(Signal("ast1", f"c{n}", ev.Ended(16), now()))
        await asyncio.sleep(1)
        assert [link.up for link in on.links] == [True, False]


@virtual
async def test_a_call_whose_end_was_lost_is_found_by_reconciliation() -> None:
    async with floor() as on:
        await on.submit(new_job())
        await until(lambda: "call.answered" in [event["type"] for event in on.told()])
        on.pbx.deaf = True
        await asyncio.sleep(0.5)
        on.pbx.living.clear()
        on.pbx.deaf = False
        await on.pbx.reconcile(on.live.channels_on("ast1"))
        await on.ended(within=1)
        assert on.types()[-2:] == ["call.hangup", "job.ended"]


@virtual
async def test_a_burst_of_events_is_handled_in_order_over_several_turns() -> None:
    async with floor(max_queued=10_000) as on:
        for _ in range(2000):
            on.live.sink(Signal("ast1", "c", ev.Ready(), now()))
        await asyncio.sleep(0.1)
        assert on.pbx.requests == [Hangup("c")] * 2000


async def _crashed(path: Path, until_type: str, job: Any = None) -> str:
    """A worker that dies as soon as `until_type` was told; the channel it leaves behind."""
    async with floor(ledger=path) as on:
        await on.submit(job or new_job())
        await until(lambda: until_type in [event["type"] for event in on.told()])
        return on.pbx.dials()[0].channel


@pytest.mark.parametrize("when", ["call.dialing", "call.ringing", "call.answered"])
def test_after_a_crash_a_call_that_lives_goes_on_to_its_end(when: str, tmp_path: Path) -> None:
    channel = run(_crashed(tmp_path / "l.db", when))

    async def again() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await on.adopt()
            assert on.live.channels_on("ast1") == [channel]
            on.up()
            on.pbx.living[channel] = ev.Alive(ringing=False, up=True, ready=True)
            await on.pbx.reconcile(on.live.channels_on("ast1"))
            await on.ended()
            assert on.outcome() == "completed"
            assert on.pbx.dials() == []
            types = on.types()
            assert types.count("call.dialing") == types.count("call.answered") == 1
            assert len(on.cdrs()) == 1

    run(again())


@pytest.mark.parametrize("when", ["call.dialing", "call.ringing", "call.answered"])
def test_after_a_crash_a_call_that_is_gone_ends_once_and_says_so(when: str, tmp_path: Path) -> None:
    run(_crashed(tmp_path / "l.db", when, new_job(retry={**RETRY, "on": ["busy"]})))

    async def again() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await on.adopt()
            on.up()
            await on.pbx.reconcile(on.live.channels_on("ast1"))
            await on.ended()
            assert on.outcome() == "failed"
            assert on.told()[-1]["data"]["reason"] in {
                "the call ended unseen, before an answer",
                "the answered call ended unseen before one whole play",
            }
            assert on.types().count("call.hangup") == 1

    run(again())


def test_after_a_crash_timers_that_ran_out_meanwhile_wait_for_the_pbx_to_speak(tmp_path: Path) -> None:
    run(_crashed(tmp_path / "l.db", "call.answered"))

    async def again() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await asyncio.sleep(60)  # the play's watchdog ran out long ago
            await on.adopt()
            (channel,) = on.live.channels_on("ast1")
            await asyncio.sleep(3)
            on.up()
            on.pbx.living[channel] = ev.Alive(ringing=False, up=True, ready=True)
            await on.pbx.reconcile([channel])
            await on.ended()
            assert on.outcome() == "completed"

    run(again())


def test_after_a_crash_a_call_on_a_node_that_never_returns_still_ends(tmp_path: Path) -> None:
    run(_crashed(tmp_path / "l.db", "call.answered"))

    async def again() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await on.adopt()
            await on.ended()
            assert on.types()[-1] == "job.ended"

    run(again())


def test_after_a_clock_that_was_set_back_no_timer_waits_for_the_old_time(tmp_path: Path) -> None:
    run(_crashed(tmp_path / "l.db", "call.ringing"))
    with contextlib.closing(sqlite3.connect(tmp_path / "l.db")) as db, db:
        db.execute("UPDATE journal SET at = at + 86400")

    async def again() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await on.adopt()
            (channel,) = on.live.channels_on("ast1")
            on.up()
            on.pbx.living[channel] = ev.Alive(ringing=True, up=False, ready=False)
            await on.pbx.reconcile([channel])
            began = now()
            await on.ended()
            assert now() - began < 60  # the ring time-out, not a day
            assert on.outcome() == "no_answer"

    run(again())


def test_a_crash_between_the_intent_and_the_originate_ends_the_job_undialled(tmp_path: Path) -> None:
    async def before() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await on.submit(new_job())
            await on.ledger.claim("ast1", (), now(), 1)

    async def after() -> None:
        async with floor(ledger=tmp_path / "l.db", up=False) as on:
            await on.adopt()
            on.up()
            await on.pbx.reconcile(on.live.channels_on("ast1"))
            await on.ended()
            assert on.pbx.dials() == []
            assert on.types() == ["call.hangup", "job.ended"]

    run(before())
    run(after())


@virtual
async def test_a_call_taken_up_whose_script_cannot_be_read_is_ended_and_harms_nobody() -> None:
    async with floor(far=(RINGS,)) as on:
        await on.submit(new_job())
        await until(lambda: len(on.told()) == 2)
        (found,) = await on.ledger.open_calls()
        on.live.close()
        on.live.adopt(found, Script((), 0))
        on.pbx.tell(found.call_id, ev.Answered())
        on.pbx.tell(found.call_id, ev.Ready())
        await on.submit(new_job("job-2"))
        await on.ended("job-1", "job-2")
        assert on.outcome("job-1") == "failed"


@virtual
async def test_calls_let_go_at_the_stop_fire_no_timer_and_stay_open_in_the_ledger() -> None:
    async with floor(far=(RINGS,)) as on:
        await on.submit(new_job())
        await until(lambda: len(on.told()) == 2)
        on.live.close()
        await on.live.wait_idle()
        await asyncio.sleep(300)
        assert on.state() is JobState.ACTIVE
        assert len(await on.ledger.open_calls()) == 1


@virtual
async def test_no_repr_of_what_moves_here_shows_a_code() -> None:
    async with floor(node(caller_ids=("+15550100",))) as on:
        await on.submit(new_job())
        await on.ended()
        shown = repr([on.pbx.requests, on.offered, on.ledger, on.live])
        assert "digits/4" not in shown
        assert "digits/4" not in msgspec.json.encode(on.cdrs()).decode()
