"""Each recorded session of a real FreeSWITCH 1.10.12, said again to the whole adapter: the events that it
must give, and the outcome that the call machine makes of them. Tier: loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random

import pytest
from structlog.testing import capture_logs

from orchestrator.call import events as ev
from orchestrator.call.commands import Hangup, Originate, Play, PlayBoth
from orchestrator.call.events import CallEvent
from orchestrator.call.facts import Fact, Over
from orchestrator.call.machine import step
from orchestrator.call.outcome import Outcome
from orchestrator.call.state import Call
from orchestrator.pbx.errors import PbxConfigError
from orchestrator.pbx.esl.adapter import EslPbx
from orchestrator.pbx.port import Dial, Link, PlaySounds, Request, Signal
from tests.pbx.ari.fake_ari import Worker
from tests.pbx.esl.capture import NAMES
from tests.pbx.esl.fake_esl import C1, C2, Seen, dump, obliging, running, serving, settings_for, settled
from tests.pbx.esl.replay import Replay

NUMBER = "+12025550100"
SOUNDS = ("en/digits/4", "en/digits/2")
DIAL = Dial(C1, NUMBER, None, 3)


@dataclass
class Machine(Worker):
    """A worker of one call: the call machine over the adapter, without ledger and timers."""

    plays: int = 1
    pbx: EslPbx | None = None
    call: Call = field(default_factory=lambda: Call(id=C1))
    facts: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def take(self, each: Signal | Link) -> None:
        super().take(each)
        if isinstance(each, Signal) and each.channel == C1:
            self.feed(each.event, each.at)

    def feed(self, event: CallEvent, at: float = 0.0) -> None:
        self.call, commands, facts = step(self.call, event, at)
        self.facts += facts
        for command in commands:
            request: Request
            match command:
                case Originate():
                    request = Dial(command.channel, command.number, command.caller_id, command.ring_timeout)
                case Play() | PlayBoth():
                    request = PlaySounds(command.channel, command.playback, SOUNDS)
                case _:
                    request = command
            assert self.pbx is not None
            asyncio.get_running_loop().call_soon(self.pbx.send, request)

    def dial(self) -> None:
        self.feed(ev.Planned("fs1", NUMBER, self.plays, 10, 30.0, 120.0))

    async def over(self) -> Over:
        await self.until(lambda: bool(self.facts) and isinstance(self.facts[-1], Over))
        over = self.facts[-1]
        assert isinstance(over, Over)
        return over


def scripted(seen: Seen) -> str | None:
    """The channel of a recording that was answered lives until it is hung up."""
    return dump(C1) if seen.verb == "uuid_dump" else obliging(seen)


@contextlib.asynccontextmanager
async def replaying(name: str, **changed: str) -> AsyncIterator[tuple[Replay, Machine]]:
    machine = Machine()
    fake = Replay(script=scripted, name=name)
    async with serving(fake), running(settings_for(fake.url, **changed), machine) as pbx:
        machine.pbx = pbx
        await machine.link(up=True)
        yield fake, machine


OUTCOMES = [
    ("busy", Outcome.BUSY, 17, 486),
    ("no_answer", Outcome.NO_ANSWER, 19, None),
    ("reject_603", Outcome.REJECTED, 21, 603),
    ("unallocated", Outcome.INVALID_NUMBER, 3, 404),
    ("callee_hangs_up_during_playback", Outcome.HUNG_UP_EARLY, 16, None),
]


@pytest.mark.parametrize(("name", "outcome", "cause", "sip_status"), OUTCOMES)
async def test_a_recorded_call_comes_to_the_outcome_that_it_had(
    name: str, outcome: Outcome, cause: int, sip_status: int | None
) -> None:
    async with replaying(name) as (fake, machine):
        machine.dial()
        over = await machine.over()
        assert (over.outcome, over.cause, over.sip_status) == (outcome, cause, sip_status)
        assert fake.done


HANGUP: list[CallEvent] = [ev.HangupRequested(True, 16), ev.Ended(16)]
ANSWERED: list[CallEvent] = [ev.Accepted(), ev.Ringing(), ev.Answered(), ev.Ready()]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("busy", [ev.Accepted(), ev.HangupRequested(False, 17), ev.Ended(17, 486)]),
        ("reject_603", [ev.Accepted(), ev.HangupRequested(False, 21), ev.Ended(21, 603)]),
        ("unallocated", [ev.Accepted(), ev.HangupRequested(False, 3), ev.Ended(3, 404)]),
        ("no_answer", [ev.Accepted(), ev.Ringing(), ev.HangupRequested(True, 19), ev.Ended(19)]),
        (
            "callee_hangs_up_during_playback",
            [
                ev.Accepted(),
                ev.Answered(),
                ev.Ready(),
                ev.PlayStarted(f"{C1}-1"),
                ev.HangupRequested(False, 16),
                ev.Ended(16),
            ],
        ),
    ],
)
async def test_a_recorded_call_is_told_event_by_event_and_its_end_once(
    name: str, told: list[CallEvent]
) -> None:
    async with replaying(name) as (_fake, machine):
        machine.dial()
        await machine.over()
        await heard_all(machine)
        assert machine.events == told


@pytest.mark.parametrize("name", ["answer_play_hangup", "answer_json"])
async def test_a_recorded_answer_is_ready_and_ends_by_our_hangup(name: str) -> None:
    async with replaying(name) as (fake, machine):
        machine.dial()
        await fake.until_seen("sendmsg")
        machine.feed(ev.CancelRequested())
        over = await machine.over()
        assert (over.outcome, over.cause) == (Outcome.CANCELLED, 16)
        await heard_all(machine)
        assert machine.events == [*ANSWERED, *HANGUP]


async def test_a_recorded_call_that_another_client_hangs_up_is_ended_by_the_pbx() -> None:
    async with replaying("answer_json") as (fake, machine):
        machine.dial()
        await fake.until_seen("sendmsg")
        fake.another_client_asks("uuid_kill")
        over = await machine.over()
        await heard_all(machine)
        assert machine.events == [*ANSWERED, *HANGUP]
        assert (over.outcome, over.hung_up_by) == (Outcome.FAILED, "network")
        assert fake.done


async def test_recorded_early_media_rings_once_and_keys_are_told_as_pressed() -> None:
    async with replaying("early_media_dtmf") as (_fake, machine):
        assert machine.pbx is not None
        machine.pbx.send(DIAL)
        await machine.until(lambda: sum(isinstance(event, ev.Digit) for event in machine.events) == 3)
        machine.pbx.send(Hangup(C1))
        await machine.event(ev.Ended)
        await heard_all(machine)
        assert machine.events == [
            ev.Accepted(),
            ev.Ringing(early_media=True),
            ev.Answered(),
            ev.Ready(),
            ev.Digit("4"),
            ev.Digit("2"),
            ev.Digit("#"),
            *HANGUP,
        ]


async def test_a_recorded_bad_gateway_is_refused_though_a_channel_was_destroyed() -> None:
    async with replaying("bad_gateway") as (_fake, machine):
        machine.dial()
        over = await machine.over()
        assert machine.events == [ev.Refused(404, "INVALID_GATEWAY")]
        assert over.outcome is Outcome.FAILED
        assert "INVALID_GATEWAY" in over.reason


async def test_a_recorded_duplicate_uuid_is_adopted_and_the_call_goes_on() -> None:
    async with replaying("duplicate_uuid") as (_fake, machine):
        assert machine.pbx is not None
        machine.pbx.send(DIAL)
        await machine.event(ev.Ready)
        machine.pbx.send(DIAL)
        await machine.event(ev.Alive)
        machine.pbx.send(Hangup(C1))
        await machine.event(ev.Ended)
        await heard_all(machine)
        adopted = [ev.Accepted(), ev.Alive(ringing=False, up=True, ready=True)]
        assert machine.events == [*ANSWERED, *adopted, *HANGUP]


@pytest.mark.parametrize(
    ("folder", "recorded"),
    [("aaaaaaa", [ev.RecordingFinished("recording-1")]), ("orchestrator", [])],
)
async def test_two_recorded_calls_of_which_one_is_bridged_too_soon_are_each_told_their_own_end(
    folder: str, recorded: list[CallEvent]
) -> None:
    # Somebody bridged the second call to the first while it still rang, and FreeSWITCH ended both. What it
    # recorded is told of when it lies in our folder, though the channel was over by then.
    recordings = f"/var/lib/freeswitch/recordings/{folder}"
    async with replaying("bridge_record", recordings_folder=recordings) as (_fake, machine):
        assert machine.pbx is not None
        machine.pbx.send(DIAL)
        await machine.until(lambda: ev.Ready() in of(machine, C1))
        machine.pbx.send(Dial(C2, "+12025550101", None, 3))
        await machine.until(lambda: any(isinstance(event, ev.Ended) for event in of(machine, C1)))
        await heard_all(machine)
        assert of(machine, C1) == [*ANSWERED, *HANGUP, *recorded]
        assert of(machine, C2) == [
            ev.Accepted(),
            ev.Ringing(),
            ev.HangupRequested(True, 27),
            ev.Ended(27),
        ]


async def test_a_recorded_wrong_password_is_a_fault_of_the_configuration() -> None:
    fake = Replay(name="wrong_password", password="another")
    async with serving(fake):
        with pytest.raises(PbxConfigError, match=r"wrong ESL password; compare with event_socket\.conf\.xml"):
            await EslPbx(settings_for(fake.url), Worker().take, clock=lambda: 0.0, random=Random(1)).run()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wrong_password"])
async def test_no_recorded_far_end_is_ever_taken_for_a_call_of_ours(name: str) -> None:
    async with replaying(name) as (_fake, machine):
        assert machine.pbx is not None
        machine.pbx.send(DIAL)
        await machine.until(lambda: bool(machine.events))
        await heard_all(machine)
        assert {each.channel for each in machine.told if isinstance(each, Signal)} == {C1}


async def test_nothing_of_a_recorded_call_is_logged() -> None:
    with capture_logs() as logs:
        async with replaying("callee_hangs_up_during_playback") as (_fake, machine):
            machine.dial()
            await machine.over()
    assert logs
    assert "digits" not in repr(logs)
    assert "2025550100" not in repr(logs)


def of(machine: Machine, channel: str) -> list[CallEvent]:
    return [each.event for each in machine.told if isinstance(each, Signal) and each.channel == channel]


async def heard_all(machine: Machine) -> None:
    assert machine.pbx is not None
    await settled(machine.pbx)
