"""The calls that live now: events in, one step of the machine each, and its results carried out.

Nothing in here waits. The readers' signals are queued and handled in turn on the loop; what a step says is
handed to the ledger and to the PBX, which both take it without waiting. A call's intent to dial is durable
before it comes here.
"""

import asyncio
import functools
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from orchestrator.call import events as ev
from orchestrator.call.commands import Command, Commit, Hangup, Originate, Play, PlayBoth
from orchestrator.call.conversation import Conversation, second_leg
from orchestrator.call.either import AnyCall, advance, callee_waits, channels, just_known, new_call
from orchestrator.call.events import CallEvent
from orchestrator.call.facts import Fact, NotRecorded, Over, Undialed
from orchestrator.call.machine import next_timer
from orchestrator.call.state import State
from orchestrator.clock import Clock
from orchestrator.fate import fate
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import CallEnd, Claim, Entry, JobRow, OpenCall, Script, Verdict
from orchestrator.meters import Meters
from orchestrator.pbx.port import Dial, Link, Pbx, PlaySounds, Request, Signal
from orchestrator.report import Reporter, cdr
from orchestrator.second_legs import SecondLeg

TURN: Final = 16
"""Signals handled in one turn of the loop. What they ask of the PBX leaves after the turn: a long one would
keep an answered callee waiting for the first word."""
UNDIALED_DELAY: Final = 1.0
"""Seconds until an attempt that never left is made again."""
ADOPT_GRACE: Final = 10.0
"""Seconds after a restart in which the PBX can tell of a call before our own timers end it."""

_log = structlog.get_logger(__name__)
_LIFE: Final = frozenset({ev.Ready, ev.Answered, ev.Ringing, ev.Accepted, ev.Alive})


class Live:
    """One live call with all that belongs to it."""

    __slots__ = ("attempt", "call", "job", "n", "pbx", "reporter", "script", "timer", "timer_at")

    def __init__(
        self, job: JobRow, call: AnyCall, pbx: str, attempt: int, script: Script, reporter: Reporter
    ) -> None:
        self.job = job
        self.pbx = pbx
        self.call = call
        self.attempt = attempt
        self.script = shared(script)
        self.reporter = reporter
        self.n = 0
        self.timer: asyncio.TimerHandle | None = None
        self.timer_at = 0.0


def shared(script: Script) -> Script:
    """The same script, with one copy of each sound's name for all live calls: a prompt has some thirty names,
    and they are the same few hundred for everybody."""
    return Script(tuple(tuple(map(sys.intern, play)) for play in script.plays), script.seconds)


def _recording(call: AnyCall) -> str | None:
    """The recording that may lie on the PBX, whatever became of it."""
    if isinstance(call, Conversation) and call.second is not None and call.second.record:
        return call.id if call.connected_at is not None else None
    return None


class LiveCalls:
    """All live calls of this worker. `on_freed` is called with a node's name whenever it has room again.

    `may_act` says whether it is certain that the calls are still this worker's: a process that was stopped
    and wakes up may find that another has taken them over, and must not ask a PBX for anything any more. A
    dial that is not made for that reason is given back.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        worker: str,
        notify_url: str | None,
        trunks: Mapping[str, str | None],
        meters: Meters,
        max_queued: int,
        on_freed: Callable[[str], None],
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self.nodes: dict[str, Pbx] = {}
        self.on_link: Callable[[Link], None] = lambda link: None
        self.on_settled: Callable[[str, str, CallEvent, float], None] = lambda pbx, channel, event, at: None
        """Told once of each originate: the node, the channel, the first event that says what became of it."""
        self.on_over: Callable[[str, AnyCall, Over], None] = lambda pbx, call, over: None
        """Told of each ended call."""
        self.on_news: Callable[[str], None] = lambda job: None
        """Told of each job of which a step is on its way into the ledger."""
        self.on_second_leg: Callable[[str, SecondLeg], None] = lambda pbx, leg: leg.begin()
        """Told of each second leg of a callback that is to be dialled, and on which node."""
        self._ledger = ledger
        self._clock = clock
        self._worker = worker
        self._notify_url = notify_url
        self._trunks = trunks
        self._meters = meters
        self._max_queued = max_queued
        self._on_freed = on_freed
        self._may_act = may_act
        self._calls: dict[str, Live] = {}
        """By the channel of each leg."""
        self._by_job: dict[str, str] = {}
        self._on_node: dict[str, int] = {}
        self._inbox: deque[Signal | Link] = deque()
        self._scheduled = False
        self._overflowed: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()

    # ── what the worker asks ──

    def __len__(self) -> int:
        return len(self._by_job)

    def on_node(self, pbx: str) -> int:
        """How many channels a node has, or will have, for live calls: a callback counts as two."""
        return self._on_node.get(pbx, 0)

    def channels_on(self, pbx: str) -> list[str]:
        """The channels that this worker believes to live on a node."""
        return [channel for channel, live in self._calls.items() if live.pbx == pbx]

    async def wait_idle(self) -> None:
        """Wait until no call lives."""
        await self._idle.wait()

    def start(self, claim: Claim, script: Script) -> None:
        """Dial a claimed job. Its intent is durable already."""
        assert isinstance(claim.planned, ev.Planned)  # noqa: S101 - the ledger writes no other first line
        call, pbx = new_call(claim.call_id, claim.planned), claim.planned.pbx
        live = Live(claim.job, call, pbx, claim.attempt, script, self._reporter(claim.job))
        live.n = 1  # the intent is the journal's first line
        self._add(live)
        self._feed(live, claim.planned, claim.at, journal=False)

    def adopt(self, found: OpenCall, script: Script) -> None:
        """Take up a call from its journal. What became of it since, reconciliation tells."""
        call = new_call(found.call_id, found.journal[0].event)
        now = self._clock()
        for entry in found.journal:
            # A clock that was set back since must not make a timer of the call wait for the old time.
            call = advance(call, entry.event, min(entry.at, now)).call
        live = Live(found.job, call, call.pbx, found.attempt, script, self._reporter(found.job))
        live.n = len(found.journal)
        self._add(live)
        # What ran out while nobody looked is judged after the PBX has told what it knows.
        self._arm(live, not_before=now + ADOPT_GRACE)

    def cancel(self, job_id: str) -> None:
        """End the call of a job that somebody cancelled."""
        channel = self._by_job.get(job_id)
        if channel is not None:
            self._feed(self._calls[channel], ev.CancelRequested(), self._clock())

    def close(self) -> None:
        """Let go of what still lives: the next worker takes it up from the journal."""
        for live in self._calls.values():
            if live.timer is not None:
                live.timer.cancel()
                live.timer = None
        self._calls.clear()
        self._by_job.clear()
        self._on_node.clear()
        self._idle.set()

    # ── what the readers hand over ──

    def sink(self, signal: Signal | Link) -> None:
        """Take what a PBX reader decoded; never blocks. What overflows is found again by reconciliation."""
        if isinstance(signal, Signal) and len(self._inbox) >= self._max_queued:
            if signal.pbx not in self._overflowed:
                _log.error("events_overflowed", pbx=signal.pbx, mend="raise pbx.max_queued or lower max_cps")
            self._overflowed.add(signal.pbx)
            self._meters.events_dropped.labels().inc()
            return
        if isinstance(signal, Signal) and type(signal.event) is ev.Ready:
            self._take_at_once(signal)
            return
        self._inbox.append(signal)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def _take_at_once(self, signal: Signal) -> None:
        """Somebody has answered and hears nothing: their first play goes before all that waits."""
        channel = signal.channel
        inbox = self._inbox
        earlier = [each for each in inbox if isinstance(each, Signal) and each.channel == channel]
        for each in earlier:
            inbox.remove(each)
        for each in (*earlier, signal):
            try:
                self._take(each)
            except Exception as error:  # noqa: BLE001 - a fault in a call's step is not the reader's
                self._loop.call_exception_handler({"message": "a call's step failed", "exception": error})

    def _drain(self) -> None:
        inbox = self._inbox
        try:
            for _ in range(min(TURN, len(inbox))):
                self._take(inbox.popleft())
        finally:  # a fault in one call's step must not leave the others unheard
            if inbox:
                self._loop.call_soon(self._drain)
            else:
                self._scheduled = False
        if not inbox:
            self._settle_overflow()

    def _take(self, signal: Signal | Link) -> None:
        if isinstance(signal, Link):
            self.on_link(signal)
            return
        live = self._calls.get(signal.channel)
        if live is not None:
            event = signal.event
            if signal.channel != live.call.id:
                event = ev.OfCallee(event) if not isinstance(event, ev.OfCallee) else event
            self._feed(live, event, signal.at)
        elif type(signal.event) in _LIFE:
            # A call that was given up shows life: nobody may be left listening to silence.
            self._send(signal.pbx, Hangup(signal.channel))

    def _settle_overflow(self) -> None:
        overflowed, self._overflowed = self._overflowed, set()
        for pbx in overflowed:
            node = self.nodes.get(pbx)
            if node is not None and node.connected:  # otherwise its next connection settles it
                self.on_link(Link(pbx, True, self._clock(), "events overflowed"))

    # ── one step ──

    def _feed(self, live: Live, event: CallEvent, at: float, *, journal: bool = True) -> None:
        before = live.call
        call, commands, facts = advance(before, event, at)
        if call is before and not commands and not facts:
            return
        live.call = call
        if before.state is State.PLANNED and call.state is not State.PLANNED:
            self.on_settled(live.pbx, before.id, event, at)
        if (known := just_known(before, call)) is not None:
            self._ledger.made(known, at)
        if facts and isinstance(facts[-1], Undialed):
            self._undialed(live)
            return
        commit: Commit | None = None
        for command in commands:
            if isinstance(command, Commit):
                commit = command
            else:
                self._carry_out(live, command)
        if journal:
            live.n += 1
            self._record(live, Entry(live.n, at, event), facts)
        if commit is not None:
            self._ledger.durable(functools.partial(self._committed, live, commit.then))
        if call.state is State.ENDED:
            self._remove(live)
        elif call.timers is not before.timers:
            self._arm(live)

    def _committed(self, live: Live, then: CallEvent) -> None:
        """The journal says that the second leg is to be dialled: dial it, at the node's pace."""
        channel, begin = second_leg(live.call.id), functools.partial(self._feed_then, live, then)
        self.on_second_leg(live.pbx, SecondLeg(channel, lambda: callee_waits(live.call), begin))

    def _feed_then(self, live: Live, then: CallEvent) -> None:
        if self._calls.get(live.call.id) is live:
            self._feed(live, then, self._clock())

    def _carry_out(self, live: Live, command: Command) -> None:
        request: Request
        match command:
            case Originate():
                request = Dial(command.channel, command.number, command.caller_id, command.ring_timeout)
                self._meters.dialled(live.pbx)
            case Play() | PlayBoth():
                if command.play > len(live.script.plays):  # a call taken up whose script cannot be opened
                    refused = ev.PlayRefused(command.playback, 400, "what it has to say cannot be read")
                    self.sink(Signal(live.pbx, command.channel, refused, self._clock()))
                    return
                sounds = live.script.plays[command.play - 1]
                both = isinstance(command, PlayBoth)
                request = PlaySounds(command.channel, command.playback, sounds, both)
            case _:
                request = command
        self._send(live.pbx, request)

    def _send(self, pbx: str, request: Request) -> None:
        node = self.nodes.get(pbx)
        if node is None:
            return
        if self._may_act():
            node.send(request)
        elif isinstance(request, Dial):  # the others are asked for again, or found by the next owner
            self.sink(Signal(pbx, request.channel, ev.OriginateLost("not_sent"), self._clock()))

    def _record(self, live: Live, entry: Entry, facts: tuple[Fact, ...]) -> None:
        outgoing = []
        end: CallEnd | None = None
        for fact in facts:
            told = live.reporter.outgoing(fact, live.call, live.attempt)
            if told is not None:
                outgoing.append(told)
            if isinstance(fact, NotRecorded):
                _log.warning("not_recorded", job=live.job.id, call=live.call.id, reason=fact.reason)
            if isinstance(fact, Over):
                then = fate(live.job, live.attempt, fact)
                record = cdr(live.reporter, live.call, fact, live.attempt, self._trunks.get(live.pbx))
                end = CallEnd(
                    job_id=live.job.id,
                    call_id=live.call.id,
                    ended_at=fact.at,
                    cdr=record,
                    then=then,
                    recording=_recording(live.call),
                )
                self._meters.ended(live.pbx, fact)
                self.on_over(live.pbx, live.call, fact)
                if isinstance(then, Verdict):
                    verdict = live.reporter.ended(then.outcome, then.reason, live.attempt, then.at, live.call)
                    if verdict is not None:
                        outgoing.append(verdict)
        self._ledger.record(live.job.id, live.call.id, entry, outgoing, end)
        self.on_news(live.job.id)

    def _undialed(self, live: Live) -> None:
        self._ledger.undial(live.job.id, live.call.id, self._clock() + UNDIALED_DELAY)
        self._remove(live)

    # ── registry and timers ──

    def _reporter(self, job: JobRow) -> Reporter:
        return Reporter(job, self._notify_url, self._worker)

    def _add(self, live: Live) -> None:
        legs = channels(live.call)
        for channel in legs:
            self._calls[channel] = live
        self._by_job[live.job.id] = live.call.id
        self._on_node[live.pbx] = self._on_node.get(live.pbx, 0) + len(legs)
        self._idle.clear()

    def _remove(self, live: Live) -> None:
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        legs = channels(live.call)
        for channel in legs:
            del self._calls[channel]
        self._by_job.pop(live.job.id, None)
        self._on_node[live.pbx] -= len(legs)
        if not self._calls:
            self._idle.set()
        self._on_freed(live.pbx)

    def _arm(self, live: Live, not_before: float = 0.0) -> None:
        """See that the call's next timer fires. One set for earlier stays: it looks again when it fires."""
        upcoming = next_timer(live.call)
        if upcoming is None:
            return
        at = max(upcoming[1], not_before)
        if live.timer is not None:
            if live.timer_at <= at:
                return
            live.timer.cancel()
        live.timer_at = at
        live.timer = self._loop.call_later(max(0.0, at - self._clock()), self._fire, live)

    def _fire(self, live: Live) -> None:
        live.timer = None
        upcoming = next_timer(live.call)
        if upcoming is None or live.call.id not in self._calls:
            return
        name, at = upcoming
        now = self._clock()
        if now >= at:
            self._feed(live, ev.TimerFired(name), now)
        if live.call.id in self._calls and live.timer is None:
            self._arm(live)
