"""The desk: what becomes of messages, and that one redelivered is the same job."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog.testing

from orchestrator.http.owner import owner_of
from orchestrator.intake import accept as accept_module
from orchestrator.intake import desk as desk_module
from orchestrator.intake.accept import Rules
from orchestrator.intake.desk import NO_ID, Message, Refused, Stored
from orchestrator.intake.options import Intake
from tests.intake.house import CODE, NOW, House, job, make_rules, standing

QUEUE = Intake(name="q", kind="redis", url="redis://127.0.0.1:1", jobs="jobs", replies="events")


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    return make_rules(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
async def house(tmp_path: Path, rules: Rules) -> AsyncIterator[House]:
    async with standing(tmp_path, rules) as house:
        yield house


async def test_a_message_redelivered_ten_times_is_one_job(house: House) -> None:
    desk = house.desk(QUEUE)
    fates = [fate for _ in range(10) for fate in await desk.take([Message("7-0", job())])]
    assert [fate.new for fate in fates if isinstance(fate, Stored)] == [True] + [False] * 9
    assert len({fate.job_id for fate in fates if isinstance(fate, Stored)}) == 1
    assert await house.queued() == 1
    assert house.wakes == 1


async def test_a_job_of_a_queue_counts_as_one_of_its_intake_and_belongs_to_no_key(house: House) -> None:
    await house.desk(QUEUE).take([Message("1", job(id="j"))])
    (claim,) = (await house.ledger.claim("ast1", [], NOW, 1)).claims
    assert (claim.application, claim.application_calls) == (QUEUE.name, None)
    assert owner_of(claim.job.body) is None


async def test_two_messages_with_the_same_content_and_no_id_are_two_jobs(house: House) -> None:
    await house.desk(QUEUE).take([Message("7-0", job()), Message("7-1", job())])
    assert await house.queued() == 2


async def test_an_id_is_a_function_of_the_queue_and_the_message_and_not_of_what_it_says(house: House) -> None:
    desk = house.desk(QUEUE)
    other = house.desk(Intake(name="r", kind="redis", url="redis://127.0.0.1:1", jobs="jobs"))
    ids = [desk.id_of(Message("1", b"a")), desk.id_of(Message("1", b"b")), other.id_of(Message("1", b"a"))]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0][14] == "8"


async def test_a_message_that_no_name_tells_apart_needs_a_job_with_an_id(house: House) -> None:
    fates = await house.desk(QUEUE).take([Message("", job()), Message("", job(id="j"))])
    assert fates == [Refused(NO_ID), Stored("j", True)]


async def test_an_id_with_other_content_is_refused_also_within_one_batch(house: House) -> None:
    batch = [Message("1", job(id="j")), Message("2", job(id="j", plays=1)), Message("3", job(id="j"))]
    fates = await house.desk(QUEUE).take(batch)
    assert [type(fate) for fate in fates] == [Stored, Refused, Stored]
    assert house.counts.outcomes == {"accepted": 1, "duplicate": 1, "refused": 1}


async def test_a_message_that_breaks_the_orchestrator_is_refused_and_not_told_of_in_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = accept_module.accept

    def broken(raw: bytes, *args: object, **named: object) -> object:
        if b"poison" in raw:
            raise KeyError(raw)
        return real(raw, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(desk_module, "accept", broken)
    with structlog.testing.capture_logs() as logs:
        fates = await house.desk(QUEUE).take([Message("1", job(user_data="poison")), Message("2", job())])
    assert isinstance(fates[0], Refused)
    assert isinstance(fates[1], Stored)
    assert "KeyError" in fates[0].reason
    assert CODE not in fates[0].reason + str(logs)


async def test_refusals_are_logged_by_the_messages_name_alone(house: House) -> None:
    wrong = [Message(f"{n}\x1b[2J", job(code=CODE + "x")) for n in range(30)]
    with structlog.testing.capture_logs() as logs:
        await house.desk(QUEUE).take(wrong)
    assert len(logs) == 21
    assert logs[0]["message"] == "0?[2J"
    assert CODE not in str(logs)


async def test_a_job_answers_where_it_says_else_to_its_intake_else_as_configured(house: House) -> None:
    quiet = Intake(name="quiet", kind="redis", url="redis://127.0.0.1:1", jobs="jobs")
    await house.desk(QUEUE).take([Message("1", job(id="in"))])
    await house.desk(quiet).take([Message("1", job(id="out"))])
    assert [body["notify_url"] for body in await house.bodies("in", "out")] == ["intake:q", None]


async def test_a_job_cannot_have_itself_told_to_another_intake(house: House) -> None:
    fates = await house.desk(QUEUE).take([Message("1", job(notify={"url": "intake:other"}))])
    assert isinstance(fates[0], Refused)
    assert "$.notify.url" in fates[0].reason
