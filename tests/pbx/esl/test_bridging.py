"""Two legs: connected, played to, recorded, parted. The tables alone, and the adapter against a peer on real
sockets. Tier: unit and loopback."""

import pytest

from orchestrator.call.commands import (
    Bridge,
    DropBridge,
    Record,
    Ringback,
    StopPlay,
    StopRecording,
)
from orchestrator.call.events import (
    Alive,
    Bridged,
    BridgeRefused,
    CallEvent,
    Ended,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    RecordingFinished,
    RecordingStarted,
)
from orchestrator.pbx.esl import commands
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.esl.commands import build, renew
from orchestrator.pbx.esl.events import Event
from orchestrator.pbx.esl.table import NOTHING, RequestTable, unsent
from orchestrator.pbx.esl.translate import found, translate
from orchestrator.pbx.esl.watch import Watch
from orchestrator.pbx.fit import Unfit
from orchestrator.pbx.port import Dial, PlaySounds, Request
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.fake_esl import (
    C1,
    C2,
    DIAL,
    FOLDER,
    FakeEsl,
    Seen,
    dump,
    obliging,
    park,
    running,
    serving,
    settings_for,
    settled,
)

SETTINGS = settings_for("esl://127.0.0.1", recordings_folder="/srv/rec")
BRIDGE = Bridge(C1, C2)
RECORD = Record(C1, "job-1", 3600)
BOTH = PlaySounds(C1, "p1", ("en/a",), both=True)


# ── what goes onto the wire ──


def test_a_ringing_tone_is_played_until_it_is_stopped() -> None:
    assert build(Ringback(C1, "ring"), SETTINGS, FOLDER).text == (
        f"sendmsg {C1}\n"
        "call-command: execute\n"
        "execute-app-name: playback\n"
        "execute-app-arg: tone_stream://%(2000,4000,440,480);loops=-1\n"
        "event-lock: true\n"
        "Event-UUID: ring"
    )


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (BRIDGE, f"api uuid_getvar {C1} bridge_to"),
        (DropBridge(C1), f"api uuid_park {C1}"),
        (RECORD, f"api uuid_record {C1} start /srv/rec/job-1.wav 3600"),
        (StopRecording(C1, "job-1"), f"api uuid_record {C1} stop /srv/rec/job-1.wav"),
    ],
)
def test_each_request_of_two_legs_has_its_command(request_: Request, text: str) -> None:
    assert build(request_, SETTINGS, FOLDER).text == text


def test_a_bridge_is_prepared_so_that_whoever_is_left_is_parked_and_ended_in_time() -> None:
    variables = (
        "park_after_bridge=true;hangup_after_bridge=false;uuid_bridge_park_on_cancel=true;park_timeout=600;"
        "RECORD_STEREO=false;record_sample_rate=8000;RECORD_BRIDGE_REQ=true;RECORD_MIN_SEC=0"
    )
    assert [each.text for each in commands.bridging(C1, C2, SETTINGS)] == [
        f"api uuid_setvar_multi {C1} {variables}",
        f"api uuid_setvar_multi {C2} {variables}",
        f"api sched_del {C1}",
        f"api sched_hangup +14700 {C1} ALLOTTED_TIMEOUT",
        f"api sched_del {C2}",
        f"api sched_hangup +14700 {C2} ALLOTTED_TIMEOUT",
        f"api uuid_bridge {C1} {C2}",
    ]


@pytest.mark.parametrize("id_", ["", "a b", "a\n\napi x", "a/b", "../a", "a;b=1", "x" * 200])
def test_an_id_that_could_be_something_else_never_leaves(id_: str) -> None:
    table = RequestTable(SETTINGS)
    for request in (
        Bridge(id_, C2),
        Bridge(C1, id_),
        DropBridge(id_),
        Record(id_, "r", 1),
        Record(C1, id_, 1),
        StopRecording(C1, id_),
        Ringback(C1, id_),
    ):
        with pytest.raises(Unfit):
            table.submit(request, 0.0)
    assert len(table) == 0


# ── what the answers mean ──


def replied(request: Request, text: str) -> list[CallEvent]:
    table = RequestTable(SETTINGS)
    table.leave(table.submit(request, 0.0).id)
    return [event for _, event in table.reply(text, 1.0)[1].told]


@pytest.mark.parametrize(
    ("request_", "text", "told"),
    [
        (BRIDGE, C2, [Bridged()]),
        (BRIDGE, f"{C2}\n", [Bridged()]),
        (BRIDGE, "-ERR No such channel!\n", [BridgeRefused(404, "No such channel!")]),
        (RECORD, "+OK Success\n", [RecordingStarted("job-1")]),
        (
            RECORD,
            "-ERR Cannot record session!\n",
            [RecordingFinished("job-1", ok=False, reason="Cannot record session!")],
        ),
        (DropBridge(C1), "-ERR No such channel!\n", []),
        (Ringback(C1, "ring"), "+OK", []),
        (Ringback(C1, "ring"), "-ERR invalid session id", [PlayRefused("ring", 404, "invalid session id")]),
    ],
)
def test_each_reply_has_its_fate(request_: Request, text: str, told: list[CallEvent]) -> None:
    assert replied(request_, text) == told


@pytest.mark.parametrize("found_", ["_undef_", "", "another-channel"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (f"+OK {C2}\n", []),
        ("-ERR Invalid uuid\n", [BridgeRefused(404, "Invalid uuid")]),
        ("-ERR permission denied\n", [BridgeRefused(409, "permission denied")]),
    ],
)
def test_two_that_are_not_bridged_to_each_other_are(found_: str, answer: str, told: list[CallEvent]) -> None:
    table = RequestTable(SETTINGS)
    table.leave(table.submit(BRIDGE, 0.0).id)
    outcome = table.reply(found_, 1.0)[1]
    assert [each.command for each in outcome.next] == list(commands.bridging(C1, C2, SETTINGS))
    for each in outcome.next:
        table.leave(each.id)
    for _ in outcome.next[:-1]:
        assert table.reply("+OK\n", 1.0)[1] == NOTHING
    assert [event for _, event in table.reply(answer, 1.0)[1].told] == told
    assert len(table) == 0


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (BRIDGE, [BridgeRefused(0, "lost")]),
        (RECORD, [RecordingFinished("job-1", ok=False, reason="lost")]),
        (Ringback(C1, "ring"), [PlayRefused("ring", 0, "lost")]),
        (StopRecording(C1, "job-1"), []),
        (DropBridge(C1), []),
    ],
)
def test_a_lost_request_is_told(request_: Request, told: list[CallEvent]) -> None:
    table = RequestTable(SETTINGS)
    table.submit(request_, 0.0)
    assert [event for _, event in table.lose_all("lost").told] == told
    assert [event for _, event in unsent(request_, "lost")] == told


def test_a_recording_whose_answer_is_lost_may_run_and_is_not_told_as_none() -> None:
    table = RequestTable(SETTINGS)
    table.leave(table.submit(RECORD, 0.0).id)
    assert table.lose_all("lost").told == ()


def test_a_bridge_lost_on_its_way_is_told() -> None:
    table = RequestTable(SETTINGS)
    table.leave(table.submit(BRIDGE, 0.0).id)
    table.reply("_undef_", 1.0)
    assert table.lose_all("lost").told == ((C1, BridgeRefused(0, "lost")),)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("true", RecordingFinished("job-1")),
        ("false", RecordingFinished("job-1", ok=False, reason="FreeSWITCH has none")),
    ],
)
def test_a_recording_that_does_not_run_is_over_if_its_file_is_there(there: str, told: CallEvent) -> None:
    table = RequestTable(SETTINGS)
    table.leave(table.submit(StopRecording(C1, "job-1"), 0.0).id)
    (question,) = table.reply("-ERR Cannot stop record session!\n", 1.0)[1].next
    assert question.command.text == "api file_exists /srv/rec/job-1.wav"
    table.leave(question.id)
    assert table.reply(there, 1.0)[1].told == ((C1, told),)


# ── what the events mean ──


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Event("CHANNEL_BRIDGE", C1, bridge_a=C1, bridge_b=C2), [Bridged()]),
        (Event("CHANNEL_UNBRIDGE", C1, bridge_a=C1, bridge_b=C2), []),
        (Event("CHANNEL_EXECUTE", C1, application="uuid_bridge"), []),
        (Event("RECORD_STOP", C1, record_path="/srv/rec/r.wav"), [RecordingFinished("r")]),
        (
            Event("RECORD_STOP", C1, record_path="/srv/rec/r.wav", record_cause="no-input-timeout"),
            [RecordingFinished("r")],
        ),
        (
            Event("RECORD_STOP", C1, record_path="/srv/rec/r.wav", record_cause="uri-failure"),
            [RecordingFinished("r", ok=False, reason="FreeSWITCH says uri-failure")],
        ),
        (Event("RECORD_STOP", C1, record_path="/srv/rec/r.raw"), []),
        (Event("CHANNEL_EXECUTE", C2, application="playback", application_uuid="both:p1"), []),
        (Event("CHANNEL_EXECUTE_COMPLETE", C2, application="playback", application_uuid="both:p1"), []),
    ],
)
def test_each_event_has_its_meaning(event: Event, told: list[CallEvent]) -> None:
    assert list(translate(event)) == told


@pytest.mark.parametrize(
    "state", ["CS_SOFT_EXECUTE", "CS_EXCHANGE_MEDIA", "CS_PARK", "CS_HIBERNATE", "CS_RESET"]
)
def test_a_leg_in_a_bridge_or_parked_after_one_is_ours_to_play_to(state: str) -> None:
    event = Event("CHANNEL_DATA", C1, answer_state="answered", call_state="ACTIVE", state=state)
    assert found(event) == (Alive(ringing=False, up=True, ready=True),)


# ── FreeSWITCH's own end of a channel ──


def test_a_bridge_has_its_end_put_off_already_and_what_is_left_of_it_the_short_time_again() -> None:
    watch = Watch(SETTINGS)
    for channel in (C1, C2):
        watch.answered(channel, 0.0)
    assert watch.played(C1, 300.0) == ()
    assert watch.played(C1, 301.0) == renew(C1, 600.0)
    watch.asked(C1, C2)
    assert watch.partner(C1) == ""
    watch.bridged(C1)
    assert (watch.partner(C1), watch.partner(C2)) == (C2, C1)
    assert watch.played(C1, 5000.0) == watch.renewed(C2, 5000.0) == ()
    assert watch.gone(C2, 6000.0) == renew(C1, 600.0)
    assert watch.partner(C1) == ""
    assert watch.parted(C1, 6000.0) == ()  # FreeSWITCH tells of it after the hang-up
    assert watch.played(C1, 6301.0) == renew(C1, 600.0)


def test_a_bridge_that_is_dropped_leaves_both_the_short_time() -> None:
    watch = Watch(SETTINGS)
    watch.bridged(C1, C2)
    assert watch.parted(C1, 1.0) == (*renew(C1, 600.0), *renew(C2, 600.0))
    assert watch.gone(C1, 2.0) == ()


# ── the adapter ──


async def connected(fake: FakeEsl, worker: Worker, pbx: EslPbx) -> None:
    """Both legs answered, parked, and bridged."""
    await worker.link(up=True)
    pbx.send(DIAL)
    pbx.send(Dial(C2, "+12025550101", None, 30))
    await fake.until_seen("originate", 2)
    park(fake, C1)
    park(fake, C2)
    pbx.send(BRIDGE)
    await fake.until_seen("uuid_bridge")
    fake.event("CHANNEL_BRIDGE", C1, Bridge_A_Unique_ID=C1, Bridge_B_Unique_ID=C2)
    await worker.event(Bridged)


async def test_two_legs_are_bridged_played_to_recorded_and_parted() -> None:
    worker = Worker()
    settings = {"recordings_folder": "/srv/rec"}
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url, **settings), worker) as pbx:
        await connected(fake, worker, pbx)
        pbx.send(BOTH)
        plays = [await fake.until_seen("sendmsg", count) for count in (1, 2)]
        assert [play.line for play in plays] == [f"sendmsg {C1}", f"sendmsg {C2}"]
        assert [play.header("Event-UUID") for play in plays] == ["p1", "both:p1"]
        for channel, id_ in ((C1, "p1"), (C2, "both:p1")):
            begun = {"Application": "playback", "Application_UUID": id_, "Answer_State": "answered"}
            fake.event("CHANNEL_EXECUTE", channel, **begun)
            fake.event("CHANNEL_EXECUTE_COMPLETE", channel, **begun, Application_Response="FILE PLAYED")
        await worker.event(PlayFinished)
        # What was said to the other side is taken out of its variables as well.
        await fake.until_seen("uuid_setvar", 2)
        pbx.send(StopPlay(C1, "p1"))
        assert [(await fake.until_seen("uuid_break", count)).args for count in (1, 2)] == [
            f"{C1} all",
            f"{C2} all",
        ]
        pbx.send(RECORD)
        await worker.event(RecordingStarted)
        fake.event("RECORD_STOP", C1, Record_File_Path="/elsewhere/job-1.wav")
        fake.event("RECORD_STOP", C1, Record_File_Path="/srv/rec/job-1.wav")
        assert await worker.event(RecordingFinished) == RecordingFinished("job-1")
        pbx.send(DropBridge(C1))
        assert (await fake.until_seen("uuid_park")).args == C1
        assert fake.lines("uuid_record") == [f"api uuid_record {C1} start /srv/rec/job-1.wav 3600"]
        fake.event("CHANNEL_UNBRIDGE", C1, Bridge_A_Unique_ID=C1, Bridge_B_Unique_ID=C2)
        assert (await fake.until_seen("uuid_record", 2)).args == f"{C1} stop all"
        await settled(pbx)
        ours = [e for e in worker.events if isinstance(e, PlayStarted | PlayFinished | RecordingFinished)]
        assert ours == [PlayStarted("p1"), PlayFinished("p1"), RecordingFinished("job-1")]


async def test_without_a_bridge_nothing_is_played_to_both_nor_recorded_nor_dropped() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(BOTH)
        pbx.send(RECORD)
        pbx.send(DropBridge(C1))
        pbx.send(StopPlay(C1, "p1"))
        await settled(pbx)
        assert worker.events == [
            PlayRefused("p1", 409, "the channel is in no bridge"),
            RecordingFinished("job-1", ok=False, reason="the channel is in no bridge"),
        ]
        for verb in ("sendmsg", "uuid_park", "uuid_record"):
            assert fake.lines(verb) == []
        assert fake.lines("uuid_break") == [f"api uuid_break {C1} all"]


async def test_the_end_of_a_conversation_is_far_and_of_who_is_left_near() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await connected(fake, worker, pbx)
        await settled(pbx)
        assert fake.lines("sched_hangup") == [
            f"api sched_hangup +14700 {channel} ALLOTTED_TIMEOUT" for channel in (C1, C2)
        ]
        fake.event("CHANNEL_HANGUP", C2, Hangup_Cause="NORMAL_CLEARING", Channel_Name="sofia/lab/x")
        await worker.event(Ended)
        await fake.until_seen("sched_hangup", 3)
        assert fake.lines("sched_hangup")[2:] == [f"api sched_hangup +600 {C1} ALLOTTED_TIMEOUT"]
        pbx.send(DropBridge(C1))  # it went with the leg
        await settled(pbx)
        assert fake.lines("uuid_park") == []


async def test_a_new_worker_finds_two_that_talk_and_leaves_their_end_far() -> None:
    worker = Worker()
    dumps = {
        C1: dump(C1, **{"Channel-State": "CS_SOFT_EXECUTE", "variable_bridge_to": C2}),
        C2: dump(C2, **{"Channel-State": "CS_EXCHANGE_MEDIA", "variable_bridge_to": C1}),
        "parked": dump("parked", **{"Channel-State": "CS_PARK"}),
    }

    def script(seen: Seen) -> str | None:
        if seen.verb == "uuid_dump":
            return dumps[seen.args.split(" ")[0]]
        return C2 if seen.args == f"{C1} bridge_to" else obliging(seen)

    async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        await pbx.reconcile(list(dumps))
        assert worker.events == [Alive(ringing=False, up=True, ready=True)] * 3
        await settled(pbx)
        assert fake.lines("sched_hangup") == ["api sched_hangup +600 parked ALLOTTED_TIMEOUT"]
        pbx.send(BRIDGE)  # it stands: nothing is changed
        await worker.event(Bridged)
        assert fake.lines("uuid_bridge") == []
        pbx.send(BOTH)
        await fake.until_seen("sendmsg", 2)
