"""The table of requests under way, and their fates. Tier: unit, time given by hand."""

import pytest

from orchestrator.call.commands import Ask, Hangup, Ringback, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    CallEvent,
    Gone,
    HangupRefused,
    OriginateLost,
    PlayRefused,
    PlayStarted,
    Refused,
)
from orchestrator.pbx.ari.fates import Answer
from orchestrator.pbx.ari.rest import NOTHING, Full, RequestTable, unsent
from orchestrator.pbx.fit import Unfit
from orchestrator.pbx.port import Dial, PlaySounds, Request
from tests.pbx.ari.fake_ari import settings_for

SETTINGS = settings_for("http://127.0.0.1/ari", originate_timeout=5.0, request_timeout=3.0, max_inflight=2)
DIAL = Dial("c1", "+12025550100", None, 30)
PLAY = PlaySounds("c1", "p1", ("en/digits/4",))
RINGING = '{"id":"c1","state":"Ringing","dialplan":{"app_name":"AppDial2","app_data":""}}'


def _answered(request: Request, status: int, reason: str = "R", body: str = "") -> list[CallEvent]:
    table = RequestTable(SETTINGS)
    outgoing = table.submit(request, 0.0)
    assert table.leave(outgoing.id)
    return [event for _, event in table.answer(outgoing.id, Answer(status, reason, body), 1.0).told]


@pytest.mark.parametrize(
    ("request_", "status", "body", "told"),
    [
        (DIAL, 200, "", [Accepted()]),
        (DIAL, 500, '{"error":"Allocation failed"}', [Refused(500, "R: Allocation failed")]),
        (DIAL, 403, "", [Refused(403, "R")]),
        (DIAL, 503, "", [Refused(503, "R")]),
        (DIAL, 502, "", [OriginateLost("unconfirmed")]),
        (DIAL, 504, "", [OriginateLost("unconfirmed")]),
        (PLAY, 201, "", [PlayStarted("p1")]),
        (PLAY, 404, '{"message":"sound:en/digits/4"}', [PlayRefused("p1", 404, "R")]),
        (Hangup("c1"), 204, "", []),
        (Hangup("c1"), 404, "", [HangupRefused(gone=True, reason="R")]),
        (Hangup("c1"), 500, "", [HangupRefused(gone=False, reason="R")]),
        (Ask("c1"), 200, RINGING, [Alive(ringing=True, up=False, ready=False)]),
        (Ask("c1"), 404, "", [Gone()]),
        (Ask("c1"), 500, "", []),
        (StopPlay("c1", "p1"), 204, "", []),
        (StopPlay("c1", "p1"), 404, "", []),
    ],
)
def test_each_answer_has_its_fate(request_: Request, status: int, body: str, told: list[CallEvent]) -> None:
    assert _answered(request_, status, body=body) == told


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, RINGING, [Accepted(), Alive(ringing=True, up=False, ready=False)]),
        (404, "", [OriginateLost("unconfirmed")]),
        (500, "", [OriginateLost("unconfirmed")]),
    ],
)
def test_a_conflict_is_believed_only_when_the_channel_is_there(
    status: int, body: str, told: list[CallEvent]
) -> None:
    table = RequestTable(SETTINGS)
    first = table.submit(DIAL, 0.0)
    conflict = table.answer(first.id, Answer(409, "Conflict"), 1.0)
    assert conflict.told == ()
    (question,) = conflict.next
    assert (question.call.method, question.call.path) == ("GET", "channels/c1")
    assert table.dialling() == {"c1"}
    assert [e for _, e in table.answer(question.id, Answer(status, "R", body), 2.0).told] == told
    assert len(table) == 0


def test_the_question_after_a_conflict_lost_leaves_the_originate_unconfirmed() -> None:
    table = RequestTable(SETTINGS)
    table.answer(table.submit(DIAL, 0.0).id, Answer(409, "Conflict"), 1.0)
    assert table.lose_all("lost").told == (("c1", OriginateLost("unconfirmed")),)


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (DIAL, {True: OriginateLost("unconfirmed"), False: OriginateLost("not_sent")}),
        (PLAY, dict.fromkeys((True, False), PlayRefused("p1", 0, "lost"))),
        (Hangup("c1"), dict.fromkeys((True, False), HangupRefused(False, "lost"))),
        (Ask("c1"), {}),
        (StopPlay("c1", "p1"), {}),
    ],
)
def test_a_lost_connection_tells_how_far_each_request_came(
    request_: Request, told: dict[bool, CallEvent], sent: bool
) -> None:
    table = RequestTable(SETTINGS)
    outgoing = table.submit(request_, 0.0)
    if sent:
        table.leave(outgoing.id)
    assert [e for _, e in table.lose_all("lost").told] == ([told[sent]] if told else [])
    assert len(table) == 0


def test_a_deadline_ends_a_request_once_and_not_before() -> None:
    table = RequestTable(SETTINGS)
    outgoing = table.submit(DIAL, 10.0)
    table.leave(outgoing.id)
    assert table.expire(14.9) == NOTHING
    assert table.expire(15.0).told == (("c1", OriginateLost("unconfirmed")),)
    assert table.expire(99.0) == NOTHING
    assert table.answer(outgoing.id, Answer(200, "OK"), 99.0) == NOTHING


def test_a_request_past_its_deadline_in_the_queue_never_leaves() -> None:
    table = RequestTable(SETTINGS)
    outgoing = table.submit(DIAL, 0.0)
    assert table.expire(5.0).told == (("c1", OriginateLost("not_sent")),)
    assert not table.leave(outgoing.id)


def test_a_second_answer_changes_nothing() -> None:
    table = RequestTable(SETTINGS)
    outgoing = table.submit(DIAL, 0.0)
    assert table.answer(outgoing.id, Answer(200, "OK"), 1.0).told
    assert table.answer(outgoing.id, Answer(500, "No"), 1.0) == NOTHING


def test_a_question_without_an_answer_is_asked_again() -> None:
    table = RequestTable(SETTINGS)
    first = table.submit(Ask("c1"), 0.0)
    table.answer(first.id, Answer(500, "R"), 1.0)
    again = table.expire(3.0)
    assert again.told == ()
    (question,) = again.next
    assert question.call == first.call
    assert [e for _, e in table.answer(question.id, Answer(404, "R"), 4.0).told] == [Gone()]


STOP = StopPlay("c1", "p1")


@pytest.mark.parametrize("play", [PLAY, Ringback("c1", "p1")])
def test_what_stops_a_playback_that_is_only_just_asked_for_leaves_after_its_answer(play: Request) -> None:
    table = RequestTable(SETTINGS)
    asked = table.submit(play, 0.0)
    assert table.hold(STOP)
    assert not table.hold(StopPlay("c1", "p2"))
    assert table.leave(asked.id)
    after = table.answer(asked.id, Answer(201, "Created"), 1.0)
    assert [event for _, event in after.told] == [PlayStarted("p1")]
    assert [str(each.call) for each in after.next] == ["RestCall(DELETE playbacks/p1)"]
    assert not table.hold(STOP)


def test_a_stop_is_asked_for_on_the_next_connection_when_nobody_knows_whether_its_playback_began() -> None:
    table = RequestTable(SETTINGS)
    assert table.leave(table.submit(PLAY, 0.0).id)
    assert table.hold(STOP)
    table.lose_all("gone")
    assert [str(each.call) for each in table.resumed(5.0).next] == ["RestCall(DELETE playbacks/p1)"]


def test_nothing_stops_a_playback_that_never_left() -> None:
    table = RequestTable(SETTINGS)
    table.submit(PLAY, 0.0)
    assert table.hold(STOP)
    table.lose_all("gone")
    assert len(table) == 0


def test_a_full_table_takes_no_originate_but_still_a_hangup() -> None:
    table = RequestTable(SETTINGS)
    table.submit(DIAL, 0.0)
    table.submit(PLAY, 0.0)
    with pytest.raises(Full):
        table.submit(Dial("c2", "+12025550101", None, 30), 0.0)
    table.submit(Hangup("c1"), 0.0)
    table.submit(Ask("c1"), 0.0)
    with pytest.raises(Full):
        table.submit(Ask("c1"), 0.0)
    assert len(table) == 4


def test_an_unfit_request_is_not_entered() -> None:
    table = RequestTable(SETTINGS)
    with pytest.raises(Unfit):
        table.submit(Dial("c1", "1&2", None, 30), 0.0)
    assert len(table) == 0


def test_what_never_came_into_the_table_was_not_sent() -> None:
    assert unsent(DIAL, "why") == (("c1", OriginateLost("not_sent")),)
    assert unsent(PLAY, "why") == (("c1", PlayRefused("p1", 0, "why")),)
    assert unsent(Hangup("c1"), "why") == (("c1", HangupRefused(False, "why")),)
    assert unsent(Ask("c1"), "why") == ()


def test_an_answer_never_shows_its_body() -> None:
    assert "digits" not in repr(Answer(200, "OK", "sound:en/digits/4"))
