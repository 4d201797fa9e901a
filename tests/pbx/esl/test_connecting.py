"""Connecting, staying connected and connecting again, with a peer on real sockets. Tier: loopback."""

import pytest
from structlog.testing import capture_logs

from orchestrator.call.commands import Ask
from orchestrator.call.events import (
    Gone,
    OriginateLost,
    PlayRefused,
)
from orchestrator.pbx.errors import PbxConfigError
from orchestrator.pbx.port import PlaySounds
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.fake_esl import (
    C1,
    DIAL,
    PASSWORD,
    PLAY,
    FakeEsl,
    answering,
    frame,
    given_up,
    running,
    serving,
    settings_for,
)


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
            await given_up(fake, Worker())


async def test_a_server_that_hides_its_sounds_is_asked_for_a_full_path() -> None:
    hiding = answering(global_getvar="-ERR no")
    async with serving(FakeEsl(hiding)) as fake:
        with pytest.raises(PbxConfigError, match=r"give pbx\.sounds as a full path"):
            await given_up(fake, Worker())
        worker = Worker()
        async with running(settings_for(fake.url, sounds_folder="/srv/voices"), worker) as pbx:
            await worker.link(up=True)
            pbx.send(PLAY)
            assert "file_string:///srv/voices/en/digits/4.wav!" in (await fake.until_seen("sendmsg")).text


async def test_a_wrong_password_is_a_fault_of_the_configuration() -> None:
    async with serving(FakeEsl(password="another")) as fake:
        with pytest.raises(PbxConfigError, match="wrong ESL password") as fault:
            await given_up(fake, Worker())
    assert PASSWORD not in str(fault.value)


async def test_an_address_that_may_not_connect_is_a_fault_of_the_configuration() -> None:
    rude = frame("text/rude-rejection", b"Access Denied, go away.\n")
    async with serving(FakeEsl(greeting=rude)) as fake:
        with pytest.raises(PbxConfigError, match="apply-inbound-acl"):
            await given_up(fake, Worker())


async def test_what_greets_in_another_way_is_no_event_socket() -> None:
    async with serving(FakeEsl(greeting=b"Content-Type: text/plain\n\n")) as fake:
        with pytest.raises(PbxConfigError, match=r"correct pbx\.url"):
            await given_up(fake, Worker())


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
    async with serving(fake), running(settings_for(fake.url, request_timeout=0.4), worker):
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
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url, ping_interval=0.3), worker) as pbx:
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
        running(settings_for(fake.url, ping_interval=0.3, max_inflight=100_000), worker) as pbx,
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
    async with serving(FakeEsl()) as fake, running(settings_for(fake.url, ping_interval=0.3), worker):
        await worker.link(up=True)
        await fake.until_seen("status", 3)
        assert len(worker.links) == 1
