"""The adapter against a peer on real sockets: whose events they are, what is sent, what is never said.
Tier: loopback."""

import asyncio
from random import Random

import pytest
from structlog.testing import capture_logs

from orchestrator.call.commands import Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Answered,
    Digit,
    Ended,
    HangupRequested,
    OriginateLost,
    PlayFinished,
    PlayStarted,
    Ready,
    Refused,
    Ringing,
)
from orchestrator.pbx.errors import PbxUnreachable
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.port import Dial, PlaySounds
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.fake_esl import (
    C1,
    C2,
    DIAL,
    FOLDER,
    NO_CHANNEL,
    PASSWORD,
    PLAY,
    FakeEsl,
    Seen,
    answering,
    obliging,
    park,
    running,
    serving,
    settings_for,
    settled,
)


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
        await settled(pbx)
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


async def test_events_of_channels_that_are_not_ours_are_nobodys() -> None:
    worker = Worker()
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        for name in ("CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_PARK"):
            fake.event(name, Unique_ID=C2)
            fake.event(name, Unique_ID=C2, variable_orchestrator_app="another")
        fake.event("CHANNEL_EXECUTE", Unique_ID=C2, Application="park", Answer_State="answered")
        fake.event("CHANNEL_HANGUP", Unique_ID=C2, Hangup_Cause="NORMAL_CLEARING")
        await settled(pbx)
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
