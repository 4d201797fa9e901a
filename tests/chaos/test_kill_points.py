"""A worker killed at each named point of a call, on a real Asterisk: the next one finds what was left.

All points are played at the same time, each by a worker with a ledger and a receiver of its own.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.plan import NAMED_POINTS
from tests.chaos.points import Played, Scene, play_all
from tests.real.lab import LabInfo

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("kill-points")]

SCENES = (
    Scene("intent", 1, ("stays", "busy", "stays", "declines")),
    Scene("originate-sent", 6, ("busy", "late", "busy", "late", "declines", "late")),
    Scene("answered", 2, ("stays", "stays", "late")),
    Scene("playing", 2, ("stays", "stays", "hangs-up")),
    Scene("hangup-before-commit", 1, ("stays", "stays", "stays")),
    Scene("hangup-after-commit", 1, ("busy", "stays", "declines")),
    Scene("delivering", 1, ("stays", "busy", "hangs-up")),
)

Scenes = dict[str, Played]


@pytest.fixture(scope="module")
def scenes(kill_lab: LabInfo, tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """Every scene, played."""
    return asyncio.run(play_all(kill_lab, tmp_path_factory.mktemp("points"), SCENES))


def test_every_named_point_has_its_scene() -> None:
    assert [scene.point for scene in SCENES] == list(NAMED_POINTS)


@pytest.mark.parametrize("point", NAMED_POINTS)
def test_wherever_a_worker_dies_the_next_one_breaks_no_law(scenes: Scenes, point: str) -> None:
    played = scenes[point]
    assert played.died, f"the worker never came to {point}:\n{played.log}"
    assert {name: count for name, count in played.figures.items() if count} == {}
    assert played.exit_codes == (0,)
    assert {job.state for job in played.found.stored.values()} == {"ended"}
    assert len(played.found.stored) == len(played.found.submitted)


def test_an_intent_whose_originate_never_left_ends_as_failed_and_nobody_is_rung(scenes: Scenes) -> None:
    played = scenes["intent"]
    assert {a.journal for job in played.at_death.values() for a in job.attempts} == {("planned",)}
    for job_id, job in played.found.stored.items():
        assert (job.outcome, len(job.attempts), played.rings(job_id)) == ("failed", 1, 0)


def test_after_the_originate_has_left_who_answered_is_taken_up_and_nobody_is_dialled_again(
    scenes: Scenes,
) -> None:
    played = scenes["originate-sent"]
    uncommitted = [
        job_id
        for job_id, job in played.at_death.items()
        if [attempt.journal for attempt in job.attempts] == [("planned",)]
    ]
    assert uncommitted, "every acceptance was committed before the death"
    for job_id in uncommitted:
        assert len(played.found.stored[job_id].attempts) == 1, job_id
        assert played.rings(job_id) == 1, job_id
    taken_up = [job for job in played.found.stored.values() if "alive" in job.attempts[0].journal]
    assert taken_up
    assert {job.outcome for job in taken_up} == {"completed"}


def test_who_has_answered_a_dead_worker_is_played_to_by_the_next_one(scenes: Scenes) -> None:
    played = scenes["answered"]
    answered = {job_id for job_id, job in played.at_death.items() if "answered" in job.attempts[0].journal}
    assert len(answered) >= 2
    for job_id, job in played.found.stored.items():
        assert (job.outcome, played.rings(job_id)) == ("completed", 1), job_id
        if job_id in answered:
            assert "alive" in job.attempts[0].journal


def test_a_play_that_was_cut_by_a_death_begins_anew(scenes: Scenes) -> None:
    played = scenes["playing"]
    cut = [
        job_id
        for job_id, job in played.at_death.items()
        if job.attempts[0].journal[-1] == "play_started" and "hangs" not in job_id
    ]
    assert cut
    for job_id in cut:
        job = played.found.stored[job_id]
        if job.outcome == "hung_up_early":  # the callee who never stays
            continue
        journal = job.attempts[0].journal
        assert journal.count("play_started") == 2
        assert "alive" in journal
        assert job.outcome == "completed"


def test_an_end_that_was_lost_before_its_commit_is_found_again_and_told_once(scenes: Scenes) -> None:
    played = scenes["hangup-before-commit"]
    lost = [
        job_id
        for job_id, job in played.at_death.items()
        if job.attempts[0].outcome is None and "gone" in played.found.stored[job_id].attempts[0].journal
    ]
    assert lost, "no end was lost"
    for job_id in lost:
        job = played.found.stored[job_id]
        # What was heard is not known any more, and the job allows a second call after a failure.
        assert played.rings(job_id) == len(job.attempts)
        verdicts = {
            each.webhook
            for each in played.found.arrivals
            if each.event["type"] == "job.ended" and each.event["subject"] == job_id
        }
        assert len(verdicts) == 1


def test_an_end_that_was_committed_is_told_by_the_next_worker_as_it_was_decided(scenes: Scenes) -> None:
    played = scenes["hangup-after-commit"]
    decided = {job_id: job for job_id, job in played.at_death.items() if job.state == "ended"}
    assert decided
    for job_id, job in decided.items():
        told = [each for each in played.found.arrivals if each.event.get("subject") == job_id]
        verdict = [each for each in told if each.event["type"] == "job.ended"]
        assert [each.event["data"]["outcome"] for each in verdict] == [job.outcome]
        assert verdict[0].webhook in played.pending_at_death
        assert verdict[0].webhook not in played.taken_at_death
        assert played.found.stored[job_id].attempts == job.attempts


def test_a_webhook_whose_receipt_was_not_noted_comes_again_under_the_same_id(scenes: Scenes) -> None:
    played = scenes["delivering"]
    unnoted = played.taken_at_death & played.pending_at_death
    assert unnoted, "every receipt was noted before the death"
    for webhook in unnoted:
        first, *again = played.arrivals(webhook)
        assert len(again) == 1
        assert again[0].event == first.event
