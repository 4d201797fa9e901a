"""Notices on each backend: what is heard, which keys are collected, and who hears nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.audio.g711 import decode_ulaw
from orchestrator.audio.wav import read_wav
from orchestrator.intake.say import Voices, prompts_of
from orchestrator.job import read_job
from orchestrator.prompts import load_library, packaged_root
from tests.real.backends import NAMES, Backend, opened
from tests.real.lab import LabInfo
from tests.real.test_audio import whole_recordings
from tests.real.worker import Event, House, worker_on

pytestmark = pytest.mark.real

RECORDS, PRESSES_1, SILENT, PRESSES_42 = "+12025550108", "+12025550106", "+12025550110", "+12025550111"
TEMPLATES = {
    "amount": '<speak><say-as interpret-as="currency">{{ amount }}</say-as></speak>',
    "day": '<speak><say-as interpret-as="date">{{ day }}</say-as></speak>',
    "count": '<speak><say-as interpret-as="cardinal">{{ count }}</say-as></speak>',
    "hour": '<speak><say-as interpret-as="time">{{ hour }}</say-as></speak>',
    "phone": '<speak><say-as interpret-as="telephone">{{ phone }}</say-as></speak>',
    "menu": '<speak><say-as interpret-as="digits">0123456789</say-as></speak>',
    "short": '<speak><say-as interpret-as="digits">7</say-as></speak>',
}
FIVE = [
    {"template": "amount", "variables": {"amount": "USD 1234.56"}},
    {"template": "day", "variables": {"day": "2026-11-22"}},
    {"template": "count", "variables": {"count": "20305"}},
    {"template": "hour", "variables": {"hour": "14:05"}},
    {"template": "phone", "variables": {"phone": "+1 202 555 0100"}},
]


def keys(**collect: object) -> list[dict[str, Any]]:
    return [{"template": "short", "collect": {"max_digits": 4, "timeout": 1, **collect}}]


ANYBODY = "+1202555016"
JOBS: dict[str, dict[str, Any]] = {
    "english": {"to": RECORDS, "items": FIVE, "plays": 1, "from": "+1202555019"},
    "mandarin": {"to": RECORDS, "items": FIVE, "plays": 1, "from": "+1202555018", "language": "zh-CN"},
    # The callee presses 4 2 # two seconds after its answer.
    "terminator": {"to": PRESSES_42, "items": keys(timeout=5, replay_on="")},
    "full": {"to": PRESSES_42, "items": keys(timeout=5, max_digits=2, terminator="")},
    "barge-in": {
        "to": PRESSES_42,
        "items": [{"template": "menu", "collect": {"max_digits": 9}}, {"template": "short"}],
    },
    "silent": {"to": SILENT, "items": keys()},
    # The callee presses 1 two seconds after its answer.
    "replay": {"to": PRESSES_1, "items": keys(timeout=3)},
    "one": {"to": PRESSES_1, "items": keys(timeout=5, max_digits=1, replay_on="")},
    "gate": {"to": PRESSES_1, "items": [{"template": "short"}], "plays": 1, "gate": {"digit": "1"}},
    "voicemail": {
        "to": RECORDS,
        "from": "+1202555017",
        "items": [{"template": "menu"}],
        "plays": 1,
        "gate": {"digit": "1", "plays": 2, "timeout": 1},
    },
}
for _job in JOBS.values():
    _job.setdefault("from", ANYBODY)
COLLECTED: dict[str, list[tuple[int, str, bool]]] = {
    "terminator": [(1, "42", True)],
    "full": [(1, "42", True)],
    "barge-in": [(1, "42", True)],
    "silent": [(1, "", False)],
    "replay": [(1, "", False)],
    "one": [(1, "1", True)],
}


@dataclasses.dataclass(frozen=True)
class Round:
    """Every notice called at once on one backend."""

    house: House
    backend: Backend
    lab: LabInfo | None
    jobs: dict[str, str]
    mark: str

    def said(self, name: str) -> list[tuple[str, ...]]:
        """The sounds of each of a job's prompts."""
        library = load_library([packaged_root()], template_dirs=[self.house.folder / "templates"])
        job = read_job(json.dumps({"kind": "notice", **JOBS[name]}))
        return list(prompts_of(job, Voices(library, "en"), []).script.plays)

    def sound(self, sound: str) -> bytes:
        """A sound as `heard` holds it."""
        path = packaged_root() / sound
        if self.backend.esl:
            return read_wav(path.with_suffix(".wav"))
        coded = path.with_suffix(".ulaw").read_bytes()
        return coded if self.lab else decode_ulaw(coded)

    def heard(self, name: str) -> bytes:
        """What the callee heard: each packet as it came to a real one, a virtual one's samples."""
        if self.lab is not None:
            caller = f"{JOBS[name]['from']}{self.mark}"
            return whole_recordings(self.lab, [caller], JOBS[name]["to"])[caller]
        assert self.backend.virtual is not None
        return self.backend.virtual.heard(self.told(name, "call.hangup")[-1]["call_id"])

    def told(self, name: str, kind: str) -> list[Event]:
        """The `data` of a job's notifications of one type."""
        events = self.house.receiver.of(self.jobs[name])
        return [event["data"] for event in events if event["type"] == kind]


@pytest.fixture(scope="module")
def rounds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Round]]:
    """All backends at the same time: a notice takes as long as it takes to say it."""
    with contextlib.ExitStack() as stack:
        begun = {}
        for n, name in enumerate(NAMES):
            folder: Path = tmp_path_factory.mktemp(name)
            with contextlib.suppress(pytest.skip.Exception):  # no real Asterisk here; the others go on
                begun[name] = _begin(stack, request, name, folder, str(n))
        for each in begun.values():
            each.house.wait_ended(list(each.jobs.values()), 90)
        yield begun


def _begin(
    stack: contextlib.ExitStack, request: pytest.FixtureRequest, name: str, folder: Path, mark: str
) -> Round:
    labs: list[LabInfo] = []

    def lab() -> LabInfo:
        labs.append(request.getfixturevalue("lab"))
        return labs[-1]

    (folder / "templates").mkdir()
    for template, text in TEMPLATES.items():
        (folder / "templates" / f"{template}.ssml").write_text(text)
    # The caller ID tells one recording from another.
    jobs = {job: {**fields, "from": f"{fields['from']}{mark}"} for job, fields in JOBS.items()}
    shown = sorted({str(job["from"]) for job in jobs.values()})
    backend = stack.enter_context(opened(name, lab, folder))
    house = stack.enter_context(worker_on(backend, folder, caller_ids=shown))
    ids = house.submit([{"kind": "notice", **job} for job in jobs.values()])
    return Round(house, backend, labs[-1] if labs else None, dict(zip(jobs, ids, strict=True)), mark)


@pytest.fixture(params=NAMES)
def called(request: pytest.FixtureRequest, rounds: dict[str, Round]) -> Round:
    """The round on one backend."""
    if request.param not in rounds:
        pytest.skip("no real Asterisk here")
    return rounds[request.param]


@pytest.mark.parametrize("name", [name for name in JOBS if name != "voicemail"])
def test_a_notice_that_was_heard_is_completed(called: Round, name: str) -> None:
    end = called.told(name, "job.ended")[-1]
    assert (end["outcome"], end["kind"]) == ("completed", "notice"), end["reason"]
    assert called.told(name, "call.hangup")[-1]["plays_completed"] == 1


@pytest.mark.parametrize("name", COLLECTED)
def test_the_keys_are_told_as_they_were_pressed(called: Round, name: str) -> None:
    digits = called.told(name, "call.digits")
    assert [(each["item"], each["digits"], each["complete"]) for each in digits] == COLLECTED[name]
    record = next(each for each in called.house.receiver.cdrs() if each["job_id"] == called.jobs[name])
    assert record["digits_collected"] == sum(len(digits) for _, digits, _ in COLLECTED[name])


def test_a_key_that_is_asked_for_interrupts_the_prompt(called: Round) -> None:
    # The menu alone lasts more than six seconds; the keys came after two.
    assert called.told("barge-in", "call.hangup")[-1]["talk_seconds"] < 6


def test_the_replay_key_has_the_item_heard_again(called: Round) -> None:
    shown = called.house.orchestrator("show", called.jobs["replay"])
    assert shown.stdout.count("the notice began") == 2, shown.stdout


def test_nobody_at_the_gate_hears_nothing_of_the_notice(called: Round) -> None:
    end = called.told("voicemail", "job.ended")[-1]
    assert (end["outcome"], called.told("voicemail", "call.digits")) == ("not_confirmed", [])
    gate, menu = called.said("voicemail")
    heard = called.heard("voicemail")
    assert not lacking(heard, [called.sound(sound) for sound in [*gate, *gate]])
    only_in_menu = [sound for sound in menu if sound not in gate and not sound.startswith("silence/")]
    assert all(heard.find(called.sound(sound)) < 0 for sound in only_in_menu)


@pytest.mark.parametrize("name", ["english", "mandarin"])
def test_five_items_are_heard_one_after_the_other_to_the_last_sound(called: Round, name: str) -> None:
    sounds = [called.sound(sound) for play in called.said(name) for sound in play]
    assert len(sounds) > 25
    assert not lacking(called.heard(name), sounds)


def lacking(heard: bytes, sounds: Sequence[bytes]) -> list[int]:
    """Which of the sounds were not heard, to the byte and in this order."""
    at, missing = 0, []
    for n, sound in enumerate(sounds):
        found = heard.find(sound, at)
        if found < 0:
            missing.append(n)
        else:
            at = found + len(sound)
    return missing
