"""A worker that is killed with -9 while jobs come in over HTTP."""

from pathlib import Path

from tests.http.endurance import endure


async def test_no_job_that_a_producer_repeats_until_it_is_answered_is_lost_or_made_twice(
    tmp_path: Path,
) -> None:
    found, odd = await endure(tmp_path, jobs=300, rounds=2)
    assert (found.stored, found.lost, found.twice, found.left) == (300, 0, 0, 0)
    assert found.worker_kills == 2
    assert odd == []
