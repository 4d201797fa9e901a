"""The adapter against a peer on real sockets that breaks at every stage. Tier: loopback."""

import asyncio
import json
from random import Random
from time import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator.call.commands import Ask, Bridge, Hangup, StopPlay
from orchestrator.call.events import (
    Accepted,
    Alive,
    Bridged,
    BridgeRefused,
    Ended,
    Gone,
    HangupRefused,
    OriginateLost,
    PlayFinished,
    PlayRefused,
    PlayStarted,
    Ready,
    Refused,
)
from orchestrator.pbx.ari.adapter import AriPbx
from orchestrator.pbx.ari.wire import EVENT_TYPES
from orchestrator.pbx.errors import PbxConfigError, PbxUnreachable, RecordingNotFound
from orchestrator.pbx.port import Dial, PlaySounds
from tests.pbx.ari.fake_ari import (
    PASSWORD,
    PATIENCE,
    FakeAri,
    Reply,
    Seen,
    Worker,
    authorization,
    obliging,
    running,
    serving,
    settings_for,
)

DIAL = Dial("c1", "+12025550100", "+15550100", 30)
PLAY = PlaySounds("c1", "p1", ("en/digits/4", "en/digits/2"))
BOTH = pytest.mark.parametrize("transport", ["websocket", "http"])


def _originate(seen: Seen) -> bool:
    return seen.method == "POST" and seen.path == "channels/c1"


def answering(**by_path: Reply | None) -> Any:
    """As `obliging`, but for the paths given (with `__` for `/`)."""
    replies = {path.replace("__", "/"): reply for path, reply in by_path.items()}

    def script(seen: Seen) -> Reply | None:
        return replies[seen.path] if seen.path in replies else obliging(seen)

    return script


@BOTH
async def test_a_call_goes_from_accepted_to_ended(transport: str) -> None:
    worker = Worker()
    async with (
        serving(FakeAri()) as fake,
        running(settings_for(fake.url, transport=transport), worker) as pbx,
    ):
        await worker.link(up=True)
        assert pbx.connected
        pbx.send(DIAL)
        await worker.event(Accepted)
        seen = await fake.until_seen(_originate)
        assert seen.via == ("dials" if transport == "websocket" else "http")
        assert json.loads(seen.body)["endpoint"] == "PJSIP/12025550100@lab"
        await fake.event("StasisStart", channel={"id": "c1"})
        await worker.event(Ready)
        pbx.send(PLAY)
        play = await fake.until_seen(lambda seen: seen.path == "channels/c1/play/p1")
        assert json.loads(play.body)["media"][1] == "sound:orchestrator/en/digits/2"
        await worker.event(PlayStarted)
        await fake.event(
            "PlaybackFinished", playback={"id": "p1", "target_uri": "channel:c1", "state": "done"}
        )
        await worker.event(PlayFinished)
        pbx.send(StopPlay("c1", "p1"))
        await fake.until_seen(lambda seen: (seen.method, seen.path) == ("DELETE", "playbacks/p1"))
        pbx.send(Hangup("c1"))
        await fake.until_seen(lambda seen: (seen.method, seen.path) == ("DELETE", "channels/c1"))
        await fake.event("ChannelDestroyed", channel={"id": "c1"}, cause=16)
        await worker.event(Ended)
        assert worker.events == [Accepted(), Ready(), PlayStarted("p1"), PlayFinished("p1"), Ended(16)]


async def test_the_event_filter_is_set_at_each_connect_before_the_link_is_up() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker):
        for count in (1, 2):
            await worker.link(up=True, count=count)
            filters = [seen for seen in fake.seen if seen.path == "applications/orchestrator/eventFilter"]
            assert len(filters) == count
            assert {each["type"] for each in json.loads(filters[-1].body)["allowed"]} == set(EVENT_TYPES)
            fake.drop()
            await worker.link(up=False, count=count)


async def test_the_password_travels_in_a_header_and_never_in_a_url() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        (handshake,) = fake.handshakes
        assert handshake.headers["Authorization"] == authorization()
        assert handshake.query_string == "app=orchestrator&subscribeAll=false"


@pytest.mark.parametrize(("over_websocket", "via"), [(True, "dials"), (False, "http")])
async def test_the_adapter_finds_out_how_requests_travel(over_websocket: bool, via: str) -> None:
    worker = Worker()
    fake = FakeAri(rest_over_websocket=over_websocket)
    async with (
        serving(fake),
        running(settings_for(fake.url, transport="auto", probe_timeout=0.2), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        await worker.event(Accepted)
        assert (await fake.until_seen(_originate)).via == via


@BOTH
async def test_a_refused_originate_says_status_and_reason(transport: str) -> None:
    worker = Worker()
    refusing = answering(channels__c1=Reply(500, "Internal Server Error", '{"error":"Allocation failed"}'))
    async with (
        serving(FakeAri(refusing)) as fake,
        running(settings_for(fake.url, transport=transport), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        assert await worker.event(Refused) == Refused(500, "Internal Server Error: Allocation failed")


@BOTH
@pytest.mark.parametrize("lives", [True, False])
async def test_a_conflict_is_adopted_when_the_channel_lives_and_unconfirmed_when_not(
    transport: str, lives: bool
) -> None:
    def script(seen: Seen) -> Reply | None:
        if _originate(seen):
            return Reply(409, "Conflict", '{"message":"Channel with given unique ID already exists"}')
        if lives and seen.path == "channels/c1":
            return Reply(200, "OK", '{"id":"c1","state":"Ringing"}')
        return obliging(seen)

    worker = Worker()
    async with (
        serving(FakeAri(script)) as fake,
        running(settings_for(fake.url, transport=transport), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        if lives:
            await worker.event(Alive)
            assert worker.events == [Accepted(), Alive(ringing=True, up=False, ready=False)]
        else:
            assert await worker.event(OriginateLost) == OriginateLost("unconfirmed")


@BOTH
async def test_play_hangup_and_question_have_their_refusals(transport: str) -> None:
    script = answering(
        channels__c1=Reply(404, "Not Found", '{"message":"Channel not found"}'),
        channels__c1__play__p1=Reply(404, "Not Found", '{"message":"Channel not found"}'),
    )
    worker = Worker()
    async with (
        serving(FakeAri(script)) as fake,
        running(settings_for(fake.url, transport=transport), worker) as pbx,
    ):
        await worker.link(up=True)
        for request in (PLAY, Hangup("c1"), Ask("c1")):
            pbx.send(request)
        await worker.until(lambda: len(worker.events) == 3)
        assert set(worker.events) == {
            PlayRefused("p1", 404, "Not Found"),
            HangupRefused(gone=True, reason="Not Found: Channel not found"),
            Gone(),
        }


async def test_while_not_connected_each_request_is_told_off_at_once() -> None:
    worker = Worker()
    async with running(settings_for("http://127.0.0.1:9/ari"), worker) as pbx:
        assert not pbx.connected
        for request in (DIAL, PLAY, Hangup("c1"), Ask("c1")):
            pbx.send(request)
        assert worker.events == [
            OriginateLost("not_sent"),
            PlayRefused("p1", 0, "not connected"),
            HangupRefused(gone=False, reason="not connected"),
        ]


@BOTH
async def test_a_drop_after_the_frame_and_before_its_answer_leaves_it_unconfirmed(transport: str) -> None:
    worker = Worker()
    async with (
        serving(FakeAri(answering(channels__c1=None))) as fake,
        running(settings_for(fake.url, transport=transport), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen(_originate)
        fake.drop()
        await worker.link(up=False)
        assert worker.events == [OriginateLost("unconfirmed")]
        await worker.link(up=True, count=2)


async def test_a_drop_in_the_middle_of_a_frame_leaves_the_request_unconfirmed() -> None:
    worker = Worker()
    async with (
        serving(FakeAri(answering(channels__c1=None))) as fake,
        running(settings_for(fake.url), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        await fake.until_seen(_originate)
        fake.drop(partial=b'\x81\x7e\x01\x00{"type":"RESTResp')
        await worker.link(up=False)
        assert worker.events == [OriginateLost("unconfirmed")]


async def test_a_request_still_waiting_for_a_connection_of_the_pool_was_not_sent() -> None:
    worker = Worker()
    async with (
        serving(FakeAri(answering(channels__c1=None))) as fake,
        running(settings_for(fake.url, transport="http", http_connections=1), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(Dial("c2", "+12025550101", None, 30))
        await fake.until_seen(_originate)
        fake.drop()
        await worker.link(up=False)
        assert worker.events == [OriginateLost("unconfirmed"), OriginateLost("not_sent")]
        assert not any(seen.path == "channels/c2" for seen in fake.seen)


async def test_a_request_behind_a_full_socket_was_not_sent() -> None:
    worker = Worker()
    big = tuple("en/digits/4" for _ in range(30_000))
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        fake.stop_reading()
        for number in range(40):  # about 40 MB, more than loopback buffers hold
            pbx.send(PlaySounds("c0", f"p{number}", big))
        pbx.send(Hangup("c1"))
        await asyncio.sleep(0)
        fake.drop()
        await worker.event(HangupRefused)
        assert not any(seen.path == "channels/c1" for seen in fake.seen)


@BOTH
async def test_an_answer_that_never_comes_ends_at_the_deadline(transport: str) -> None:
    worker = Worker()
    script = answering(channels__c1=None, channels__c1__play__p1=None)
    async with (
        serving(FakeAri(script)) as fake,
        running(
            settings_for(fake.url, transport=transport, originate_timeout=0.1, request_timeout=0.1), worker
        ) as pbx,
    ):
        await worker.link(up=True)
        for request in (DIAL, PLAY, Hangup("c1")):
            pbx.send(request)
        await worker.until(lambda: len(worker.events) == 3)
        assert OriginateLost("unconfirmed") in worker.events
        assert {type(event) for event in worker.events} == {OriginateLost, PlayRefused, HangupRefused}
        assert worker.links[-1].up


async def test_an_answer_given_twice_is_told_once() -> None:
    worker = Worker()
    twice = answering(channels__c1=Reply(200, "OK", times=3))
    async with serving(FakeAri(twice)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(PlaySounds("c9", "p9", ("en/x",)))
        await fake.until_seen(lambda seen: seen.path == "channels/c9/play/p9")
        await fake.event("ChannelDestroyed", channel={"id": "c1"}, cause=16)
        await worker.event(Ended)
        assert worker.events == [Accepted(), PlayStarted("p9"), Ended(16)]


async def test_a_silent_peer_is_noticed_by_pings() -> None:
    worker = Worker()
    fake = FakeAri(deaf=True)
    async with serving(fake), running(settings_for(fake.url, ping_interval=0.1), worker):
        await worker.link(up=True)
        assert "ping" in (await worker.link(up=False)).reason
        fake.deaf = False
        await worker.link(up=True, count=2)


async def test_a_quiet_peer_that_answers_pings_is_kept() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url, ping_interval=0.02), worker):
        await worker.link(up=True)
        await fake.until_pings(5)
        assert [link.up for link in worker.links] == [True]


async def test_a_ping_of_the_peer_is_answered_with_its_own_words() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url, request_timeout=0.5), worker):
        await worker.link(up=True)
        assert await fake.ping(b"marco") == b"marco"


async def test_a_peer_that_closes_is_connected_to_again() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        await fake.close()
        assert "closed" in (await worker.link(up=False)).reason
        await worker.link(up=True, count=2)


@pytest.mark.parametrize("frame", ["nonsense", "[]", '{"type":"Dial"}', "{"])
async def test_a_peer_that_breaks_the_protocol_is_left_and_connected_to_again(frame: str) -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        await fake.text(frame)
        assert "Asterisk sent" in (await worker.link(up=False)).reason
        await worker.link(up=True, count=2)


@pytest.mark.parametrize(
    ("status", "mend"), [(401, "password"), (403, "ari.conf"), (404, "/ari"), (400, "app")]
)
async def test_a_fault_that_waiting_does_not_mend_ends_the_first_connect(status: int, mend: str) -> None:
    worker = Worker()
    fake = FakeAri(refuse_with=status)
    async with serving(fake):
        with pytest.raises(PbxConfigError, match=mend) as caught:
            await _run(fake, worker)
    assert PASSWORD not in str(caught.value)
    assert not any(link.up for link in worker.links)


async def test_a_user_that_may_only_read_is_refused_with_the_mend() -> None:
    worker = Worker()
    script = answering(applications__orchestrator__eventFilter=Reply(403, "Forbidden"))
    async with serving(FakeAri(script)) as fake:
        with pytest.raises(PbxConfigError, match="read_only"):
            await _run(fake, worker)


async def test_a_peer_without_event_filter_serves_all_the_same() -> None:
    worker = Worker()
    script = answering(applications__orchestrator__eventFilter=Reply(404, "Not Found"))
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)


async def test_a_404_of_an_asterisk_still_loading_is_waited_out() -> None:
    worker = Worker()
    fake = FakeAri(refuse_with=404)
    # However many there are: it is the time that counts.
    async with serving(fake), running(settings_for(fake.url, not_found_patience=60), worker):
        async with asyncio.timeout(PATIENCE):
            while len(fake.handshakes) < 10:  # noqa: ASYNC110 - the fake rings no bell
                await asyncio.sleep(0.005)
        fake.refuse_with = None
        await worker.link(up=True)


async def test_a_password_changed_later_is_an_error_to_wait_out() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        fake.refuse_with = 401
        with capture_logs() as logs:
            fake.drop()
            await worker.until(lambda: "password" in worker.links[-1].reason)
        assert "error" in {entry["log_level"] for entry in logs}
        fake.refuse_with = None
        await worker.link(up=True, count=2)


async def test_why_the_link_is_down_is_told_once_for_each_reason() -> None:
    worker = Worker()
    fake = FakeAri(refuse_with=503)
    async with serving(fake), running(settings_for(fake.url), worker):
        await worker.link(up=False)
        await fake.until_handshakes(5)
        assert len(worker.links) == 1
        assert "503" in worker.links[0].reason
        fake.refuse_with = None
        await worker.link(up=True)


async def test_a_peer_that_is_not_there_is_connected_to_when_it_comes() -> None:
    worker = Worker()
    fake = FakeAri()
    async with serving(fake):
        pass
    async with running(settings_for(fake.url), worker):
        down = await worker.link(up=False)
        assert "Connection refused" in down.reason
        async with serving(fake):
            await worker.link(up=True)


async def test_an_application_taken_over_is_an_error_that_says_the_mend() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker):
        await worker.link(up=True)
        with capture_logs() as logs:
            await fake.event("ApplicationReplaced")
            down = await worker.link(up=False)
        assert "its own app" in down.reason
        assert [entry["log_level"] for entry in logs] == ["error"]
        await worker.link(up=True, count=2)


async def test_reconciliation_tells_the_living_and_the_gone_and_hangs_up_strays() -> None:
    channels = [
        {"id": "alive", "state": "Up", "dialplan": {"app_name": "Stasis", "app_data": "orchestrator"}},
        {"id": "stray", "state": "Up", "dialplan": {"app_name": "Stasis", "app_data": "orchestrator"}},
        {"id": "foreign", "state": "Up", "dialplan": {"app_name": "Dial", "app_data": "x"}},
    ]
    bridges = [
        {"id": "bridge-alive", "name": "orchestrator", "channels": ["alive"]},
        {"id": "bridge-gone", "name": "orchestrator", "channels": []},
    ]
    script = answering(
        channels=Reply(200, "OK", json.dumps(channels)), bridges=Reply(200, "OK", json.dumps(bridges))
    )
    worker = Worker()
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        await pbx.reconcile({"alive", "gone"})
        assert set(worker.events) == {Alive(ringing=False, up=True, ready=True), Gone()}
        deleted = [seen.path for seen in fake.seen if seen.method == "DELETE"]
        assert deleted == ["channels/stray", "bridges/bridge-gone"]


async def test_reconciliation_does_without_bridges_where_asterisk_has_none() -> None:
    script = answering(bridges=Reply(404, "Not Found", '{"message":"Resource not found"}'))
    worker = Worker()
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        await pbx.reconcile(["c1"])
        assert worker.events == [Gone()]


async def test_entering_a_bridge_holds_up_no_other_request() -> None:
    """Asterisk answers it only once what plays to the channel is over; a WebSocket serves one at a time."""

    def script(seen: Seen) -> Reply | None:
        return None if seen.path.endswith("/addChannel") else obliging(seen)

    worker = Worker()
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(Bridge("c1", "c2"))
        entering = await fake.until_seen(lambda seen: seen.path.endswith("/addChannel"))
        assert entering.via == "http"
        pbx.send(DIAL)
        await worker.event(Accepted)
        made = await fake.until_seen(lambda seen: seen.path == "bridges/bridge-c1")
        assert made.via == "websocket"


async def test_a_bridge_whose_answer_the_connection_took_along_is_told_on_the_next_one() -> None:
    def script(seen: Seen) -> Reply | None:
        if (seen.method, seen.path) == ("GET", "bridges/bridge-c1"):
            return Reply(200, "OK", '{"id":"bridge-c1","channels":["c1","c2"]}')
        return None if seen.path == "bridges/bridge-c1" else obliging(seen)

    worker = Worker()
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(Bridge("c1", "c2"))
        await fake.until_seen(lambda seen: seen.path == "bridges/bridge-c1")
        fake.drop()
        await worker.event(Bridged)
        assert not any(isinstance(event, BridgeRefused) for event in worker.events)


async def test_recordings_are_fetched_and_deleted_without_a_connection() -> None:
    # As an Asterisk leaves it that was killed while it recorded: no length of the samples. All is ASCII.
    cut_off = f"RIFF\0\0\0\0WAVEfmt {chr(16)}\0\0\0{16 * chr(1)}data\0\0\0\0four"
    whole = cut_off.replace("RIFF\0", "RIFF(").replace("data\0", f"data{chr(4)}")

    def script(seen: Seen) -> Reply | None:
        match seen.method, seen.path:
            case "GET", "recordings/stored/r1/file":
                return Reply(200, "OK", cut_off)
            case "GET", "recordings/stored/empty/file":
                return Reply(200, "OK", "RIFF")
            case _, "recordings/stored/broken" | "recordings/stored/broken/file":
                return Reply(500, "Oops")
            case "DELETE", "recordings/stored/r1":
                return Reply(204, "No Content")
            case _:
                return Reply(404, "Not Found")

    async with serving(FakeAri(script)) as fake:
        pbx = AriPbx(settings_for(fake.url), lambda each: None, clock=time, random=Random(1))
        assert await pbx.fetch_recording("r1") == whole.encode()
        with pytest.raises(RecordingNotFound, match="empty"):
            await pbx.fetch_recording("empty")
        for name in ("none", "../r1", "a/b"):
            with pytest.raises(RecordingNotFound):
                await pbx.fetch_recording(name)
            await pbx.delete_recording(name)
        await pbx.delete_recording("r1")
        for ask in (pbx.fetch_recording, pbx.delete_recording):
            with pytest.raises(PbxUnreachable, match="500"):
                await ask("broken")
        assert not any(".." in seen.path or "a/b" in seen.path for seen in fake.seen)
    with pytest.raises(PbxUnreachable):
        await pbx.fetch_recording("r1")


async def test_a_call_dialled_during_reconciliation_is_no_stray() -> None:
    pbxs: list[Any] = []

    def script(seen: Seen) -> Reply | None:
        if seen.path == "channels":
            pbxs[0].send(DIAL)
            return Reply(200, "OK", '[{"id":"c1","state":"Ringing"}]')
        if seen.path == "applications/orchestrator":
            return Reply(200, "OK", '{"channel_ids":["c1"]}')
        return obliging(seen)

    worker = Worker()
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        pbxs.append(pbx)
        await worker.link(up=True)
        await pbx.reconcile([])
        await worker.event(Accepted)
        assert not any(seen.method == "DELETE" for seen in fake.seen)


async def test_reconciliation_that_cannot_be_done_says_so() -> None:
    worker = Worker()
    fake = FakeAri(answering(channels=Reply(500, "Internal Server Error")))
    async with serving(fake), running(settings_for(fake.url), worker) as pbx:
        with pytest.raises(PbxUnreachable, match="not running"):
            await pbx.reconcile(["c1"])
        await worker.link(up=True)
        with pytest.raises(PbxUnreachable, match="500"):
            await pbx.reconcile(["c1"])
        assert worker.events == []


async def test_missing_sounds_are_found_with_one_request() -> None:
    def script(seen: Seen) -> Reply | None:
        if seen.path == "sounds?lang=orchestrator":
            return Reply(200, "OK", '[{"id":"en/digits/4","formats":[{"language":"orchestrator"}]}]')
        return obliging(seen)

    worker = Worker()
    async with serving(FakeAri(script)) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        check = await pbx.check_sounds(["en/digits/4", "en/digits/5"])
        assert (check.missing, check.checked) == (("en/digits/5",), 2)
        fake.script = answering(**{"sounds?lang=orchestrator": Reply(404, "Not Found")})
        assert (await pbx.check_sounds(["en/digits/4"])).missing == ("en/digits/4",)
        fake.script = answering(**{"sounds?lang=orchestrator": Reply(500, "Oops")})
        with pytest.raises(PbxUnreachable):
            await pbx.check_sounds(["en/digits/4"])


async def test_an_unfit_number_never_reaches_the_peer() -> None:
    worker = Worker()
    async with serving(FakeAri()) as fake, running(settings_for(fake.url), worker) as pbx:
        await worker.link(up=True)
        pbx.send(Dial("c1", "+1555,PJSIP/x", None, 30))
        pbx.send(DIAL)
        await worker.event(Accepted)
        refused = await worker.event(Refused)
        assert refused.status == 400
        assert "PJSIP" not in refused.reason
        assert sum(_originate(seen) for seen in fake.seen) == 1


async def test_more_originates_than_allowed_under_way_are_not_sent() -> None:
    worker = Worker()
    async with (
        serving(FakeAri(answering(channels__c1=None))) as fake,
        running(settings_for(fake.url, max_inflight=1), worker) as pbx,
    ):
        await worker.link(up=True)
        pbx.send(DIAL)
        pbx.send(Dial("c2", "+12025550101", None, 30))
        assert worker.events == [OriginateLost("not_sent")]
        pbx.send(Hangup("c9"))
        await fake.until_seen(lambda seen: seen.path == "channels/c9")


@BOTH
async def test_stopping_tells_the_fate_of_what_was_under_way(transport: str) -> None:
    worker = Worker()
    before = asyncio.all_tasks()
    async with serving(FakeAri(answering(channels__c1=None))) as fake:
        async with running(settings_for(fake.url, transport=transport), worker) as pbx:
            await worker.link(up=True)
            pbx.send(DIAL)
            await fake.until_seen(_originate)
        assert worker.events == [OriginateLost("unconfirmed")]
        assert [link.up for link in worker.links] == [True, False]
        assert not pbx.connected
    assert asyncio.all_tasks() == before


@BOTH
async def test_neither_password_nor_sounds_nor_number_is_ever_logged(transport: str) -> None:
    worker = Worker()
    fake = FakeAri(answering(channels__c1=Reply(500, "No"), channels__c1__play__p1=Reply(500, "No")))
    with capture_logs() as logs:
        async with serving(fake), running(settings_for(fake.url, transport=transport), worker) as pbx:
            await worker.link(up=True)
            for request in (DIAL, PLAY, PlaySounds("c1", "p2", ("../digits/7",)), Hangup("c1")):
                pbx.send(request)
            await worker.until(lambda: len(worker.events) == 4)
            await fake.text("sound:digits/9")
            await worker.link(up=False)
    assert logs
    for secret in (PASSWORD, "digits", "2025550100"):
        assert secret not in repr(logs) + repr(worker.told)


async def _run(fake: FakeAri, worker: Worker) -> None:
    """The adapter alone, until it gives up."""
    async with asyncio.timeout(PATIENCE):
        await AriPbx(settings_for(fake.url), worker.take, clock=time, random=Random(1)).run()
