"""What a client of the event socket may ask, and what it is answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.faults import Faults
from tests.pbx.virtual.esl.client import ALL, Client, connected, originate, virtual
from tests.pbx.virtual.world import samples_in, write_sound


async def parked(client: Client, number: str = "0110", uuid: str = "u1", **variables: str) -> None:
    """A channel that is answered and parked."""
    assert await client.job(originate(number, uuid, **variables), f"job-{uuid}") == f"+OK {uuid}\n"
    await client.event("CHANNEL_EXECUTE", Application="park", **{"Unique-ID": uuid})


def execute(uuid: str, application: str, argument: str, event: str, locked: bool = True) -> str:
    lock = "\nevent-lock: true" if locked else ""
    return (
        f"sendmsg {uuid}\ncall-command: execute\nexecute-app-name: {application}\n"
        f"execute-app-arg: {argument}\nEvent-UUID: {event}{lock}"
    )


async def done(client: Client, event: str) -> str:
    """How an application ended."""
    told = await client.event("CHANNEL_EXECUTE_COMPLETE", **{"Application-UUID": event})
    return told["Application-Response"]


async def test_nothing_is_done_before_the_password_is_known() -> None:
    async with virtual() as pbx, connected(pbx, password=None) as client:
        assert (await client.ask("api status")).reply == "-ERR command not found"
        assert (await client.ask(ALL)).reply == "-ERR command not found"
        assert (await client.ask("auth wrong")).reply == "-ERR invalid"
        await client.until(lambda: client.closed)


@pytest.mark.parametrize("encoding", ["plain", "json", "xml"])
async def test_events_come_in_the_encoding_that_is_asked_for(encoding: str) -> None:
    async with virtual() as pbx, connected(pbx) as client:
        wanted = f"event {encoding} CHANNEL_CREATE"
        assert (await client.ask(wanted)).reply == f"+OK event listener enabled {encoding}"
        client.send(f"bgapi {originate('0101', 'u')}")
        await client.until(lambda: any(frame.kind == f"text/event-{encoding}" for frame in client.frames))


async def test_only_events_that_are_asked_for_come() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask("event plain CHANNEL_CREATE CHANNEL_DESTROY BACKGROUND_JOB")
        await client.ask("nixevent CHANNEL_DESTROY")
        assert await client.job(originate("0101", "u"), "j") == "-ERR USER_BUSY\n"
        assert [event["Event-Name"] for event in client.events] == ["CHANNEL_CREATE", "BACKGROUND_JOB"]
        await client.ask("noevents")
        assert (await client.ask("event plain")).reply == "-ERR no keywords supplied"


async def test_a_filter_lets_only_its_own_through() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        assert (await client.ask("filter Unique-ID u2")).reply == "+OK filter added. [Unique-ID]=[u2]"
        await client.ask("filter Job-UUID /^mine/")
        await client.ask(f"bgapi {originate('0101', 'u1')}\nJob-UUID: other")
        assert await client.job(originate("0101", "u2"), "mine-1") == "-ERR USER_BUSY\n"
        await client.event("CHANNEL_DESTROY")
        assert {event.get("Unique-ID", "u2") for event in client.events} == {"u2"}
        assert (await client.ask("filter")).reply.startswith("-ERR")


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("0101", "-ERR USER_BUSY\n"),
        ("0103", "-ERR CALL_REJECTED\n"),
        ("0104", "-ERR UNALLOCATED_NUMBER\n"),
        ("0109", "-ERR NORMAL_CIRCUIT_CONGESTION\n"),
        ("0102", "-ERR NO_ANSWER\n"),
        ("0108", "+OK u\n"),
    ],
)
async def test_a_waiting_originate_is_answered_when_it_has_come_to_something(
    number: str, answer: str
) -> None:
    async with virtual() as pbx, connected(pbx) as client:
        asked = await client.ask(f"api {originate(number, 'u', originate_timeout='3')}")
        assert asked.body == answer


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("originate nonsense", "-USAGE: <call url>"),
        ("originate {a=b sofia/gateway/x/1 &park()", "-ERR"),
        ("originate bogus/1 &park()", "-ERR CHAN_NOT_IMPLEMENTED"),
        ("originate sofia/gateway/other/1 &park()", "-ERR INVALID_GATEWAY"),
        ("originate sofia/other/1@host &park()", "-ERR INVALID_PROFILE"),
        ("uuid_kill none", "-ERR No such channel!"),
        ("uuid_break none", "-ERR No such channel!"),
        ("uuid_kill", "-USAGE"),
        ("uuid_exists none", "false"),
        ("uuid_record none start a.wav", "-ERR Cannot locate session!"),
        ("uuid_bridge a b", "-ERR Invalid uuid"),
        ("uuid_bridge a", "-USAGE"),
        ("sched_hangup +1 none", "-ERR No such channel!"),
        ("sched_hangup", "-USAGE"),
        ("sched_del none", "+OK Deleted: 0"),
        ("status", "UP 0 years"),
        ("version", "FreeSWITCH Version 1.10.12"),
        ("show channels as json", '{"row_count": 0}'),
        ("show channels", "\n0 total.\n"),
        ("show bogus", "-ERR"),
        ("module_exists mod_sndfile", "true"),
        ("file_exists /nowhere.wav", "false"),
        ("global_getvar sounds_dir", "/usr/share/freeswitch/sounds"),
        ("bogus", "-ERR bogus Command not found!"),
        ("echo hello", "hello"),
    ],
)
async def test_each_command_is_answered(command: str, answer: str) -> None:
    async with virtual(trunks=("lab",)) as pbx, connected(pbx) as client:
        assert (await client.ask(f"api {command}")).body.startswith(answer)


async def test_a_taken_uuid_a_throttle_and_the_limit_give_the_same_answer_and_no_event() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client)
        refused = "-ERR DESTINATION_OUT_OF_ORDER\n"
        assert await client.job(originate("0110", "u1"), "again") == refused
        pbx.dice.set(Faults(max_calls=1))
        assert await client.job(originate("0110", "u2"), "limit") == refused
        assert not client.of("CHANNEL_CREATE", **{"Unique-ID": "u2"})


async def test_a_file_and_a_list_are_played_and_a_hole_in_a_list_is_passed_over(tmp_path: Path) -> None:
    write_sound(tmp_path, "a", [1] * 8000)
    write_sound(tmp_path, "b", [2] * 4000)
    async with virtual(folders=(tmp_path,)) as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client, "0108")
        for path, response in (
            ("a", "FILE PLAYED"),
            (f"{tmp_path}/b.wav", "FILE NOT FOUND"),
            (f"file_string://{tmp_path}/a.sln!none!b", "FILE PLAYED"),
            ("none", "FILE NOT FOUND"),
            ("file_string://none!none", "FILE NOT FOUND"),
            ("silence_stream://200", "FILE PLAYED"),
        ):
            assert (await client.ask(execute("u1", "playback", path, path))).reply == "+OK"
            assert await done(client, path) == response
        assert len(client.of("PLAYBACK_START")) == len(client.of("PLAYBACK_STOP")) == 3
        await client.ask("api uuid_kill u1")
        await client.event("CHANNEL_DESTROY")
        samples = samples_in(pbx.heard("u1"))
        assert (samples.count(1), samples.count(2)) == (16000, 4000)


async def test_a_locked_play_is_not_interrupted_and_an_unlocked_one_is_gone_on_with_later() -> None:
    async with virtual(speed=20.0) as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client)
        client.send(execute("u1", "playback", "silence_stream://2000", "first"))
        client.send(execute("u1", "playback", "silence_stream://100", "second"))
        await done(client, "second")
        ended = [each["Application-UUID"] for each in client.of("CHANNEL_EXECUTE_COMPLETE")]
        assert ended == ["first", "second"]
        client.send(execute("u1", "playback", "silence_stream://2000", "outer", locked=False))
        await client.event("CHANNEL_EXECUTE", **{"Application-UUID": "outer"})
        client.send(execute("u1", "playback", "silence_stream://100", "inner"))
        await done(client, "outer")
        ended = [each["Application-UUID"] for each in client.of("CHANNEL_EXECUTE_COMPLETE")]
        assert ended[2:] == ["inner", "outer"]


async def test_a_play_can_be_broken_by_command_and_by_key() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client)
        client.send(execute("u1", "playback", "silence_stream://-1", "p"))
        client.send(execute("u1", "playback", "silence_stream://-1", "q"))
        await client.event("PLAYBACK_START")
        assert (await client.ask("api uuid_break u1 all")).body == "+OK\n"
        assert await done(client, "p") == "FILE PLAYED"
        assert client.of("PLAYBACK_STOP")[0]["Playback-Status"] == "break"
        client.send(execute("u1", "playback", "silence_stream://-1", "r"))
        await client.event("CHANNEL_EXECUTE", **{"Application-UUID": "r"})
        assert not client.of("CHANNEL_EXECUTE", **{"Application-UUID": "q"})
        pbx.switch.press(pbx.switch.legs["u1"], "1*")
        assert await done(client, "r") == "FILE PLAYED"
        await client.ask("api uuid_setvar u1 playback_terminators none")
        client.send(execute("u1", "playback", "silence_stream://-1", "s"))
        await client.event("CHANNEL_EXECUTE", **{"Application-UUID": "s"})
        pbx.switch.press(pbx.switch.legs["u1"], "*")
        await client.ask("api uuid_kill u1")
        assert await done(client, "s") == "PLAYBACK ERROR"


@pytest.mark.parametrize(
    ("presses", "found"), [("42#", "42"), ("4242", "4242"), ("7", "_undef_"), ("", "_undef_")]
)
async def test_digits_are_collected(presses: str, found: str) -> None:
    callees = {"1": Callee(presses=presses, presses_after=0.2)}
    async with virtual(callees=callees, speed=5.0) as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client, "1")
        asked = "2 4 1 1500 # silence_stream://3000 silence code \\d+ 800"
        client.send(execute("u1", "play_and_get_digits", asked, "g"))
        await done(client, "g")
        assert (await client.ask("api uuid_getvar u1 code")).body == found


async def test_two_channels_are_bridged_hear_each_other_and_part(tmp_path: Path) -> None:
    write_sound(tmp_path, "hello", [5] * 40_000)
    async with (
        virtual(folders=(tmp_path,), callees={"1": Callee(says="hello")}) as pbx,
        connected(pbx) as client,
    ):
        await client.ask(ALL)
        await parked(client, "0110", "a")
        await parked(client, "1", "b")
        assert await client.job("uuid_record a start /rec/r.wav", "r") == "+OK Success\n"
        assert await client.job("uuid_bridge a b", "j") == "+OK b\n"
        told = await client.event("CHANNEL_BRIDGE")
        assert (told["Bridge-A-Unique-ID"], told["Bridge-B-Unique-ID"]) == ("a", "b")
        assert (await client.ask("api uuid_record a stop all")).body == "+OK Success\n"
        assert (await client.event("RECORD_STOP"))["Record-File-Path"] == "/rec/r.wav"
        await client.ask("api uuid_kill b")
        await client.event("CHANNEL_UNBRIDGE")
        ended = await client.event("CHANNEL_DESTROY", **{"Unique-ID": "a"})
        assert ended["Hangup-Cause"] == "NORMAL_CLEARING"
        for heard in (pbx.esl.recorded["/rec/r.wav"].pcm(), pbx.heard("a")):
            assert samples_in(heard).count(5) > 0
        assert samples_in(pbx.heard("b")).count(5) == 0


async def test_the_application_bridge_dials_and_joins() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client, "0110", "a")
        client.send(execute("a", "bridge", "{origination_uuid=b}sofia/gateway/lab/12025550105", "x"))
        await client.event("CHANNEL_BRIDGE")
        assert (await client.event("CHANNEL_DESTROY"))["Unique-ID"] == "b"
        await client.event("CHANNEL_DESTROY", **{"Unique-ID": "a"})
        await parked(client, "0110", "c")
        client.send(execute("c", "bridge", "sofia/gateway/lab/12025550101", "y"))
        await done(client, "y")
        assert (await client.ask("api uuid_getvar c originate_disposition")).body == "USER_BUSY"


async def test_a_channel_can_be_looked_at_and_changed() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client, mark="mine", origination_caller_id_number="15550199")
        listed = json.loads((await client.ask("api show channels as json")).body)
        assert listed["row_count"] == 1
        row = listed["rows"][0]
        assert (row["uuid"], row["direction"], row["dest"], row["cid_num"], row["callstate"]) == (
            "u1",
            "outbound",
            "12025550110",
            "15550199",
            "ACTIVE",
        )
        assert "u1,outbound" in (await client.ask("api show channels")).body
        dump = json.loads((await client.ask("api uuid_dump u1 json")).body)
        assert (dump["Channel-State"], dump["variable_mark"]) == ("CS_EXECUTE", "mine")
        assert "Unique-ID: u1\n" in (await client.ask("api uuid_dump u1")).body
        assert (await client.ask("api uuid_setvar u1 mark other")).body == "+OK\n"
        assert (await client.ask("api uuid_getvar u1 mark")).body == "other"
        await client.ask("api uuid_setvar u1 mark")
        assert (await client.ask("api uuid_getvar u1 mark")).body == "_undef_"
        assert (await client.ask("api uuid_exists u1")).body == "true"
        await client.ask("api uuid_send_dtmf u1 12#")
        assert pbx.switch.legs["u1"].heard_keys == "12#"
        await client.ask("api uuid_recv_dtmf u1 9")
        assert (await client.event("DTMF"))["DTMF-Digit"] == "9"
        assert (
            await client.ask("api uuid_broadcast u1 silence_stream://10 aleg")
        ).body == "+OK Message sent\n"
        await client.event("PLAYBACK_STOP")


async def test_a_scheduled_hang_up_comes_and_can_be_put_off() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await parked(client, execute_on_answer="sched_hangup:+600")
        assert (await client.ask("api sched_del u1")).body == "+OK Deleted: 1\n"
        assert (await client.ask("api sched_hangup +1 u1 ALLOTTED_TIMEOUT")).body == "+OK\n"
        assert (await client.event("CHANNEL_HANGUP"))["Hangup-Cause"] == "ALLOTTED_TIMEOUT"


async def test_early_media_answers_an_originate_unless_it_is_ignored() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        assert await client.job(originate("0107", "u", ignore_early_media="false"), "j") == "+OK u\n"
        assert not client.of("CHANNEL_ANSWER")
        await client.event("CHANNEL_ANSWER")


@pytest.mark.parametrize("application", ["playback(silence_stream://100)", "hangup", "nosuch"])
async def test_a_channel_with_nothing_more_to_do_is_hung_up(application: str) -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        await client.job(originate("0110", "u", application), "j")
        assert (await client.event("CHANNEL_HANGUP"))["Hangup-Cause"] == "NORMAL_CLEARING"


async def test_messages_that_cannot_be_are_refused() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        await client.ask(ALL)
        assert (await client.ask(execute("none", "park", "", "e"))).reply == "-ERR invalid session id [none]"
        await parked(client)
        assert (await client.ask("sendmsg u1")).reply.startswith("-ERR")
        assert (await client.ask(execute("u1", "nosuch", "", "e"))).reply == "+OK"
        assert (await client.ask("sendmsg u1\ncall-command: hangup")).reply == "+OK"
        await client.event("CHANNEL_DESTROY")
        assert (await client.ask("nonsense")).reply == "-ERR command not found"
        assert (await client.ask("exit")).reply == "+OK bye"
        await client.until(lambda: client.closed)
        assert client.frames[-1].kind == "text/disconnect-notice"


async def test_bytes_that_are_no_commands_end_the_connection() -> None:
    async with virtual() as pbx, connected(pbx) as client:
        client.send(b"sendevent X\nContent-Length: 99999999999\n\n")
        await client.until(lambda: client.closed)
        async with connected(pbx) as other:
            assert (await other.ask("api uuid_exists x")).body == "false"
