"""The ledger's limits (`ledger.limits.CallLimits`), kept alike by every ledger, on its real SQL."""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.call import events as ev
from orchestrator.ledger.limits import DAY, HOUR, LOOK_LEAST, CallLimits
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.postgresql.connection import CHANNEL, connect
from orchestrator.ledger.postgresql.ledger import PostgresLedger
from orchestrator.ledger.records import (
    Blocked,
    CallEnd,
    Claim,
    Claimed,
    Entry,
    JobState,
    Requeue,
    Verdict,
)
from orchestrator.ledger.schema import APPLICATION_ID, MIGRATIONS
from orchestrator.ledger.sqlite import SqliteLedger
from tests.fakes import EPOCH, new_job
from tests.ledger.test_conformance import NOW, ending, job, record
from tests.ledger.test_many_workers import seated

ONE = "+12025550100"
OTHER = "+12025550101"
AT_ONCE = CallLimits(callee_calls=1)
ENDED = Verdict("completed", "every play was heard", NOW)


async def look(
    ledger: Ledger, limits: CallLimits, now: float = NOW, limit: int = 9, only: str = ""
) -> Claimed:
    return await ledger.claim("ast1", [], now, limit, only or None, limits)


def ids(claims: Sequence[Claim]) -> list[str]:
    return [claim.job.id for claim in claims]


async def over(ledger: Ledger, claim: Claim, then: Verdict | Requeue = ENDED, at: float = NOW) -> None:
    await record(ledger, claim, 2, end=ending(claim, then, at))


async def waits_for(ledger: Ledger, id: str) -> str:
    found = await ledger.summary(id)
    assert found is not None
    return found.waits_for


async def test_a_second_call_to_a_number_waits_for_the_end_of_the_first_and_others_go_ahead(
    ledger: Ledger,
) -> None:
    await ledger.submit(
        [new_job("a", to=ONE, priority=9), new_job("b", to=ONE, priority=9), new_job("c", to=OTHER)]
    )
    found = await look(ledger, AT_ONCE)
    assert (ids(found.claims), found.held) == (["a", "c"], ("callee_calls",))
    assert ((await job(ledger, "b")).state, await waits_for(ledger, "b")) == (JobState.QUEUED, "callee_calls")
    assert found.next_at == NOW + LOOK_LEAST
    assert (await look(ledger, AT_ONCE)).claims == ()
    await over(ledger, found.claims[1])
    assert (await look(ledger, AT_ONCE)).claims == ()
    await over(ledger, found.claims[0])
    assert await waits_for(ledger, "b") == ""
    assert ids((await look(ledger, AT_ONCE)).claims) == ["b"]


async def test_a_callback_rings_two_numbers_and_waits_for_both(ledger: Ledger) -> None:
    await ledger.submit(
        [
            new_job("both", to=ONE, kind="callback", caller=OTHER, priority=2),
            new_job("one", to=ONE, priority=1),
            new_job("other", to=OTHER),
        ]
    )
    found = await look(ledger, AT_ONCE)
    assert (ids(found.claims), found.held) == (["both"], ("callee_calls",) * 2)
    await over(ledger, found.claims[0])
    assert ids((await look(ledger, AT_ONCE)).claims) == ["one", "other"]


async def test_an_attempt_that_is_given_back_lets_the_next_go_on(ledger: Ledger) -> None:
    await ledger.submit([new_job("a", to=ONE, priority=1), new_job("b", to=ONE)])
    (first,) = (await look(ledger, AT_ONCE)).claims
    ledger.undial("a", first.call_id, NOW + 60)
    await ledger.counts()
    assert ids((await look(ledger, AT_ONCE, NOW + 60, only="b")).claims) == ["b"]


async def test_what_waits_is_looked_at_again_though_nobody_has_let_it_go_on(ledger: Ledger) -> None:
    """The call in its way may be of a worker that was not told of the limit."""
    await ledger.submit([new_job("a", to=ONE, application="shop")])
    (first,) = (await ledger.claim("ast1", [], NOW, 1)).claims
    await ledger.submit([new_job("b", to=ONE, application="shop")])
    limits = CallLimits(application_calls=1)
    assert (await look(ledger, limits)).held == ("application_calls",)
    await over(ledger, first)
    assert (await look(ledger, limits)).claims == ()
    assert ids((await look(ledger, limits, NOW + LOOK_LEAST)).claims) == ["b"]


@pytest.mark.parametrize(("limit", "span"), [("callee_per_hour", HOUR), ("callee_per_day", DAY)])
async def test_calls_beyond_those_of_an_hour_or_a_day_are_to_be_ended_and_named(
    ledger: Ledger, limit: str, span: float
) -> None:
    limits = CallLimits(**{limit: 2})
    await ledger.submit([new_job(f"job-{n}", to=ONE, expires_in=2 * DAY, priority=9 - n) for n in range(4)])
    await ledger.submit([new_job("other", to=OTHER)])
    found = await look(ledger, limits)
    assert ids(found.claims) == ["job-0", "job-1", "other"]
    assert found.blocked == (Blocked("job-2", limit), Blocked("job-3", limit))
    for claim in found.claims:
        await over(ledger, claim)
    await ledger.end_queued("job-2", Verdict("blocked", limit, NOW), lambda row: None)
    assert (await job(ledger, "job-2")).outcome == "blocked"
    assert (await look(ledger, limits, NOW + span - 1)).blocked == (Blocked("job-3", limit),)
    assert ids((await look(ledger, limits, NOW + span + 9)).claims) == ["job-3"]


async def test_every_attempt_counts_but_none_that_never_left(ledger: Ledger) -> None:
    limits = CallLimits(callee_per_hour=2)
    await ledger.submit([new_job("a", to=ONE)])
    for _ in range(2):
        (claim,) = (await look(ledger, limits)).claims
        await over(ledger, claim, Requeue(NOW))
    assert (await look(ledger, limits)).blocked == (Blocked("a", "callee_per_hour"),)
    await ledger.submit([new_job("b", to=OTHER)])
    for _ in range(5):
        (claim,) = (await look(ledger, limits)).claims
        ledger.undial("b", claim.call_id, NOW)
        await ledger.counts()


async def test_an_application_has_so_many_calls_as_its_key_says_or_else_the_configuration(
    ledger: Ledger,
) -> None:
    limits = CallLimits(application_calls=1)
    shop = [new_job(f"shop-{n}", application="shop", application_calls=2, priority=9) for n in range(4)]
    bank = [new_job(f"bank-{n}", application="bank") for n in range(2)]
    queue = [new_job(f"queue-{n}", intake="orders") for n in range(2)]
    nobody = [new_job(f"nobody-{n}") for n in range(3)]
    await ledger.submit([*shop, *bank, *queue, *nobody])
    found = await look(ledger, limits, limit=20)
    names = Counter(id.partition("-")[0] for id in ids(found.claims))
    assert names == {"shop": 2, "bank": 1, "queue": 1, "nobody": 3}
    assert found.held == ("application_calls",) * 4
    unlimited = await look(ledger, CallLimits(), NOW + 9)
    assert {id.partition("-")[0] for id in ids(unlimited.claims)} == {"bank", "queue"}


async def test_very_many_that_wait_hold_up_nobody_else_for_long(ledger: Ledger) -> None:
    limits = CallLimits(application_calls=1)
    await ledger.submit([new_job(f"shop-{n}", application="shop", priority=5) for n in range(400)])
    await ledger.submit([new_job("bank", application="bank")])
    seen: list[str] = []
    for _ in range(4):
        seen += ids((await look(ledger, limits, limit=2)).claims)
    assert len(seen) == 2
    assert "bank" in seen
    assert (await ledger.counts())["jobs_queued"] == 399


async def test_the_limits_hold_for_all_workers_together_and_nobody_waits_for_ever(url: str) -> None:
    limits = CallLimits(callee_calls=2, application_calls=5)
    numbers = [f"+1202555010{n}" for n in range(4)]
    live: Counter[str] = Counter()
    most: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    async def work(ledger: PostgresLedger, node: str) -> None:
        at = NOW
        while sum(seen.values()) < 120:
            found = await ledger.claim(node, [], at, 4, None, limits)
            at += 0.05
            for claim in found.claims:
                seen[claim.job.id] += 1
                for key in (*claim.callees, claim.application or ""):
                    live[key] += 1
                    most[key] = max(most[key], live[key])
            await asyncio.sleep(0)
            for claim in found.claims:
                for key in (*claim.callees, claim.application or ""):
                    live[key] -= 1
                await over(ledger, claim, at=at)

    async with contextlib.AsyncExitStack() as stack:
        three = [(await stack.enter_async_context(seated(url, f"w{n}")))[0] for n in range(3)]
        await three[0].submit(
            [
                new_job(
                    f"job-{n}",
                    EPOCH,
                    to=numbers[n % 4],
                    kind="callback",
                    caller=numbers[(n + 1 + n // 40) % 4],
                    application="shop",
                    expires_in=DAY,
                )
                for n in range(120)
            ]
        )
        async with asyncio.timeout(60):
            await asyncio.gather(*(work(each, f"ast{n % 2}") for n, each in enumerate((*three, *three))))
    assert len(seen) == 120
    assert set(seen.values()) == {1}
    assert all(most[number] == 2 for number in numbers)
    assert most["shop"] <= 5
    db = await connect(url)
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await db.fetchval(query) == 0
    await db.close()


async def test_the_end_of_a_call_wakes_the_workers_only_where_a_job_waits_for_it(url: str) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    db = await connect(url)
    async with seated(url, "w1") as (one, _), asyncio.timeout(30):
        await one.submit([new_job("a", to=ONE, priority=1), new_job("b", to=ONE), new_job("c", to=OTHER)])
        claims = (await look(one, AT_ONCE)).claims
        assert ids(claims) == ["a", "c"]
        await db.add_listener(CHANNEL, lambda *args: told.put_nowait(str(args[-1])))
        for claim, heard in ((claims[1], ["c is over"]), (claims[0], ["", "a is over"])):
            await over(one, claim)
            await db.execute("SELECT pg_notify($1, $2)", CHANNEL, heard[-1])
            assert [await told.get() for _ in heard] == heard  # they come in the order of the commits
    db.terminate()


async def test_a_ledger_from_before_the_limits_goes_on_with_its_jobs_and_calls(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for step in MIGRATIONS[:4]:
            db.executescript(step)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 4")
        for id, state in (("old", "active"), ("waits", "queued"), ("too", "queued")):
            new = new_job(id, to=ONE)
            db.execute(
                "INSERT INTO jobs (id, state, fingerprint, sealed, body, priority, created_at, next_at,"
                " expires_at) VALUES (?, ?, x'', x'00', ?, 0, ?, ?, ?)",
                (id, state, new.body, EPOCH, EPOCH, EPOCH + 9),
            )
        db.execute("INSERT INTO calls (id, job_id, attempt, pbx) VALUES ('c', 'old', 1, 'ast1')")
    ledger = await SqliteLedger.open(path)
    (taken,) = (await look(ledger, AT_ONCE)).claims
    old = CallEnd(job_id="old", call_id="c", ended_at=NOW, cdr=b"{}", then=ENDED)
    ledger.record("old", "c", Entry(2, NOW, ev.Ended(16)), [], old)
    assert (await look(ledger, AT_ONCE)).claims == ()
    await over(ledger, taken)
    assert len((await look(ledger, AT_ONCE)).claims) == 1
    await ledger.close()
