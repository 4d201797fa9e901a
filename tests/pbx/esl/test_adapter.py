"""The adapter against a peer on real sockets that breaks at every stage. Tier: loopback."""

import asyncio
import json
from random import Random
from time import time
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    Answered,
    Digit,
    Ended,
    Gone,
    HangupRefused,
    HangupRequested,
    OriginateLost,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    Ready,
    Refused,
    Ringing,
)
from orchestrator.pbx.errors import PbxConfigError, PbxProtocolError, PbxUnreachable
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.port import Dial, PlaySounds
from tests.pbx.ari.fake_ari import PATIENCE, Worker
from tests.pbx.esl.fake_esl import (
    APP,
    C1,
    C2,
    FOLDER,
    PASSWORD,
    FakeEsl,
    Script,
    Seen,
    dump,
    frame,
    obliging,
    running,
    serving,
    settings_for,
)

DIAL = Dial(C1, "+12025550100", "+15550100", 30)
PLAY = PlaySounds(C1, "p1", ("en/digits/4", "en/digits/2"))
NO_CHANNEL = "-ERR No such channel!\n"


def answering(**by_verb: str | None) -> Script:
    """As `obliging`, but for the commands given."""

    def script(seen: Seen) -> str | None:
        return by_verb[seen.verb] if seen.verb in by_verb else obliging(seen)

    return script


def park(fake: FakeEsl, channel: str = C1) -> None:
    """All that FreeSWITCH says of a call up to where we may play."""
    fake.event("CHANNEL_CREATE", channel)
    fake.event("CHANNEL_PROGRESS", channel)
    fake.event("CHANNEL_ANSWER", channel)
    fake.event("CHANNEL_EXECUTE", channel, Application="park", Answer_State="answered")


async def until_asked(fake: FakeEsl, pbx: EslPbx) -> None:
    """All that either side sent before now has been taken."""
    await pbx.check_sounds(())


async def test_a_call_goes_from_accepted_to_ended() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        assert pbx.connected
        pbx.send(DIAL)
        assert "sofia/lab/12025550100@127.0.0.1:5080" in (await fake.until_seen("originate")).line
        park(fake)
        await worker.event(Ready)
        pbx.send(PLAY)
        play = await fake.until_seen("sendmsg")
        assert play.header("execute-app-arg").endswith(f"!{FOLDER}/orchestrator/en/digits/2.wav")
        begun = {"Application": "playback", "Application_UUID": "p1", "Answer_State": "answered"}
        fake.event("CHANNEL_EXECUTE", C1, **begun)
        await worker.event(PlayStarted)
        fake.event("CHANNEL_EXECUTE_COMPLETE", C1, **begun, Application_Response="FILE PLAYED")
        await worker.event(PlayFinished)
        pbx.send(StopPlay(C1, "p1"))
        assert (await fake.until_seen("uuid_break")).args == f"{C1} all"
        pbx.send(Hangup(C1))
        assert (await fake.until_seen("uuid_kill")).args == C1
        fake.event("CHANNEL_HANGUP", C1, Hangup_Cause="NORMAL_CLEARING", Channel_Name="sofia/lab/x")
        fake.event("CHANNEL_DESTROY", C1, Hangup_Cause="NORMAL_CLEARING", Channel_Name="sofia/lab/x")
        await worker.event(Ended)
        await until_asked(fake, pbx)
        assert worker.events == [
            Accepted(),
            Ringing(),
            Answered(),
            Ready(),
            PlayStarted("p1"),
            PlayFinished("p1"),
            HangupRequested(True, 16),
            Ended(16),
        ]


async def test_events_are_asked_for_narrowly_at_each_connect_before_the_link_is_up() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker):
        for count in (1, 2):
            await worker.link(up=True, count=count)
            subscription = fake.lines("event")[-1]
            assert subscription.startswith("event json CHANNEL_CREATE ")
            assert "ALL" not in subscription
            filters = fake.lines("filter")[-2:]
            assert filters[0] == "filter Call-Direction outbound"
            assert filters[1].startswith("filter Job-UUID /^")
            assert (len(fake.lines("event")), len(fake.lines("filter"))) == (count, 2 * count)
            fake.drop()
            await worker.link(up=False, count=count)


async def test_a_server_that_cannot_filter_serves_with_a_warning() -> None:
    worker = Worker()
    with capture_logs() as logs:
        async with (
            serving(FakeEsl(answering(filter="-ERR invalid syntax"))) as fake,
            running(settings_for(fake.url), worker),
        ):
            await worker.link(up=True)
    assert "esl_no_event_filter" in {entry["event"] for entry in logs}


async def test_a_server_that_gives_no_events_is_a_fault_of_the_configuration() -> None:
    async with serving(FakeEsl(answering(event="-ERR permission denied"))) as fake:
        with pytest.raises(PbxConfigError, match="gives no events: permission denied"):
            await _run(fake, Worker())


async def test_a_server_that_hides_its_sounds_is_asked_for_a_full_path() -> None:
    hiding = answering(global_getvar="-ERR no")
    async with serving(FakeEsl(hiding)) as fake:
        with pytest.raises(PbxConfigError, match=r"give pbx\.sounds as a full path"):
            await _run(fake, Worker())
        worker = Worker()
        async with running(settings_for(fake.url, sounds_folder="/srv/voices"), worker) as pbx:
            await worker.link(up=True)
            pbx.send(PLAY)
            assert "file_string:///srv/voices/en/digits/4.wav!" in (await fake.until_seen("sendmsg")).text


# ── the fate of an originate ──────────────────────────────────────────────────────────────────────────


async def test_an_originate_is_accepted_as_soon_as_its_channel_is_there() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen("originate")
        assert worker.events == []
        fake.event("CHANNEL_CREATE", C1)
        await worker.event(Accepted)


async def test_an_originate_whose_channel_nobody_told_of_is_accepted_by_its_output() -> None:
    worker = Worker()
    async with (
        serving(FakeEsl(answering(originate=f"+OK {C1}\n"))) as fake,
        running(settings_for(fake.url), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        await worker.event(Accepted)


async def test_what_ended_a_channel_comes_from_the_channel_and_not_from_the_output_of_the_originate() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        seen = await fake.until_seen("originate")
        fake.event("CHANNEL_CREATE", C1)
        fake.job(seen, "-ERR USER_BUSY\n")
        fake.event("CHANNEL_HANGUP", C1, Hangup_Cause="USER_BUSY", variable_sip_term_status="486")
        await worker.event(Ended)
        assert worker.events == [Accepted(), HangupRequested(False, 17), Ended(17, 486)]


@pytest.mark.parametrize(
    ("output", "status"),
    [("-ERR INVALID_GATEWAY\n", 404), ("-ERR GATEWAY_DOWN\n", 503), ("-USAGE: <call url>\n", 400)],
)
async def test_a_refused_originate_says_why(output: str, status: int) -> None:
    worker = Worker()
    async with (
        serving(FakeEsl(answering(originate=output))) as fake,
        running(settings_for(fake.url), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        refused = await worker.event(Refused)
        assert refused.status == status
        assert refused.reason in output


async def test_a_channel_destroyed_before_it_came_to_be_leaves_the_word_to_the_originate() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        seen = await fake.until_seen("originate")
        fake.event("CHANNEL_DESTROY", C1, Channel_Name="N/A", Channel_State="CS_NONE")
        fake.job(seen, "-ERR INVALID_GATEWAY\n")
        await worker.event(Refused)
        assert worker.events == [Refused(404, "INVALID_GATEWAY")]


@pytest.mark.parametrize("lives", [True, False])
async def test_without_a_session_the_channel_is_adopted_when_it_lives_and_freeswitch_full_when_not(
    lives: bool,
) -> None:
    worker = Worker()
    script = answering(
        originate="-ERR DESTINATION_OUT_OF_ORDER\n", uuid_dump=dump(C1) if lives else NO_CHANNEL
    )
    async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        if lives:
            await worker.event(Alive)
            assert worker.events == [Accepted(), Alive(ringing=False, up=True, ready=True)]
        else:
            assert (await worker.event(Refused)).status == 503


async def test_an_originate_without_channel_or_output_in_time_is_unconfirmed() -> None:
    worker = Worker()
    async with (
        serving(FakeEsl()) as fake,
        running(settings_for(fake.url, originate_timeout=0.05), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        fake.event("CHANNEL_CREATE", C1)
        await worker.event(Accepted)


async def test_an_originate_before_the_connection_was_not_sent() -> None:
    worker = Worker()
    pbx = EslPbx(settings_for("esl://127.0.0.1:1"), worker.take, clock=time, random=Random(1))
    pbx.send(DIAL)
    pbx.send(PLAY)
    pbx.send(Hangup(C1))
    pbx.send(Ask(C1))
    assert worker.events == [
        OriginateLost("not_sent"),
        PlayRefused("p1", 0, "not connected"),
        HangupRefused(False, "not connected"),
    ]


async def test_a_connection_lost_after_the_originate_left_makes_it_unconfirmed() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen("originate")
        fake.drop(b"Content-Le")
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        await worker.link(up=False)
        await worker.link(up=True, count=2)


async def test_a_connection_lost_before_the_originate_left_makes_it_not_sent() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        connection = pbx._connection
        assert connection is not None

        async def hold() -> None:
            await asyncio.Event().wait()

        # Nothing is written any more, as when the peer's window is shut.
        connection._stream.drain = hold  # type: ignore[method-assign]
        pbx.send(Ask(C2))
        await fake.until_seen("uuid_dump")
        pbx.send(DIAL)
        fake.drop()
        assert await worker.event(OriginateLost) == OriginateLost("not_sent")
        assert fake.lines("originate") == []


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_closes_while_we_write_never_ends_the_adapter(loop: Any) -> None:
    async def main() -> None:
        worker = Worker()
        async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
            for count in range(1, 6):
                await worker.link(up=True, count=count)
                pbx.send(DIAL)
                fake.drop()
                for number in range(500):
                    pbx.send(PlaySounds(C1, f"p{number}", ("en/digits/4",) * 100))
                    if number % 50 == 0:
                        await asyncio.sleep(0)
                await worker.link(up=False, count=count)
            lost = [event for event in worker.events if isinstance(event, OriginateLost)]
            assert len(lost) == 5

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


async def test_every_request_has_a_deadline() -> None:
    worker = Worker()
    silent = answering(uuid_kill=None, sendmsg=None, uuid_dump=None)
    async with (
        serving(FakeEsl(silent)) as fake,
        running(settings_for(fake.url, request_timeout=0.05), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(Hangup(C1))
        pbx.send(PLAY)
        pbx.send(Ask(C1))
        await worker.event(HangupRefused)
        await worker.event(PlayRefused)
        await fake.until_seen("uuid_dump", 3)  # a question is asked again
        assert worker.events == [
            HangupRefused(False, "no answer in time"),
            PlayRefused("p1", 0, "no answer in time"),
        ]


async def test_a_channel_that_is_gone_says_so_whatever_was_asked_of_it() -> None:
    worker = Worker()
    script = answering(
        uuid_kill=NO_CHANNEL, sendmsg=f"-ERR invalid session id [{C1}]", uuid_break="-ERR No such channel!\n"
    )
    async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        for request in (PLAY, StopPlay(C1, "p1"), Hangup(C1), Ask(C1)):
            pbx.send(request)
        await worker.event(Gone)
        assert worker.events == [
            PlayRefused("p1", 404, f"invalid session id [{C1}]"),
            HangupRefused(gone=True, reason="No such channel!"),
            Gone(),
        ]


# ── whose events they are ─────────────────────────────────────────────────────────────────────────────


async def test_events_of_channels_that_are_not_ours_are_nobodys() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        for name in ("CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_PARK"):
            fake.event(name, Unique_ID=C2)
            fake.event(name, Unique_ID=C2, variable_orchestrator_app="another")
        fake.event("CHANNEL_EXECUTE", Unique_ID=C2, Application="park", Answer_State="answered")
        fake.event("CHANNEL_HANGUP", Unique_ID=C2, Hangup_Cause="NORMAL_CLEARING")
        await until_asked(fake, pbx)
        assert worker.events == []


async def test_a_channel_of_ours_that_shows_life_unasked_is_told() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        fake.event("CHANNEL_ANSWER", C2)
        await worker.event(Answered)


async def test_keys_come_without_our_mark_and_are_told_of_calls_that_we_dialled() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen("originate")
        fake.event("DTMF", Unique_ID=C2, DTMF_Digit="9")
        fake.event("DTMF", Unique_ID=C1, DTMF_Digit="4")
        assert await worker.event(Digit) == Digit("4")


async def test_an_output_of_another_clients_job_is_nobodys() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        job = (await fake.until_seen("originate")).header("Job-UUID")
        for other in ("", "x" * 36, "00000000" + job[8:], job[:8] + "-0000-4000-8000-zzzzzzzzzzzz"):
            fake.event("BACKGROUND_JOB", Job_UUID=other, _body="-ERR INVALID_GATEWAY\n")
        fake.event("BACKGROUND_JOB", Job_UUID=job, _body="-ERR GATEWAY_DOWN\n")
        assert (await worker.event(Refused)).reason == "GATEWAY_DOWN"


# ── what is played ────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_played_is_taken_out_of_the_channel_as_soon_as_it_has_begun() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(PLAY)
        await fake.until_seen("sendmsg")
        assert fake.lines("uuid_setvar") == []
        fake.event("CHANNEL_EXECUTE", C1, Application="playback", Application_UUID="p1")
        await fake.until_seen("uuid_setvar")
        assert fake.lines("uuid_setvar") == [f"api uuid_setvar {C1} current_application_data"]


async def test_the_end_of_an_abandoned_call_is_put_off_while_we_play_to_it() -> None:
    worker = Worker()
    async with (
        serving(FakeEsl()) as fake,
        running(settings_for(fake.url, abandoned_after=1e-6), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(PLAY)  # nothing to put off yet
        await fake.until_seen("sendmsg")
        assert fake.lines("sched_del") == []
        park(fake)
        await worker.event(Ready)
        pbx.send(PLAY)
        await fake.until_seen("sched_hangup")
        assert fake.lines("sched_del") == [f"api sched_del {C1}"]
        assert fake.lines("sched_hangup") == [f"api sched_hangup +1 {C1} ALLOTTED_TIMEOUT"]


async def test_how_long_an_answered_call_waited_for_its_play_is_measured() -> None:
    worker, waited = Worker(), list[float]()
    async with serving(FakeEsl()) as fake:
        ticks = iter(range(1000))
        pbx = EslPbx(
            settings_for(fake.url),
            worker.take,
            clock=lambda: float(next(ticks)),
            random=Random(1),
            reacted=waited.append,
        )
        task = asyncio.create_task(pbx.run())
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen("originate")
        park(fake)
        await worker.event(Ready)
        pbx.send(PLAY)
        await fake.until_seen("sendmsg")
        assert waited == [1.0]
        task.cancel()
        await asyncio.wait([task])


# ── connecting ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_password_is_a_fault_of_the_configuration() -> None:
    async with serving(FakeEsl(password="another")) as fake:
        with pytest.raises(PbxConfigError, match="wrong ESL password") as fault:
            await _run(fake, Worker())
    assert PASSWORD not in str(fault.value)


async def test_an_address_that_may_not_connect_is_a_fault_of_the_configuration() -> None:
    rude = frame("text/rude-rejection", b"Access Denied, go away.\n")
    async with serving(FakeEsl(greeting=rude)) as fake:
        with pytest.raises(PbxConfigError, match="apply-inbound-acl"):
            await _run(fake, Worker())


async def test_what_greets_in_another_way_is_no_event_socket() -> None:
    async with serving(FakeEsl(greeting=b"Content-Type: text/plain\n\n")) as fake:
        with pytest.raises(PbxConfigError, match=r"correct pbx\.url"):
            await _run(fake, Worker())


async def test_a_peer_that_is_no_esl_at_all_is_tried_again() -> None:
    worker = Worker()
    fake = FakeEsl(greeting=b"SSH-2.0-OpenSSH_9.2\r\n\n\n")
    async with serving(fake), running(settings_for(fake.url), worker):
        down = await worker.link(up=False)
        assert "no header" in down.reason
        fake.greeting = b"Content-Type: auth/request\n\n"
        await worker.link(up=True)


async def test_a_peer_that_says_nothing_is_given_up_in_time() -> None:
    worker = Worker()
    fake = FakeEsl(greeting=b"", silent=True)
    async with serving(fake), running(settings_for(fake.url, request_timeout=0.05), worker):
        down = await worker.link(up=False)
        assert "no event socket answers" in down.reason


async def test_a_password_changed_later_is_an_error_to_wait_out() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        fake.password = "another"
        with capture_logs() as logs:
            fake.drop()
            await worker.until(lambda: "password" in worker.links[-1].reason)
        assert "error" in {entry["log_level"] for entry in logs}
        fake.password = PASSWORD
        await worker.link(up=True, count=2)


async def test_why_the_link_is_down_is_told_once_for_each_reason() -> None:
    worker = Worker()
    fake = FakeEsl(greeting=b"garbage\n\n")
    async with serving(fake), running(settings_for(fake.url), worker):
        await worker.link(up=False)
        await fake.until_connections(5)
        assert len(worker.links) == 1


async def test_a_peer_that_is_not_there_is_connected_to_when_it_comes() -> None:
    worker = Worker()
    fake = FakeEsl()
    async with serving(fake):
        pass
    async with running(settings_for(fake.url), worker):
        down = await worker.link(up=False)
        assert "Connection refused" in down.reason
        async with serving(fake):
            await worker.link(up=True)


async def test_a_notice_that_freeswitch_goes_ends_the_connection() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        fake.send(frame("text/disconnect-notice", b"The system is being shut down.\n"))
        assert "closed the connection" in (await worker.link(up=False)).reason
        await worker.link(up=True, count=2)


async def test_a_broken_frame_ends_the_connection_and_nothing_else() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen("originate")
        fake.send(b"Content-Length: 99999999999\n\n")
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        await worker.link(up=True, count=2)


async def test_an_answer_to_nothing_ends_the_connection() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        fake.reply("+OK")
        assert "not asked" in (await worker.link(up=False)).reason
        await worker.link(up=True, count=2)


async def test_a_silent_network_is_noticed_by_an_unanswered_ping() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url, ping_interval=0.05), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen("originate")
        fake.silent = True
        assert "no answer to a ping" in (await worker.link(up=False)).reason
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        assert "api status" in fake.lines("status")
        fake.silent = False
        await worker.link(up=True, count=2)


async def test_a_peer_that_does_not_read_is_noticed_though_we_cannot_write() -> None:
    worker = Worker()
    async with (
        serving(FakeEsl()) as fake,
        running(settings_for(fake.url, ping_interval=0.1, max_inflight=100_000), worker) as pbx,
    ):
        await worker.link(up=True)
        fake.unread = True
        pbx.send(Ask(C1))
        await fake.until_seen("uuid_dump")
        sounds = ("en/digits/4",) * 100
        for number in range(2000):
            pbx.send(PlaySounds(C1, f"p{number}", sounds))
        assert "no answer to a ping" in (await worker.link(up=False)).reason
        gone, *refused = worker.events
        assert gone == Gone()  # what it had begun to read
        assert len(refused) == 2000
        assert all(isinstance(event, PlayRefused) for event in refused)


async def test_pings_that_are_answered_keep_an_idle_connection() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url, ping_interval=0.02), worker):
        await worker.link(up=True)
        await fake.until_seen("status", 3)
        assert len(worker.links) == 1


# ── reconciliation ────────────────────────────────────────────────────────────────────────────────────


async def test_reconciliation_tells_the_living_the_ended_and_the_gone_and_hangs_up_strays() -> None:
    dumps = {
        "alive": dump("alive"),
        "rings": dump("rings", **{"Answer-State": "ringing", "Channel-Call-State": "RINGING"}),
        "over": dump("over", **{"Answer-State": "hangup", "Hangup-Cause": "NORMAL_CLEARING"}),
    }
    rows = [
        {"uuid": "alive", "direction": "outbound"},
        {"uuid": "stray", "direction": "outbound"},
        {"uuid": "foreign", "direction": "outbound"},
        {"uuid": "caller", "direction": "inbound"},
    ]

    def script(seen: Seen) -> str | None:
        match seen.verb:
            case "uuid_dump":
                return dumps.get(seen.args.split(" ")[0], NO_CHANNEL)
            case "uuid_getvar":
                return APP if seen.args.startswith("stray ") else "_undef_"
            case "show":
                return json.dumps({"row_count": len(rows), "rows": rows})
            case _:
                return obliging(seen)

    worker = Worker()
    async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        await pbx.reconcile(["alive", "rings", "over", "gone"])
        assert worker.events == [
            Alive(ringing=False, up=True, ready=True),
            Alive(ringing=True, up=False, ready=False),
            HangupRequested(False, 16),
            Ended(16),
            Gone(),
        ]
        assert (await fake.until_seen("uuid_kill")).args == "stray"
        # Whoever lives is not given up as abandoned yet, whatever the former worker did.
        assert fake.lines("sched_hangup") == ["api sched_hangup +600 alive ALLOTTED_TIMEOUT"]
        assert not any("caller" in line for line in fake.lines("uuid_getvar"))


async def test_a_call_dialled_during_reconciliation_is_no_stray_and_not_gone() -> None:
    pbxs: list[EslPbx] = []

    def script(seen: Seen) -> str | None:
        if seen.verb == "show":
            pbxs[0].send(DIAL)
            return json.dumps({"rows": [{"uuid": C1, "direction": "outbound"}]})
        return APP if seen.verb == "uuid_getvar" else obliging(seen)

    worker = Worker()
    async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        pbxs.append(pbx)
        await worker.link(up=True)
        await pbx.reconcile([])
        await fake.until_seen("originate")
        await pbx.reconcile([C1])  # it is not answered for yet, and the dump does not know it
        await until_asked(fake, pbx)
        assert fake.lines("uuid_kill") == []
        assert worker.events == []


async def test_a_thousand_channels_are_asked_for_in_turns() -> None:
    worker = Worker()
    channels = [f"c-{number}" for number in range(1000)]
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        await pbx.reconcile(channels)
        assert [each.channel for each in worker.told[1:] if hasattr(each, "channel")] == channels
        assert set(worker.events) == {Gone()}


@pytest.mark.parametrize(
    ("verb", "answer", "fault"),
    [
        ("uuid_dump", "-ERR permission denied\n", PbxUnreachable),
        ("show", "-ERR no\n", PbxProtocolError),
        ("show", None, PbxUnreachable),
    ],
)
async def test_reconciliation_that_cannot_be_done_says_so_and_tells_nothing(
    verb: str, answer: str | None, fault: type[Exception]
) -> None:
    worker = Worker()
    async with (
        serving(FakeEsl(answering(**{verb: answer}))) as fake,
        running(settings_for(fake.url, request_timeout=0.2), worker) as pbx,
    ):
        with pytest.raises(PbxUnreachable, match="not connected"):
            await pbx.reconcile([C1])
        await worker.link(up=True)
        with pytest.raises(fault):
            await pbx.reconcile([C1])
        assert worker.events == []


async def test_a_connection_lost_during_reconciliation_ends_it() -> None:
    worker = Worker()
    async with (
        serving(FakeEsl(answering(uuid_dump=None))) as fake,
        running(settings_for(fake.url), worker) as pbx,
    ):
        await worker.link(up=True)
        asking = asyncio.create_task(pbx.reconcile([C1, C2]))
        await fake.until_seen("uuid_dump", 2)
        fake.drop()
        with pytest.raises(PbxUnreachable, match="connection was lost"):
            await asking


# ── sounds ────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_sound_is_asked_for_as_freeswitch_would_open_it() -> None:
    def script(seen: Seen) -> str | None:
        if seen.verb == "file_exists":
            return "false" if seen.args.endswith("/5.wav") else "true"
        return obliging(seen)

    worker = Worker()
    async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        check = await pbx.check_sounds(["en/digits/4", "en/digits/5"])
        assert (check.missing, check.checked) == (("en/digits/5",), 2)
        assert fake.lines("file_exists")[0] == f"api file_exists {FOLDER}/orchestrator/en/digits/4.wav"


@pytest.mark.parametrize(
    ("verb", "answer", "told"),
    [
        ("module_exists", "false", "mod_sndfile"),
        ("file_exists", "-ERR file_exists Command not found!\n", "does not say"),
    ],
)
async def test_sounds_that_cannot_be_checked_or_played_say_why(verb: str, answer: str, told: str) -> None:
    worker = Worker()
    async with (
        serving(FakeEsl(answering(**{verb: answer}))) as fake,
        running(settings_for(fake.url), worker) as pbx,
    ):
        await worker.link(up=True)
        with pytest.raises(PbxUnreachable, match=told):
            await pbx.check_sounds(["en/digits/4"])


# ── what is not sent, and what is not said ────────────────────────────────────────────────────────────


async def test_an_unfit_number_never_reaches_the_peer() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(Dial(C2, "+1555}sofia/x/5", None, 30))
        pbx.send(PlaySounds(C1, "p1", ("../x",)))
        pbx.send(DIAL)
        await fake.until_seen("originate")
        refused = await worker.event(Refused)
        assert refused.status == 400
        assert "sofia" not in refused.reason
        assert len(fake.lines("originate")) == 1
        assert fake.lines("sendmsg") == []


async def test_more_originates_than_allowed_under_way_are_not_sent() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url, max_inflight=1), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(Dial(C2, "+12025550101", None, 30))
        assert worker.events == [OriginateLost("not_sent")]
        pbx.send(Hangup(C2))
        await fake.until_seen("uuid_kill")


async def test_stopping_tells_the_fate_of_what_was_under_way() -> None:
    worker = Worker()
    before = asyncio.all_tasks()
    async with serving(FakeEsl()) as fake:
        async with running(settings_for(fake.url), worker) as pbx:
            await worker.link(up=True)
            pbx.send(DIAL)
            await fake.until_seen("originate")
        assert worker.events == [OriginateLost("unconfirmed")]
        assert [link.up for link in worker.links] == [True, False]
        assert not pbx.connected
    assert asyncio.all_tasks() == before


async def test_neither_password_nor_sounds_nor_number_is_ever_logged() -> None:
    worker = Worker()
    script = answering(originate="-ERR INVALID_GATEWAY\n", sendmsg="-ERR memory error", uuid_kill=NO_CHANNEL)
    with capture_logs() as logs:
        async with serving(FakeEsl(script)) as fake, running(settings_for(fake.url), worker) as pbx:
            await worker.link(up=True)
            for request in (DIAL, PLAY, PlaySounds(C1, "p2", ("../digits/7",)), Hangup(C1)):
                pbx.send(request)
            await worker.until(lambda: len(worker.events) == 4)
            fake.send(b"en/digits/9.wav\n\n")
            await worker.link(up=False)
    assert logs
    for secret in (PASSWORD, "digits", "2025550100"):
        assert secret not in repr(logs) + repr(worker.told)


async def _run(fake: FakeEsl, worker: Worker) -> Any:
    """The adapter alone, until it gives up."""
    async with asyncio.timeout(PATIENCE):
        await EslPbx(settings_for(fake.url), worker.take, clock=time, random=Random(1)).run()
