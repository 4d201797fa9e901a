"""What Asterisk's answers mean to a bridge and a recording. Tier: unit, time given by hand."""

import json

import pytest

from orchestrator.call.commands import Bridge, DropBridge, Record, Ringback, StopRecording
from orchestrator.call.events import (
    Bridged,
    BridgeRefused,
    CallEvent,
    PlayRefused,
    PlayStarted,
    RecordingFinished,
    RecordingStarted,
)
from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.rest import NOTHING, Outcome, RequestTable, unsent
from orchestrator.pbx.port import Request
from tests.pbx.ari.fake_ari import settings_for

SETTINGS = settings_for("http://127.0.0.1/ari", originate_timeout=5.0, request_timeout=3.0)
BRIDGE = Bridge("c1", "c2")
RECORD = Record("c1", "r1", 60)
STOP = StopRecording("c1", "r1")
NONE_LEFT = RecordingFinished("r1", ok=False, reason="the PBX has none")


class Talk:
    """A request, and one answer after another to what it leads to."""

    def __init__(self, request: Request) -> None:
        self.table = RequestTable(SETTINGS)
        self.outcome = Outcome(next=(self.table.submit(request, 0.0),))

    @property
    def asked(self) -> str:
        """What is asked now."""
        (outgoing,) = self.outcome.next
        return f"{outgoing.call.method} {outgoing.call.path}"

    @property
    def told(self) -> list[CallEvent]:
        assert all(channel == "c1" for channel, _ in self.outcome.told)
        return [event for _, event in self.outcome.told]

    def answer(self, status: int, *inside: str) -> "Talk":
        (outgoing,) = self.outcome.next
        assert self.table.leave(outgoing.id)
        body = json.dumps({"id": "bridge-c1", "channels": inside})
        self.outcome = self.table.answer(outgoing.id, Answer(status, "R", body), 1.0)
        return self

    def lose(self, *, sent: bool = True) -> "Talk":
        """The connection goes; what is left to be asked on the next one."""
        if sent:
            self.table.leave(self.outcome.next[0].id)
        told = self.table.lose_all("lost").told
        self.outcome = Outcome(told, self.table.resumed(2.0).next)
        return self


def test_a_new_bridge_is_entered_by_both_and_never_over_the_websocket() -> None:
    talk = Talk(BRIDGE).answer(200)
    assert talk.asked == "POST bridges/bridge-c1/addChannel"
    (entering,) = talk.outcome.next
    assert json.loads(entering.call.body) == {"channel": ["c1", "c2"]}
    assert entering.call.waits
    assert talk.answer(204).told == [Bridged()]
    assert len(talk.table) == 0


@pytest.mark.parametrize(
    ("inside", "missing"), [((), ["c1", "c2"]), (("c2",), ["c1"]), (("c1", "somebody"), ["c2"])]
)
def test_into_a_bridge_that_stands_only_who_is_missing_enters(
    inside: tuple[str, ...], missing: list[str]
) -> None:
    talk = Talk(BRIDGE).answer(409)
    assert talk.asked == "GET bridges/bridge-c1"
    assert json.loads(talk.answer(200, *inside).outcome.next[0].call.body) == {"channel": missing}


def test_a_bridge_in_which_both_are_is_bridged_and_stays_as_it_is() -> None:
    talk = Talk(BRIDGE).answer(409).answer(200, "c2", "c1")
    assert talk.told == [Bridged()]
    assert talk.outcome.next == ()


@pytest.mark.parametrize("answers", [[500], [409, 404], [200, 400], [200, 422], [409, 500]])
def test_a_bridge_that_asterisk_does_not_make_is_refused_with_its_status(answers: list[int]) -> None:
    talk = Talk(BRIDGE)
    for status in answers:
        talk.answer(status)
    assert talk.told == [BridgeRefused(answers[-1], "R")]
    assert len(talk.table) == 0


def test_a_bridge_whose_answer_was_lost_is_asked_for_on_the_next_connection() -> None:
    talk = Talk(BRIDGE).lose()
    assert (talk.told, talk.asked) == ([], "GET bridges/bridge-c1")
    talk.answer(200).lose()
    assert (talk.told, talk.asked) == ([], "GET bridges/bridge-c1")
    assert talk.lose().answer(200, "c1", "c2").told == [Bridged()]


def test_who_has_not_entered_after_a_lost_answer_is_not_asked_to_again() -> None:
    talk = Talk(BRIDGE).answer(200).lose().answer(200, "c1")
    assert talk.told == [BridgeRefused(0, "they did not enter the bridge in time")]
    assert len(talk.table) == 0


def test_one_that_waits_too_long_to_enter_is_asked_after() -> None:
    talk = Talk(BRIDGE).answer(200)
    talk.table.leave(talk.outcome.next[0].id)
    talk.outcome = talk.table.expire(4.0)
    assert (talk.told, talk.asked) == ([], "GET bridges/bridge-c1")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (BRIDGE, [BridgeRefused(0, "lost")]),
        (RECORD, [RecordingFinished("r1", ok=False, reason="lost")]),
        (Ringback("c1", "p1"), [PlayRefused("p1", 0, "lost")]),
        (STOP, []),
        (DropBridge("c1"), []),
    ],
)
def test_what_never_left_is_told_at_once(request_: Request, told: list[CallEvent]) -> None:
    talk = Talk(request_).lose(sent=False)
    assert (talk.told, talk.outcome.next) == (told, ())
    assert unsent(request_, "lost") == tuple(("c1", event) for event in told)


def test_a_recording_that_begins_tells_of_itself() -> None:
    talk = Talk(RECORD).answer(201)
    assert talk.outcome == NOTHING
    assert len(talk.table) == 0


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([500], RecordingFinished("r1", ok=False, reason="R")),
        ([409, 200], RecordingStarted("r1")),
        ([409, 404, 200], RecordingFinished("r1")),
        ([409, 404, 404], NONE_LEFT),
    ],
)
def test_a_recording_asked_for_again_is_told_as_it_stands(answers: list[int], told: CallEvent) -> None:
    talk = Talk(RECORD)
    for status in answers:
        talk.answer(status)
    assert talk.told == [told]
    assert len(talk.table) == 0


def test_a_recording_whose_answer_was_lost_is_asked_after_on_the_next_connection() -> None:
    talk = Talk(RECORD).lose()
    assert (talk.told, talk.asked) == ([], "GET recordings/live/r1")
    assert talk.lose(sent=False).answer(404).asked == "GET recordings/stored/r1"
    assert talk.lose().answer(200).told == [RecordingFinished("r1")]


def test_a_question_that_asterisk_cannot_answer_now_is_asked_again() -> None:
    talk = Talk(RECORD).answer(409).answer(503)
    assert talk.outcome == NOTHING
    talk.outcome = talk.table.expire(5.0)
    assert talk.asked == "GET recordings/live/r1"


@pytest.mark.parametrize(
    ("answers", "told"),
    [([204], []), ([500], []), ([404, 200], [RecordingFinished("r1")]), ([404, 404], [NONE_LEFT])],
)
def test_a_recording_that_is_over_when_it_is_stopped_tells_whether_there_is_one(
    answers: list[int], told: list[CallEvent]
) -> None:
    talk = Talk(STOP)
    for status in answers:
        talk.answer(status)
    assert talk.told == told
    assert len(talk.table) == 0


@pytest.mark.parametrize(("status", "told"), [(201, PlayStarted("p1")), (404, PlayRefused("p1", 404, "R"))])
def test_ringback_is_told_as_any_playback(status: int, told: CallEvent) -> None:
    assert Talk(Ringback("c1", "p1")).answer(status).told == [told]


@pytest.mark.parametrize("status", [204, 404, 500])
def test_nothing_tells_of_a_bridge_taken_away(status: int) -> None:
    assert Talk(DropBridge("c1")).answer(status).outcome == NOTHING
