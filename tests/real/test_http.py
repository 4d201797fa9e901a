"""The HTTP API before real calls: three jobs handed in with a key, followed to their ends, one fetched."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from orchestrator.audio.wav import read_wav
from tests.audio_decode import decode_digits, digit_sounds
from tests.real.lab import LabInfo, whole_recording
from tests.real.test_callbacks import ANSWERS, TALKS, TALKS_TOO, number
from tests.real.test_two_legs import ONE_SAYS, OTHER_SAYS, SPOKEN, TOGETHER, said_in, samples_of_wav
from tests.real.worker import Event, House, worker_on

pytestmark = pytest.mark.real

PRESSES_42 = "0111"
SHOWN = "+12025550150"
CODE = "493817"
TEMPLATES = {"say": "{{ code }}", "press": "7"}
JOBS: dict[str, dict[str, Any]] = {
    "shop:code": {"to": number(ANSWERS), "code": CODE, "template": "say", "plays": 1},
    "shop:notice": {
        "kind": "notice",
        "to": number(PRESSES_42),
        "items": [{"template": "press", "collect": {"max_digits": 4}}],
    },
    "shop:callback": {
        "kind": "callback",
        "caller": number(TALKS),
        "to": number(TALKS_TOO),
        "record": True,
        "max_duration": 7,
    },
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    status: int
    type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True)
class Story:
    """Three jobs from the first request to the last."""

    house: House
    accepted: dict[str, Answer]
    again: dict[str, Answer]
    """The same jobs handed in once more, after their ends."""
    told: dict[str, list[Event]]
    """By job, what its live stream told until it closed by itself."""
    meanwhile: dict[str, Answer]
    """By job, where it stood when its stream had just told of an answer."""
    shown: dict[str, Answer]
    """By job, where it stands at last."""
    recording: Answer
    strangers: list[Answer]
    """What another application is answered of the callback, whatever it asks."""
    unknown: list[Answer]
    """What the owner is answered of a job that is not there."""
    keyless: list[Answer]


class Api:
    """The API as the holder of a key sees it."""

    def __init__(self, house: House, session: aiohttp.ClientSession, key: str | None) -> None:
        self._url = f"http://{house.listen}"
        self._session = session
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """One request."""
        url = self._url + path
        async with self._session.request(method, url, json=body, headers=self._headers) as answer:
            return Answer(answer.status, answer.content_type, await answer.read())

    async def submit_all(self) -> dict[str, Answer]:
        """Hand all jobs in."""
        return {id: await self.ask("POST", "/v1/jobs", {"id": id, **job}) for id, job in JOBS.items()}

    async def events(self, job: str) -> AsyncIterator[Event]:
        """The job's events as they happen, until the stream is closed."""
        headers = {**self._headers, "Accept": "text/event-stream"}
        async with self._session.get(f"{self._url}/v1/jobs/{job}/events", headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            message: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    message[name] = value
                elif "data" in message:
                    event = json.loads(message["data"])
                    assert (message["event"], message["id"]) == (
                        event["type"],
                        str(event["data"]["sequence"]),
                    )
                    message = {}
                    yield event

    async def follow(self, job: str) -> tuple[list[Event], Answer]:
        """All of the job's events, and where it stood when somebody had just answered."""
        told, meanwhile = [], []
        async for event in self.events(job):
            told.append(event)
            if event["type"] == "call.answered":
                meanwhile.append(await self.ask("GET", f"/v1/jobs/{job}"))
        return told, meanwhile[-1]

    async def all_about(self, job: str) -> list[Answer]:
        """Every request that names a job."""
        requests = ("GET", ""), ("GET", "/events"), ("GET", "/recording"), ("DELETE", "")
        return [await self.ask(how, f"/v1/jobs/{job}{what}") for how, what in requests]


async def run(house: House, keys: list[str]) -> Story:
    """Hand all in, follow each to its end, and look at what is left."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        shop, bank, nobody = (Api(house, session, key) for key in (*keys, None))
        accepted = await shop.submit_all()
        followed = dict(zip(JOBS, await asyncio.gather(*map(shop.follow, JOBS)), strict=True))
        return Story(
            house,
            accepted,
            again=await shop.submit_all(),
            told={id: told for id, (told, _) in followed.items()},
            meanwhile={id: meanwhile for id, (_, meanwhile) in followed.items()},
            shown={id: await shop.ask("GET", f"/v1/jobs/{id}") for id in JOBS},
            recording=await shop.ask("GET", "/v1/jobs/shop:callback/recording"),
            strangers=await bank.all_about("shop:callback"),
            unknown=await shop.all_about("shop:nothing"),
            keyless=await nobody.all_about("shop:callback"),
        )


@pytest.fixture(scope="module")
def story(lab: LabInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One worker, and all three at the same time."""
    folder = tmp_path_factory.mktemp("http")
    (folder / "templates").mkdir()
    for name, text in TEMPLATES.items():
        spoken = f'<speak><say-as interpret-as="digits">{text}</say-as></speak>\n'
        (folder / "templates" / f"{name}.ssml").write_text(spoken)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR__HTTP__KEYS", str(folder / "keys.json"))
        with worker_on(lab, folder, caller_ids=[SHOWN]) as house:
            made = [house.orchestrator("keys", "add", name) for name in ("shop", "bank")]
            assert [each.returncode for each in made] == [0, 0], made
            story = asyncio.run(run(house, [each.stdout.strip() for each in made]))
            house.wait_ended(list(JOBS))
            yield story


def test_each_job_is_taken_once_and_ends_completed(story: Story) -> None:
    for id in JOBS:
        accepted, again, shown = story.accepted[id], story.again[id], story.shown[id]
        assert (accepted.status, accepted.json) == (202, {"id": id, "state": "queued"})
        assert (again.status, again.json) == (200, {"id": id, "state": "ended"})
        assert (shown.json["state"], shown.json["outcome"], len(shown.json["calls"])) == (
            "ended",
            "completed",
            1,
        )


def test_a_stream_tells_live_what_the_receiver_gets_and_closes_with_the_verdict(story: Story) -> None:
    for id, told in story.told.items():
        assert story.meanwhile[id].json["state"] == "active"
        assert told[-1]["type"] == "job.ended"
        assert told[-1]["data"]["outcome"] == "completed"
        assert told == story.house.receiver.of(id)


def test_the_code_is_heard_by_the_callee_and_told_to_nobody(story: Story, lab: LabInfo) -> None:
    heard = read_wav(whole_recording(lab, f"{number(ANSWERS)[1:]}-{SHOWN[1:]}-*.wav"))
    assert "".join(found.digit for found in decode_digits(heard, digit_sounds(SPOKEN))) == CODE
    assert CODE.encode() not in story.accepted["shop:code"].body + story.shown["shop:code"].body
    assert CODE not in str(story.told) + story.house.log


def test_the_keys_that_were_pressed_are_told(story: Story) -> None:
    digits = [event["data"] for event in story.told["shop:notice"] if event["type"] == "call.digits"]
    assert [(each["item"], each["digits"], each["complete"]) for each in digits] == [(1, "42", True)]


def test_the_recording_is_a_wav_that_holds_both_voices(story: Story) -> None:
    assert (story.recording.status, story.recording.type) == (200, "audio/wav")
    heard = samples_of_wav(story.recording.body)
    for digits in (ONE_SAYS, OTHER_SAYS):
        assert said_in(heard, digits, TOGETHER) == set(digits)


def test_of_the_job_of_another_application_as_little_is_known_as_of_none(story: Story) -> None:
    assert {answer.status for answer in story.unknown} == {404}
    assert story.strangers == story.unknown
    assert {answer.status for answer in story.keyless} == {401}
