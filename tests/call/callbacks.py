"""A callback as tests tell it: what happens to it by words, and what it asked for and told."""

from msgspec.structs import replace

from orchestrator.call import events as ev
from orchestrator.call.callback import advance
from orchestrator.call.commands import Command, Commit
from orchestrator.call.conversation import Conversation, new_conversation, second_leg
from orchestrator.call.facts import Fact, Over
from orchestrator.call.machine import next_timer

CALL = "c1"
TO = second_leg(CALL)
T0 = 1_000.0
SECOND = ev.Second(
    number="+12025550199",
    ring_timeout=20.0,
    play_seconds=(4, 3, 2, 3, 3, 3),
    caller_id="+15550101",
    record=True,
    warn_before=15.0,
)
PLANNED = ev.Planned(
    pbx="ast1",
    number="+12025550100",
    plays=0,
    play_seconds=0,
    ring_timeout=30.0,
    max_duration=120.0,
    caller_id="+15550100",
    second=SECOND,
)
PLAIN = replace(PLANNED, second=replace(SECOND, play_seconds=(), record=False, warn_before=0.0))
"""A callback that plays nothing at all, and is not recorded."""
ANSWER = (ev.Accepted(), ev.Ringing(), ev.Answered(), ev.Ready())


class Story:
    """A callback; what it commits is durable at once, unless `commits` says otherwise."""

    def __init__(self, planned: ev.Planned = PLAIN, *, commits: bool = True) -> None:
        self.it: Conversation = new_conversation(CALL)
        self.now = T0
        self.commands: list[Command] = []
        self.facts: list[Fact] = []
        self.journal: list[tuple[ev.CallEvent, float]] = []
        self.held_back: list[ev.CallEvent] = []
        self._commits = commits
        self.feed(planned)

    def feed(self, *events: ev.CallEvent) -> "Story":
        for event in events:
            before = self.it
            self.it, commands, facts = advance(before, event, self.now)
            if self.it is not before or commands or facts:
                self.journal.append((event, self.now))
            self.facts += facts
            for command in commands:
                if not isinstance(command, Commit):
                    self.commands.append(command)
                elif self._commits:
                    self.feed(command.then)
                else:
                    self.held_back.append(command.then)
        return self

    def callee(self, *events: ev.LegEvent) -> "Story":
        return self.feed(*(ev.OfCallee(event) for event in events))

    def after(self, seconds: float) -> "Story":
        self.now += seconds
        return self

    def hear(self, *, ok: bool = True) -> "Story":
        """The playback that is on, a leg's or their own, begins and ends."""
        caller = self.it.caller
        playback = caller.playback if caller.state == "playing" else self.it.playback
        self.feed(ev.PlayStarted(playback))
        return self.after(2).feed(ev.PlayFinished(playback, ok))

    def wait(self) -> "Story":
        """Until the timer that runs out first has."""
        timer = next_timer(self.it)
        assert timer is not None
        self.now = max(self.now, timer[1])
        return self.feed(ev.TimerFired(timer[0]))

    def wait_for(self, name: str) -> "Story":
        assert (next_timer(self.it) or ("", 0.0))[0] == name
        return self.wait()

    def answered(self) -> "Story":
        """The caller has answered, and heard what there is to hear."""
        self.feed(*ANSWER)
        return self.hear() if self.it.caller.state == "playing" else self

    def connected(self) -> "Story":
        return self.answered().callee(*ANSWER).feed(ev.Bridged())

    def recorded(self) -> "Story":
        return self.connected().hear().feed(ev.RecordingStarted(CALL))

    def ended(self) -> "Story":
        """Whoever is to hang up does."""
        return self.feed(ev.Ended(16)).callee(ev.Ended(16))

    def new_commands(self) -> list[Command]:
        """What was asked for since the last time."""
        new, self.commands = self.commands, []
        return new

    def over(self) -> Over:
        found = [fact for fact in self.facts if isinstance(fact, Over)]
        assert len(found) == 1
        assert self.it.state == "ended"
        return found[0]
