"""What the worker does now and then: recordings are deleted when they are old, and not before."""

import asyncio
from pathlib import Path

import pytest

from orchestrator import upkeep
from orchestrator.call import events as ev
from orchestrator.ledger.records import CallEnd, Entry, Verdict
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.upkeep import delete_recordings
from tests.fakes import EPOCH, FakePbx, new_job

DAY = 86400.0


class Lost(FakePbx):
    """Cannot be asked."""

    asked = 0

    async def delete_recording(self, recording: str) -> None:
        self.asked += 1
        raise PbxUnreachable(f"pbx {self.name}: nobody answers")


async def recorded(path: Path, *nodes: str) -> SqliteLedger:
    """A ledger with a recorded call of each job, ended a day apart, on these nodes or on `ast1`."""
    ledger = await SqliteLedger.open(path)
    for n, node in enumerate(nodes or ("ast1",) * 2):
        job = f"job-{n}"
        await ledger.submit([new_job(job)])
        (claim,) = (await ledger.claim(node, (), EPOCH, 1, job)).claims
        at = EPOCH + n * DAY
        end = CallEnd(
            job_id=job,
            call_id=claim.call_id,
            ended_at=at,
            cdr=b"{}",
            then=Verdict("completed", "", at),
            recording=claim.call_id,
        )
        ledger.record(job, claim.call_id, Entry(2, at, ev.Ended(16)), [], end)
    return ledger


async def kept(ledger: SqliteLedger) -> int:
    return len(await ledger.recordings(EPOCH + 100 * DAY, 10))


async def test_a_recording_is_deleted_when_it_is_old_and_not_before(tmp_path: Path) -> None:
    ledger, pbx = await recorded(tmp_path / "ledger.db"), FakePbx("ast1", lambda signal: None)
    assert await delete_recordings(ledger, {"ast1": pbx}, EPOCH) == 0
    assert (pbx.deleted, await kept(ledger)) == ([], 2)
    assert await delete_recordings(ledger, {"ast1": pbx}, EPOCH + 0.1 * DAY) == 1
    assert (len(pbx.deleted), await kept(ledger)) == (1, 1)
    assert await delete_recordings(ledger, {"ast1": pbx}, EPOCH + 1.1 * DAY) == 1
    assert (len(set(pbx.deleted)), await kept(ledger)) == (2, 0)
    await ledger.close()


async def test_a_recording_whose_pbx_cannot_be_asked_is_kept_for_later(tmp_path: Path) -> None:
    ledger, pbx = await recorded(tmp_path / "ledger.db"), Lost("ast1", lambda signal: None)
    assert await delete_recordings(ledger, {"ast1": pbx}, EPOCH + 100 * DAY) == 0
    assert await kept(ledger) == 2
    await ledger.close()


async def test_a_pbx_that_cannot_be_asked_is_asked_once_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FORGET_AT_ONCE", 2)
    ledger = await recorded(tmp_path / "ledger.db", *["lost"] * 5, "ast1", "lost", "ast1")
    lost, pbx = Lost("lost", lambda signal: None), FakePbx("ast1", lambda signal: None)
    assert await delete_recordings(ledger, {"lost": lost, "ast1": pbx}, EPOCH + 100 * DAY) == 2
    assert (len(set(pbx.deleted)), lost.asked, await kept(ledger)) == (2, 1, 6)
    await ledger.close()


async def test_what_was_handed_over_is_durable_when_the_ledger_says_so(tmp_path: Path) -> None:
    ledger = await recorded(tmp_path / "ledger.db")
    done = asyncio.Event()
    ledger.durable(done.set)
    await done.wait()
    assert ledger.waiting == 0
    await ledger.close()
