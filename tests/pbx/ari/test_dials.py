"""Originates have a WebSocket of their own, and what must not overtake them goes behind them."""

from orchestrator.call.commands import Ask, Hangup
from orchestrator.call.events import Accepted, Gone, HangupRefused, OriginateLost
from orchestrator.pbx.port import Dial, PlaySounds
from tests.pbx.ari.fake_ari import FakeAri, Reply, Seen, Worker, obliging, running, serving, settings_for

DIAL = Dial("c1", "+12025550100", None, 30)


def never_dials(seen: Seen) -> Reply | None:
    """Answers everything but originates."""
    if (seen.method, seen.path) == ("POST", "channels/c1"):
        return None
    return obliging(seen)


async def test_a_play_does_not_go_behind_an_originate() -> None:
    worker = Worker()
    async with serving(FakeAri(never_dials)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(PlaySounds("c0", "p0", ("en/digits/1",)))
        assert (await fake.until_seen(lambda seen: "play" in seen.path)).via == "websocket"
        assert (await fake.until_seen(lambda seen: seen.path == "channels/c1")).via == "dials"


async def test_a_hangup_goes_behind_its_originate_until_that_is_answered() -> None:
    worker = Worker()
    async with serving(FakeAri(never_dials)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(Hangup("c1"))
        pbx.send(Hangup("c0"))
        hangup = await fake.until_seen(lambda seen: (seen.method, seen.path) == ("DELETE", "channels/c1"))
        other = await fake.until_seen(lambda seen: (seen.method, seen.path) == ("DELETE", "channels/c0"))
        assert (hangup.via, other.via) == ("dials", "websocket")
        fake.script = obliging
        pbx.send(Dial("c2", "+12025550101", None, 30))
        await worker.event(Accepted)
        pbx.send(Hangup("c2"))
        later = await fake.until_seen(lambda seen: (seen.method, seen.path) == ("DELETE", "channels/c2"))
        assert later.via == "websocket"


async def test_a_question_goes_behind_an_originate_that_was_given_up() -> None:
    # Asterisk may come to it yet: asked elsewhere, it would say that there is no such channel.
    worker = Worker()
    settings = {"originate_timeout": 0.05, "request_timeout": 5}
    async with (
        serving(FakeAri(never_dials)) as fake,
        running(settings_for(fake.url, **settings), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")
        pbx.send(Ask("c1"))
        await worker.event(Gone)
        asked = await fake.until_seen(lambda seen: (seen.method, seen.path) == ("GET", "channels/c1"))
        assert asked.via == "dials"


async def test_an_end_of_the_originates_socket_ends_the_connection() -> None:
    worker = Worker()
    async with serving(FakeAri(never_dials)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen(lambda seen: seen.path == "channels/c1")
        transport = fake.dials[0][0].transport
        assert transport is not None
        transport.close()
        await worker.link(up=False)
        assert worker.events == [OriginateLost("unconfirmed")]
        await worker.link(up=True, count=2)
        assert len(fake.dials) == 2
        pbx.send(Hangup("c1"))  # nothing is left of the originate that it could go behind
        hangup = await fake.until_seen(lambda seen: (seen.method, seen.path) == ("DELETE", "channels/c1"))
        assert hangup.via == "websocket"
        assert not [event for event in worker.events if isinstance(event, HangupRefused)]


async def test_a_silent_socket_of_originates_is_noticed_by_pings() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url, ping_interval=0.1), worker):
        await worker.link(up=True)
        fake.deaf_dials = True
        link = await worker.link(up=False)
        assert "no answer to a ping" in link.reason
