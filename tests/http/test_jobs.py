"""Jobs over HTTP, on a real listener and a real ledger."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.intake.accept import MAX_JOB_BYTES
from orchestrator.ledger.errors import LedgerClosed
from tests.http.world import BUSY, CALLER, CODE, RINGING, job, world


async def test_a_job_is_stored_before_its_answer_and_wakes_the_worker(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        status, body, headers = await it.submit(id="a", user_data="u")
        assert (status, body) == (202, {"id": "a", "state": "queued"})
        assert headers["Location"] == "/v1/jobs/a"
        assert await it.ledger.summary("a") is not None
        assert it.woken == 1


async def test_without_an_id_one_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        _, first, _ = await it.submit()
        _, second, _ = await it.submit()
        assert first["id"] != second["id"]


async def test_the_same_job_sent_again_is_the_same_job_and_says_where_it_stands(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        assert (await it.submit(id="a"))[:2] == (200, {"id": "a", "state": "queued"})
        await it.call(BUSY)
        assert (await it.submit(id="a"))[:2] == (200, {"id": "a", "state": "ended"})
        assert it.woken == 1


async def test_ten_of_the_same_at_once_are_one_job(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        answers = await asyncio.gather(*(it.submit(id="a") for _ in range(10)))
        assert sorted(answer[0] for answer in answers) == [200] * 9 + [202]


async def test_the_same_id_with_other_content_is_a_conflict(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        status, problem, headers = await it.submit(id="a", user_data="other")
        assert status == 409
        assert headers["Content-Type"] == "application/problem+json"
        assert problem["type"] == "/docs#problem-conflict"
        assert problem["status"] == 409


async def test_an_invalid_job_is_refused_with_every_fault_and_no_value(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        status, problem, headers = await it.submit(plays=77, retry={"attempts": 0}, colour="red", from_="x")
        assert status == 422
        assert headers["Content-Type"] == "application/problem+json"
        assert {"$.plays", "$.retry.attempts", "$.colour"} <= {fault["path"] for fault in problem["errors"]}
        assert (await it.ledger.counts())["jobs_queued"] == 0


async def test_what_is_no_json_is_malformed(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for raw in (b"", b"{", b'{"to": "+1202', b"\xff", b'{"plays": 99, "to'):
            told = {"Content-Type": "application/json"}
            status, problem, _ = await it.ask("POST", "/v1/jobs", data=raw, headers=told)
            assert (status, problem["title"]) == (400, "Malformed")


async def test_json_that_is_no_object_is_invalid(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert (await it.ask("POST", "/v1/jobs", json=[job()]))[0] == 422


async def test_another_media_type_is_unsupported(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        for headers in ({"Content-Type": "text/plain"}, {}, packed):
            assert (await it.ask("POST", "/v1/jobs", data=b"{}", headers=headers))[0] == 415


async def test_a_body_that_is_too_long_is_refused_whether_or_not_its_length_is_told(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (MAX_JOB_BYTES // 2)

    async with world(tmp_path) as it:
        told = {"Content-Type": "application/json"}
        assert (await it.ask("POST", "/v1/jobs", data=b" " * (MAX_JOB_BYTES + 1), headers=told))[0] == 413
        assert (await it.ask("POST", "/v1/jobs", data=parts(), headers=told))[0] == 413


async def test_a_job_is_shown_without_its_secrets(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        variables = {"name": "a very private name"}
        await it.submit(id="a", **{"from": CALLER}, variables=variables, notify={"events": ["call.answered"]})
        status, shown, _ = await it.ask("GET", "/v1/jobs/a")
        assert (status, shown["state"], shown["attempts"], shown["calls"]) == (200, "queued", 0, [])
        assert shown["job"]["from"] == CALLER
        assert shown["job"]["notify"] == {"url": None, "events": ["call.answered"]}
        assert not {"code", "variables", "items", "id", "play_seconds", "application"} & set(shown["job"])
        assert "private" not in str(shown)
        await it.call()
        _, shown, _ = await it.ask("GET", "/v1/jobs/a")
        assert (shown["state"], shown["outcome"], shown["attempts"]) == ("ended", "completed", 1)
        assert shown["calls"][0]["plays_completed"] == 2
        assert shown["notifications"] == {"pending": 2}


async def test_a_queued_job_is_cancelled_and_asking_again_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        for _ in range(2):
            status, body, _ = await it.ask("DELETE", "/v1/jobs/a")
            assert (status, body) == (202, {"id": "a", "state": "queued", "cancel_requested": True})
        assert (await it.ledger.overdue(0.0, 10))[0].id == "a"
        assert it.woken == 3


async def test_a_call_is_cancelled_and_then_that_is_said(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        await it.start(RINGING)
        status, body, _ = await it.ask("DELETE", "/v1/jobs/a")
        assert (status, body["state"]) == (202, "active")
        it.live.cancel("a")  # as the sweeper does when it is woken
        await it.bell.until(lambda: not len(it.live))
        status, body, _ = await it.ask("DELETE", "/v1/jobs/a")
        assert (status, body["state"]) == (200, "ended")


async def test_a_job_that_ended_otherwise_cannot_be_cancelled(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        await it.call(BUSY)
        status, problem, _ = await it.ask("DELETE", "/v1/jobs/a")
        assert status == 409
        assert "busy" in problem["detail"]


async def test_an_unknown_job_is_not_found(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for id_ in ("none", "a%00b", "%2e%2e", "x" * 65, "a%20b"):
            for rest in ("", "/events", "/recording"):
                assert (await it.ask("GET", f"/v1/jobs/{id_}{rest}"))[0] == 404
        assert (await it.ask("DELETE", "/v1/jobs/none"))[0] == 404


async def test_unknown_paths_and_methods_are_problems_too(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        status, problem, _ = await it.ask("GET", "/v2")
        assert (status, problem["status"]) == (404, 404)
        status, _, headers = await it.ask("PUT", "/v1/jobs")
        assert (status, headers["Allow"]) == (405, "POST")


async def test_while_the_ledger_is_full_or_stuck_jobs_are_sent_away_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as it:
        it.full = True
        status, problem, headers = await it.submit(id="a")
        assert (status, headers["Retry-After"]) == (503, "2")
        assert "nothing was stored" in problem["detail"]
        it.full = False
        monkeypatch.setattr(type(it.ledger), "fault", "the disk is full")
        status, problem, _ = await it.ask("GET", "/v1/jobs/a")
        assert status == 503
        assert "disk" not in problem["detail"]


async def test_a_ledger_that_was_closed_under_a_request_is_told_as_unavailable(tmp_path: Path) -> None:
    async with world(tmp_path) as it:

        async def closed(jobs: object) -> None:
            raise LedgerClosed("closed")

        it.ledger.submit = closed  # type: ignore[assignment,method-assign]
        assert (await it.submit(id="a"))[0] == 503


async def test_a_fault_of_ours_says_where_and_never_with_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(raw: bytes, *rest: object) -> None:
        raise RuntimeError(f"it broke at {raw!r}")

    monkeypatch.setattr("orchestrator.http.door.accept", broken)
    async with world(tmp_path) as it:
        status, problem, _ = await it.submit(id="a")
        assert (status, problem["type"]) == (500, "/docs#problem-fault")
    said = capsys.readouterr()
    assert "RuntimeError at test_jobs.py" in said.out + said.err
    assert CODE not in said.out + said.err


async def test_requests_and_jobs_are_counted_by_pattern(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.submit(id="a")
        await it.submit(id="a")
        await it.ask("GET", "/v1/jobs/a")
        async with it.client.get(it.server.make_url("/metrics")) as answer:
            text = await answer.text()
        assert 'orchestrator_http_jobs_total{kind="code"} 1.0' in text
        assert 'orchestrator_http_requests_total{method="POST",route="/v1/jobs",status="202"} 1.0' in text
        assert 'requests_total{method="GET",route="/v1/jobs/{id}",status="200"} 1.0' in text
        assert 'orchestrator_http_seconds_count{route="/v1/jobs"} 2.0' in text
