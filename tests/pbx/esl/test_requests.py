"""How far each request came, with a peer on real sockets that breaks at every stage. Tier: loopback."""

import asyncio
from random import Random
from time import time
from typing import Any

import pytest
import uvloop

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    Ended,
    Gone,
    HangupRefused,
    HangupRequested,
    OriginateLost,
    PlayRefused,
    Refused,
)
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.port import PlaySounds
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.fake_esl import (
    C1,
    C2,
    DIAL,
    NO_CHANNEL,
    PLAY,
    FakeEsl,
    answering,
    dump,
    running,
    serving,
    settings_for,
)


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
        running(settings_for(fake.url, request_timeout=0.4), worker) as pbx,
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
