"""One node's health: what its originates and its calls say, and what may be asked of it now.

Pure: the facts of its calls come in with their times, nothing goes out.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from orchestrator.call.either import AnyCall
from orchestrator.call.events import (
    CallEvent,
    CancelRequested,
    Gone,
    OriginateLost,
    Refused,
    TimerFired,
)
from orchestrator.call.facts import Over
from orchestrator.call.outcome import Outcome
from orchestrator.health.breaker import Breaker, State
from orchestrator.health.quality import Collapse, Quality, Trend
from orchestrator.pace import Pace

STALL: Final = 1.0
"""Seconds without an answer to any originate after which no more are sent until one is answered."""
SLOW: Final = 1.0
"""Seconds that answers to originates take on average when the node is overloaded."""
LATEST: Final = 0.2
"""Weight of the latest answer in that average."""
MANY: Final = 1_000_000
"""No limit."""
TRIAL: Final = 0.1
"""Health of a node that is being tried again."""

CONGESTION: Final = frozenset({34, 42, 44, 47})
"""Q.850 causes with which a trunk or switch says that it has no more room."""
LOOKED_AT: Final = 20
"""So many ended calls are looked at for congestion of the trunk."""
CONGESTED: Final = 0.2
"""The share of them, and `SEVERAL` at least, that counts: one destination's congestion is not the node's."""
SEVERAL: Final = 3

_REFUSES_ALL: Final = frozenset({401, 403, 404, 405})
"""Statuses below 500 by which a PBX says that something is wrong with us or with it, not with the call."""
_UNANSWERED: Final = (CancelRequested, TimerFired, Gone)
_NETWORK: Final = frozenset({Outcome.CONGESTED, Outcome.UNREACHABLE, Outcome.FAILED})


class Slowed(NamedTuple):
    """The node's rate was cut."""

    reason: str


class NodeHealth:
    """What is known of one node. `max_cps` as the operator allows, `weight` as the operator wants. `took` is
    told how long the PBX took to answer each originate."""

    def __init__(
        self, name: str, weight: float, max_cps: float, took: Callable[[float], None] = lambda seconds: None
    ) -> None:
        self.name = name
        self.weight = weight
        self.held = False
        """Set by whoever was refused a call by `limit`, and wants to be woken when something has changed."""
        self.pace = Pace(max_cps)
        self._took = took
        self.breaker = Breaker()
        self.quality = Quality()
        self.collapse: Collapse | None = None
        self._asked: dict[str, float] = {}
        self._answered_at = float("-inf")
        self._latency = 0.0
        self._trunk: deque[bool] = deque(maxlen=LOOKED_AT)

    # ── what happens ──

    def asked(self, channel: str, now: float) -> None:
        """An originate is about to leave."""
        self._asked[channel] = now

    def settled(self, channel: str, event: CallEvent, connected: bool, now: float) -> Slowed | None:
        """The first that was heard of an originate. Whatever proves that the PBX took it counts as taken."""
        asked_at = self._asked.pop(channel, None)
        if asked_at is None:  # taken up from the journal: nobody knows when it was asked for
            return None
        if isinstance(event, OriginateLost):
            return self._lost(event, asked_at, connected, now)
        if isinstance(event, _UNANSWERED):
            return None
        self._answered_at = now
        seconds = now - asked_at
        self._took(seconds)
        self._latency += LATEST * (seconds - self._latency)
        if isinstance(event, Refused):
            return self._refused(event, asked_at, now)
        tried = self.breaker.state is State.HALF_OPEN
        self.breaker.succeeded(asked_at, now)
        if tried and self.breaker.state is State.CLOSED:
            self.pace.begin_again(now)
        if self._latency > SLOW:
            return self._cut(f"it takes {self._latency:.1f} s to answer an originate", now)
        return None

    def over(self, call: AnyCall, over: Over) -> Slowed | None:
        """A call has ended."""
        answered_at, dialed_at = call.answered_at, call.dialed_at
        if answered_at is None and (dialed_at is None or over.cause is None):
            return None  # the PBX did not take it, or nobody saw how it ended
        if answered_at is None and over.outcome is Outcome.CANCELLED:
            return None
        rang_at = call.ringing_at or answered_at
        delay = None if rang_at is None or dialed_at is None else max(0.0, rang_at - dialed_at)
        failed = answered_at is None and over.outcome in _NETWORK
        self.quality.add(over.at, answered_at is not None, failed, delay)
        congested = failed and (over.cause in CONGESTION or over.sip_status == 503)
        self._trunk.append(congested)
        if not congested:
            return None
        several, of = sum(self._trunk), len(self._trunk)
        if several < SEVERAL or several < CONGESTED * of:
            return None
        self._trunk.clear()
        return self._cut(f"its trunk was congested for {several} of the last {of} calls", over.at)

    def linked(self, up: bool, now: float) -> None:
        """The connection came up or went down."""
        self.breaker.linked(up, now)
        self._latency = 0.0

    def judge(self, others: Trend, now: float) -> None:
        """Compare its calls with what the past and the other nodes let expect."""
        self.collapse = self.quality.judge(others, now)

    # ── what follows from it ──

    def factor(self) -> float:
        """The part of its share that the node keeps for the quality of its calls, above 0, at most 1."""
        return self.collapse.factor if self.collapse is not None else 1.0

    def health(self, now: float) -> float:
        """0 to 1: how much of its weight counts now."""
        match self.breaker.state:
            case State.OPEN:
                return 0.0
            case State.HALF_OPEN:
                return TRIAL
            case _:
                return self.factor() * self.pace.rate(now) / self.pace.most

    def limit(self, now: float) -> int:
        """How many calls may be started now, as far as health is concerned."""
        match self.breaker.state:
            case State.OPEN:
                return 0
            case State.HALF_OPEN:
                return 0 if self._asked else 1
            case _:
                return 0 if self.stalled(now) else MANY

    def stalled(self, now: float) -> bool:
        """Whether originates wait for an answer and none has come for a while."""
        if not self._asked:
            return False
        return now - max(next(iter(self._asked.values())), self._answered_at) > STALL

    # ── what a fate means ──

    def _lost(self, event: OriginateLost, asked_at: float, connected: bool, now: float) -> Slowed | None:
        if not connected:  # that the connection is gone says it all
            return None
        if event.stage == "not_sent":
            why = "too many requests wait for an answer"
            self.breaker.failed(why, asked_at, now)
            return self._cut(why, now)
        self.breaker.failed("no answer in time", asked_at, now)
        return None

    def _refused(self, event: Refused, asked_at: float, now: float) -> Slowed | None:
        status = event.status
        # The text is the PBX's own and could quote what was dialled: the status says enough.
        if status >= 500 or status in _REFUSES_ALL:
            self.breaker.failed(f"refused with {status}", asked_at, now)
        if status in (429, 503):
            return self._cut(f"it refuses calls with {status}", now)
        return None

    def _cut(self, reason: str, now: float) -> Slowed | None:
        return Slowed(reason) if self.pace.cut(now) else None
