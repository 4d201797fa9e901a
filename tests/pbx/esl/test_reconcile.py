"""After a reconnect: who lives, who is gone, who is a stray. Tier: loopback."""

import asyncio
import json

import pytest

from orchestrator.call.events import (
    Alive,
    Ended,
    Gone,
    HangupRequested,
)
from orchestrator.pbx.errors import PbxProtocolError, PbxUnreachable
from orchestrator.pbx.esl.adapter import EslPbx
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.fake_esl import (
    APP,
    C1,
    C2,
    DIAL,
    NO_CHANNEL,
    FakeEsl,
    Seen,
    answering,
    dump,
    obliging,
    running,
    serving,
    settings_for,
    settled,
)


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
        await settled(pbx)
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
        running(settings_for(fake.url, request_timeout=0.5), worker) as pbx,
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
