"""The table of requests under way, and their fates. Tier: unit, time given by hand."""

import pytest

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    CallEvent,
    Ended,
    Gone,
    HangupRefused,
    HangupRequested,
    OriginateLost,
    PlayRefused,
    Refused,
)
from orchestrator.pbx.errors import PbxProtocolError
from orchestrator.pbx.esl import commands
from orchestrator.pbx.esl.table import NOTHING, Full, RequestTable, unsent
from orchestrator.pbx.fit import Unfit
from orchestrator.pbx.port import Dial, PlaySounds, Request
from tests.pbx.esl.fake_esl import C1, C2, NO_CHANNEL, dump, settings_for

SETTINGS = settings_for("esl://127.0.0.1", originate_timeout=5.0, request_timeout=3.0, max_inflight=2)
DIAL = Dial(C1, "+12025550100", None, 30)
PLAY = PlaySounds(C1, "p1", ("en/digits/4",))
JOB = "+OK Job-UUID: x"
RINGS = dump(
    C1, **{"Answer-State": "ringing", "Channel-Call-State": "RINGING", "Channel-State": "CS_CONSUME_MEDIA"}
)
OVER = dump(C1, **{"Answer-State": "hangup", "Hangup-Cause": "USER_BUSY", "variable_sip_term_status": "486"})


def entered(request: Request) -> tuple[RequestTable, int]:
    """A table with this request, written."""
    table = RequestTable(SETTINGS)
    outgoing = table.submit(request, 0.0)
    assert table.leave(outgoing.id)
    return table, outgoing.id


def replied(request: Request, text: str) -> list[CallEvent]:
    table, _ = entered(request)
    return [event for _, event in table.reply(text, 1.0)[1].told]


def done(output: str) -> list[CallEvent]:
    """What an originate's job comes to."""
    table, number = entered(DIAL)
    assert table.reply(JOB, 0.1)[1] == NOTHING
    return [event for _, event in table.job(number, output, 1.0).told]


@pytest.mark.parametrize(
    ("request_", "text", "told"),
    [
        (DIAL, JOB, []),
        (DIAL, "-ERR permission denied", [Refused(403, "permission denied")]),
        (PLAY, "+OK", []),
        (PLAY, f"-ERR invalid session id [{C1}]", [PlayRefused("p1", 404, f"invalid session id [{C1}]")]),
        (Hangup(C1), "+OK\n", []),
        (Hangup(C1), NO_CHANNEL, [HangupRefused(gone=True, reason="No such channel!")]),
        (Hangup(C1), "-ERR permission denied\n", [HangupRefused(gone=False, reason="permission denied")]),
        (Ask(C1), RINGS, [Alive(ringing=True, up=False, ready=False)]),
        (Ask(C1), dump(C1), [Alive(ringing=False, up=True, ready=True)]),
        (Ask(C1), OVER, [HangupRequested(False, 17), Ended(17, 486)]),
        (Ask(C1), NO_CHANNEL, [Gone()]),
        (Ask(C1), "-ERR permission denied\n", []),
        (Ask(C1), "{", []),
        (StopPlay(C1, "p1"), "-ERR no reply\n", []),
    ],
)
def test_each_reply_has_its_fate(request_: Request, text: str, told: list[CallEvent]) -> None:
    assert replied(request_, text) == told


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (f"+OK {C1}\n", [Accepted()]),
        ("-ERR INVALID_GATEWAY\n", [Refused(404, "INVALID_GATEWAY")]),
        ("-ERR GATEWAY_DOWN\n", [Refused(503, "GATEWAY_DOWN")]),
        ("-ERR CHAN_NOT_IMPLEMENTED\n", [Refused(501, "CHAN_NOT_IMPLEMENTED")]),
        ("-ERR USER_BUSY\n", [Ended(17)]),
        ("-ERR SOMETHING_NEW\n", [Refused(400, "SOMETHING_NEW")]),
        ("-USAGE: <call url> <exten>\n", [Refused(400, "-USAGE: <call url> <exten>")]),
        ("", [Refused(400, "no reason given")]),
    ],
)
def test_the_output_of_an_originate_whose_channel_was_not_seen_is_its_fate(
    output: str, told: list[CallEvent]
) -> None:
    assert done(output) == told


@pytest.mark.parametrize("output", [f"+OK {C1}\n", "-ERR USER_BUSY\n", "-ERR DESTINATION_OUT_OF_ORDER\n"])
def test_once_its_channel_was_seen_the_output_of_an_originate_says_nothing_new(output: str) -> None:
    table, number = entered(DIAL)
    assert table.dialling() == {C1}
    table.created(C1)
    assert table.dialling() == set()
    assert table.reply(JOB, 0.1)[1] == NOTHING
    assert table.job(number, output, 1.0) == NOTHING
    assert table.expire(99.0) == NOTHING


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (dump(C1), [Accepted(), Alive(ringing=False, up=True, ready=True)]),
        (OVER, [Accepted(), HangupRequested(False, 17), Ended(17, 486)]),
        ("-ERR permission denied\n", [OriginateLost("unconfirmed")]),
    ],
)
def test_when_no_session_was_made_the_channel_is_asked_for(text: str, told: list[CallEvent]) -> None:
    table, number = entered(DIAL)
    table.reply(JOB, 0.1)
    outcome = table.job(number, "-ERR DESTINATION_OUT_OF_ORDER\n", 1.0)
    assert outcome.told == ()
    (question,) = outcome.next
    assert question.command == commands.dump(C1)
    assert table.dialling() == {C1}
    assert table.leave(question.id)
    assert [event for _, event in table.reply(text, 2.0)[1].told] == told
    assert len(table) == 0


def test_when_no_session_was_made_and_no_channel_is_there_freeswitch_is_full() -> None:
    table, number = entered(DIAL)
    table.reply(JOB, 0.1)
    (question,) = table.job(number, "-ERR DESTINATION_OUT_OF_ORDER\n", 1.0).next
    table.leave(question.id)
    ((channel, told),) = table.reply(NO_CHANNEL, 2.0)[1].told
    assert channel == C1
    assert isinstance(told, Refused)
    assert told.status == 503


def test_replies_go_to_the_commands_in_the_order_in_which_they_left() -> None:
    table = RequestTable(settings_for("esl://127.0.0.1"))
    asked, ended, played = (table.submit(each, 0.0) for each in (Ask(C1), Hangup(C2), PLAY))
    for outgoing in (played, asked, ended):
        assert table.leave(outgoing.id)
    assert table.reply("-ERR x", 1.0)[1].told == ((C1, PlayRefused("p1", 404, "x")),)
    assert table.reply(NO_CHANNEL, 1.0)[1].told == ((C1, Gone()),)
    assert table.reply(NO_CHANNEL, 1.0)[1].told == ((C2, HangupRefused(True, "No such channel!")),)


def test_a_reply_that_comes_too_late_still_takes_its_place_in_the_order() -> None:
    table = RequestTable(settings_for("esl://127.0.0.1", request_timeout=3.0))
    for outgoing in (table.submit(Hangup(C1), 0.0), table.submit(Hangup(C2), 2.0)):
        table.leave(outgoing.id)
    assert table.expire(3.0).told == ((C1, HangupRefused(False, "no answer in time")),)
    assert table.reply("+OK", 3.5)[1] == NOTHING
    assert table.reply(NO_CHANNEL, 3.6)[1].told == ((C2, HangupRefused(True, "No such channel!")),)


def test_an_answer_to_nothing_is_a_protocol_error() -> None:
    with pytest.raises(PbxProtocolError):
        RequestTable(SETTINGS).reply("+OK", 0.0)


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (DIAL, {True: OriginateLost("unconfirmed"), False: OriginateLost("not_sent")}),
        (PLAY, dict.fromkeys((True, False), PlayRefused("p1", 0, "lost"))),
        (Hangup(C1), dict.fromkeys((True, False), HangupRefused(False, "lost"))),
        (Ask(C1), {}),
        (StopPlay(C1, "p1"), {}),
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
    with pytest.raises(PbxProtocolError):  # the order began anew
        table.reply("+OK", 1.0)


def test_a_connection_lost_while_the_channel_is_asked_for_leaves_the_originate_unconfirmed() -> None:
    table, number = entered(DIAL)
    table.reply(JOB, 0.1)
    table.job(number, "-ERR DESTINATION_OUT_OF_ORDER\n", 1.0)
    assert table.lose_all("lost").told == ((C1, OriginateLost("unconfirmed")),)


def test_an_originate_without_a_channel_in_time_is_unconfirmed_though_it_was_replied_to() -> None:
    table, number = entered(DIAL)
    table.reply(JOB, 0.1)
    assert table.expire(4.9) == NOTHING
    assert table.expire(5.0).told == ((C1, OriginateLost("unconfirmed")),)
    assert table.expire(99.0) == NOTHING
    assert table.job(number, f"+OK {C1}\n", 99.0) == NOTHING


def test_a_request_past_its_deadline_in_the_queue_never_leaves() -> None:
    table = RequestTable(SETTINGS)
    outgoing = table.submit(DIAL, 0.0)
    assert table.expire(5.0).told == ((C1, OriginateLost("not_sent")),)
    assert not table.leave(outgoing.id)


def test_a_second_output_of_one_job_changes_nothing() -> None:
    table, number = entered(DIAL)
    assert table.job(number, "-ERR USER_BUSY\n", 1.0).told
    assert table.job(number, "-ERR USER_BUSY\n", 1.0) == NOTHING
    assert table.job(77, f"+OK {C1}\n", 1.0) == NOTHING


def test_a_question_without_an_answer_is_asked_again() -> None:
    table, _ = entered(Ask(C1))
    assert table.reply("-ERR permission denied\n", 1.0)[1] == NOTHING
    again = table.expire(3.0)
    assert again.told == ()
    (question,) = again.next
    assert question.command == commands.dump(C1)
    table.leave(question.id)
    assert table.reply(NO_CHANNEL, 4.0)[1].told == ((C1, Gone()),)


def test_a_full_table_takes_no_originate_but_still_a_hangup() -> None:
    table = RequestTable(SETTINGS)
    table.submit(DIAL, 0.0)
    table.submit(PLAY, 0.0)
    with pytest.raises(Full):
        table.submit(Dial(C2, "+12025550101", None, 30), 0.0)
    table.submit(Hangup(C1), 0.0)
    table.submit(Ask(C1), 0.0)
    with pytest.raises(Full):
        table.submit(Ask(C1), 0.0)
    assert len(table) == 4


def test_a_second_originate_of_one_channel_keeps_its_own_fate() -> None:
    table = RequestTable(SETTINGS)
    first, second = table.submit(DIAL, 0.0), table.submit(DIAL, 0.0)
    assert table.job(first.id, "-ERR USER_BUSY\n", 1.0).told
    assert table.dialling() == {C1}
    table.created(C1)
    assert table.job(second.id, "-ERR USER_BUSY\n", 1.0) == NOTHING


def test_an_unfit_request_is_not_entered() -> None:
    table = RequestTable(SETTINGS)
    with pytest.raises(Unfit):
        table.submit(Dial(C1, "1&2", None, 30), 0.0)
    assert len(table) == 0


def test_what_never_came_into_the_table_was_not_sent() -> None:
    assert unsent(DIAL, "why") == ((C1, OriginateLost("not_sent")),)
    assert unsent(PLAY, "why") == ((C1, PlayRefused("p1", 0, "why")),)
    assert unsent(Hangup(C1), "why") == ((C1, HangupRefused(False, "why")),)
    assert unsent(Ask(C1), "why") == ()
