"""The clock was set: nothing that waits may wait longer, or expire, for that."""

from pathlib import Path

import pytest

from orchestrator.clock import TOLERANCE, Moment, ahead, moment
from orchestrator.ledger import lease, stepped
from orchestrator.ledger.limits import CallLimits
from orchestrator.ledger.sqlite import SqliteLedger
from tests.fakes import EPOCH, db_of, inline_ledger, new_job
from tests.fakes import run as run_virtual

HOUR = 3600.0


async def ledger_with_jobs() -> SqliteLedger:
    ledger = await inline_ledger(":memory:")
    await ledger.submit(
        [
            new_job("due", EPOCH, expires_in=120.0),
            new_job("at-noon", EPOCH, not_before=EPOCH + 5 * HOUR, expires_in=6 * HOUR),
            new_job("retry", EPOCH - 10.0, expires_in=600.0),
        ]
    )
    db_of(ledger).execute("UPDATE jobs SET attempts = 1, next_at = ? WHERE id = 'retry'", (EPOCH + 30.0,))
    return ledger


def times(ledger: SqliteLedger) -> dict[str, tuple[float, float]]:
    rows = db_of(ledger).execute("SELECT id, next_at, expires_at FROM jobs")
    return {id: (next_at, expires_at) for id, next_at, expires_at in rows}


def test_what_was_due_is_due_and_a_retry_and_an_expiry_keep_their_distance() -> None:
    async def main() -> None:
        ledger = await ledger_with_jobs()
        now = EPOCH - HOUR
        assert await ledger.clock_set(EPOCH, now) == 2
        assert times(ledger) == {
            "due": (now, now + 120.0),
            "at-noon": (EPOCH + 5 * HOUR, EPOCH + 6 * HOUR),  # a time of day, as it was asked for
            "retry": (now + 30.0, now + 590.0),
        }
        await ledger.close()

    run_virtual(main())


def test_a_clock_that_was_set_forward_lets_nothing_expire() -> None:
    async def main() -> None:
        ledger = await ledger_with_jobs()
        now = EPOCH + HOUR
        assert await ledger.clock_set(EPOCH, now) == 2
        assert times(ledger) == {
            "due": (EPOCH, now + 120.0),
            "at-noon": (EPOCH + 5 * HOUR, EPOCH + 6 * HOUR),
            "retry": (now + 30.0, now + 590.0),
        }
        await ledger.close()

    run_virtual(main())


SEEN = Moment(EPOCH, 1000.0, "boot-1")


@pytest.mark.parametrize(
    ("now", "was"),
    [
        (Moment(EPOCH + 60.0, 1060.0, "boot-1"), EPOCH + 60.0),
        (Moment(EPOCH + 60.0 - TOLERANCE, 1060.0, "boot-1"), EPOCH + 60.0 - TOLERANCE),
        (Moment(EPOCH + 60.0 - HOUR, 1060.0, "boot-1"), EPOCH + 60.0),
        (Moment(EPOCH + 60.0 + HOUR, 1060.0, "boot-1"), EPOCH + 60.0),
        (Moment(EPOCH + HOUR, 5.0, "boot-2"), EPOCH + HOUR),
        (Moment(EPOCH - HOUR, 5.0, "boot-2"), EPOCH),
        (Moment(EPOCH - HOUR, 1060.0, ""), EPOCH),
    ],
)
def test_what_the_former_owners_clock_would_show_is_known_within_a_boot_and_guessed_after_it(
    now: Moment, was: float
) -> None:
    assert stepped.was(SEEN, now) == pytest.approx(was)


def test_of_two_clocks_on_different_boots_or_on_no_known_one_nothing_is_said() -> None:
    assert ahead(SEEN, Moment(EPOCH, 1000.0, "boot-2")) is None
    assert ahead(Moment(EPOCH, 1.0, ""), Moment(EPOCH, 2.0, "")) is None


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_another_process_goes_by_the_owners_clock(tmp_path: Path, step: float) -> None:
    async def main() -> None:
        ledger = await inline_ledger(tmp_path / "l.db")
        wall = 1_900_000_000.0
        assert (await ledger.clock(lambda: wall))() == wall  # nobody ever owned it
        seen = moment(lambda: wall + step)
        assert lease.take(db_of(ledger), None, "w", {}, locked=True, seen=seen) is not None
        assert (await ledger.clock(lambda: wall))() == pytest.approx(wall + step, abs=TOLERANCE)
        await ledger.close()

    run_virtual(main())


def test_a_notification_that_waits_for_its_next_try_waits_no_longer(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await inline_ledger(tmp_path / "l.db")
        db = db_of(ledger)
        for n, next_at in enumerate((EPOCH + 600.0, EPOCH - 2 * HOUR)):
            db.execute(
                "INSERT INTO outbox (event_id, lane, sequence, url, type, body, created_at, next_at)"
                " VALUES (?, ?, 1, 'u', 't', x'', ?, ?)",
                (f"e{n}", f"job-{n}", EPOCH, next_at),
            )
        assert await ledger.clock_set(EPOCH, EPOCH - HOUR) == 1
        found = dict(db.execute("SELECT event_id, next_at FROM outbox"))
        assert found == {"e0": EPOCH - HOUR + 600.0, "e1": EPOCH - 2 * HOUR}
        await ledger.close()

    run_virtual(main())


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_who_waits_for_a_limit_is_looked_at_again_and_the_hour_of_a_number_keeps_its_length(
    step: float,
) -> None:
    limits = CallLimits(callee_calls=1, callee_per_hour=2)

    async def main() -> None:
        ledger = await inline_ledger(":memory:")
        await ledger.submit([new_job(f"job-{n}", expires_in=6 * HOUR, priority=9 - n) for n in range(3)])
        assert len((await ledger.claim("ast1", [], EPOCH, 9, None, limits)).claims) == 1
        now = EPOCH + step
        assert await ledger.clock_set(EPOCH, now) == 3
        assert {next_at for id, (next_at, _) in times(ledger).items() if id != "job-0"} == {now}
        db_of(ledger).execute("UPDATE calls SET ended_at = at")
        (second,) = (await ledger.claim("ast1", [], now, 1, None, limits)).claims
        assert second.job.id == "job-1"
        db_of(ledger).execute("UPDATE calls SET ended_at = at")
        assert [each.job_id for each in (await ledger.claim("ast1", [], now, 9, None, limits)).blocked] == [
            "job-2"
        ]
        found = await ledger.claim("ast1", [], now + HOUR, 9, None, limits)
        assert [claim.job.id for claim in found.claims] == ["job-2"]
        await ledger.close()

    run_virtual(main())
