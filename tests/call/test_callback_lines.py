"""Callbacks on a PBX in miniature that tells little of what it does: in the end nobody is left on a line.

The PBX does what it is asked and knows the truth; what it tells is lost, or comes late, as chance has it. Now
and then the worker starts anew from its journal and asks what lives.
"""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.callback import advance, replay
from orchestrator.call.commands import (
    Ask,
    Bridge,
    Command,
    Commit,
    Hangup,
    Originate,
    Play,
    PlayBoth,
    Record,
    Ringback,
    StopRecording,
)
from orchestrator.call.conversation import Conversation, new_conversation, second_leg
from orchestrator.call.facts import Fact, Over
from orchestrator.call.machine import next_timer
from orchestrator.call.outcome import Outcome
from orchestrator.call.state import State
from tests.call.callbacks import CALL, PLANNED, SECOND, T0

TO = second_leg(CALL)


class Lines:
    """The PBX, the two people and the driver. `loss` is the share of its events that nobody hears."""

    def __init__(self, seed: int, loss: float) -> None:
        self.chance = Random(seed)
        self.loss = loss
        self.now = T0
        self.it: Conversation = new_conversation(CALL)
        self.journal: list[tuple[ev.CallEvent, float]] = []
        self.facts: list[Fact] = []
        self.to_do: list[ev.CallEvent] = []
        """What the driver has yet to feed: what was told, and what was committed."""
        self.channels: dict[str, str] = {}
        self.talked = False
        self.bridged = False
        self.recorded = False
        self.dials: list[str] = []

    def tell(self, channel: str, event: ev.LegEvent) -> None:
        if self.chance.random() >= self.loss:
            self.to_do.append(event if channel == CALL else ev.OfCallee(event))

    def feed(self, event: ev.CallEvent) -> None:
        before = self.it
        self.it, commands, facts = advance(before, event, self.now)
        if self.it is not before or commands or facts:
            self.journal.append((event, self.now))
        self.facts += facts
        for command in commands:
            if isinstance(command, Commit):
                self.to_do.append(command.then)
            else:
                self.carry_out(command)

    def carry_out(self, command: Command) -> None:
        channel = command.channel
        match command:
            case Originate():
                self.dials.append(channel)
                if self.chance.random() < 0.05:
                    self.tell(channel, ev.Refused(503, "full"))
                    return
                self.channels[channel] = "dialing"
                lost = self.chance.random() < self.loss
                self.tell(channel, ev.OriginateLost("unconfirmed") if lost else ev.Accepted())
            case Hangup():
                self.end(channel, 16)
            case Ask():
                self.answer(channel)
            case Play(playback=playback) | PlayBoth(playback=playback) | Ringback(playback=playback):
                if self.channels.get(channel) == "up":
                    self.tell(channel, ev.PlayStarted(playback))
                    if not isinstance(command, Ringback):
                        self.tell(channel, ev.PlayFinished(playback, self.chance.random() < 0.9))
                else:
                    self.tell(channel, ev.PlayRefused(playback, 404, "no such channel"))
            case Bridge(other=other):
                self.bridged = self.channels.get(channel) == self.channels.get(other) == "up"
                self.talked = self.talked or self.bridged
                self.tell(channel, ev.Bridged() if self.bridged else ev.BridgeRefused(404, "no such channel"))
            case Record(recording=recording):
                self.recorded = self.recorded or self.bridged  # asked again, what was recorded stays
                if self.bridged:
                    self.tell(channel, ev.RecordingStarted(recording))
            case StopRecording(recording=recording):
                self.tell(channel, ev.RecordingFinished(recording, self.recorded))
            case _:
                pass

    def end(self, channel: str, cause: int) -> None:
        if self.channels.pop(channel, None) is None:
            self.tell(channel, ev.HangupRefused(gone=True))
            return
        self.tell(channel, ev.Ended(cause))

    def answer(self, channel: str) -> None:
        stands = self.channels.get(channel)
        up = stands == "up"
        self.tell(channel, ev.Alive(stands == "ringing", up, up) if stands else ev.Gone())

    def happen(self) -> None:
        """Something that a person, the network or the worker does."""
        channel = self.chance.choice([*self.channels] or [CALL])
        match self.channels.get(channel), self.chance.random():
            case "dialing" | "ringing", share if share < 0.6:
                self.channels[channel] = "up"
                self.tell(channel, ev.Answered())
                self.tell(channel, ev.Ready())
            case "dialing", share if share < 0.8:
                self.channels[channel] = "ringing"
                self.tell(channel, ev.Ringing())
            case "dialing" | "ringing", share if share > 0.95:
                self.end(channel, 17)
            case "up", share if share > 0.97:
                self.end(channel, 16)
            case _, share if share > 0.9:
                self.start_anew()
            case _, share if share < 0.02 and self.it.state not in (State.NEW, State.ENDED):
                self.to_do.append(ev.CancelRequested())
            case _:
                pass

    def start_anew(self) -> None:
        """The worker is killed and comes back: what it had yet to feed is lost."""
        again, facts = replay(CALL, self.journal)
        assert (again, facts) == (self.it, self.facts)
        self.it, self.to_do = again, []
        for channel in (CALL, TO):
            self.answer(channel)

    def go_on(self) -> None:
        """One turn: what was told, in an order near the true one; else a person, or time."""
        if self.to_do and self.chance.random() < 0.8:
            self.feed(self.to_do.pop(0 if self.chance.random() < 0.9 else -1))
        elif self.chance.random() < 0.93:
            self.happen()
        else:
            timer = next_timer(self.it)
            if timer is not None:
                self.now = max(self.now, timer[1])
                self.feed(ev.TimerFired(timer[0]))


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_the_pbx_keeps_to_itself_nobody_is_left_on_a_line(
    seed: int, loss: float, record: bool
) -> None:
    lines = Lines(seed, loss)
    lines.feed(replace(PLANNED, second=replace(SECOND, record=record)))
    for _ in range(2_000):
        if lines.it.state is State.ENDED:
            break
        lines.go_on()
    assert lines.it.state is State.ENDED
    for late in lines.to_do:  # what comes late of a line that is still up has it hung up
        lines.feed(late)
    over = [fact for fact in lines.facts if isinstance(fact, Over)]
    assert len(over) == 1
    assert lines.dials in ([CALL], [CALL, TO])
    assert not lines.channels
    if over[0].outcome is Outcome.COMPLETED:
        assert lines.talked
    if over[0].recording is not None:
        assert lines.recorded
