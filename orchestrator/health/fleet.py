"""All nodes of one worker: the facts of their calls in, what each gets of the calls out, and a word of each
change.

The live calls tell once how each originate went and once how each call ended; the rest is looked at now and
then, in `judge`.
"""

from collections.abc import Callable

import structlog

from orchestrator.call.either import AnyCall
from orchestrator.call.events import CallEvent
from orchestrator.call.facts import Over
from orchestrator.clock import Clock
from orchestrator.config import Pbx as PbxConfig
from orchestrator.health.breaker import State
from orchestrator.health.node import NodeHealth, Slowed
from orchestrator.health.quality import trend
from orchestrator.health.shares import Shares
from orchestrator.meters import Meters
from orchestrator.pbx.port import Link

_STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}

_log = structlog.get_logger(__name__)


class Fleet:
    """The nodes by name. `connected` says of each whether requests can be sent to it now."""

    def __init__(self, clock: Clock, meters: Meters, connected: Callable[[str], bool]) -> None:
        self.shares = Shares()
        self._clock = clock
        self._meters = meters
        self._connected = connected
        self._nodes: dict[str, NodeHealth] = {}
        self._slowed: set[str] = set()
        self._degraded: dict[str, str] = {}

    def join(
        self, config: PbxConfig, contends: Callable[[float], bool], wake: Callable[[], None]
    ) -> NodeHealth:
        """Add a node. `contends(now)`: it waits for a job and could start it now; `wake`: it is to look."""
        took = self._meters.originate_seconds.labels(config.name).observe
        node = NodeHealth(config.name, config.weight, config.max_cps, took)
        self._nodes[config.name] = node
        self.shares.join(config.name, lambda now: node.weight * node.health(now), contends, wake)
        return node

    def node(self, name: str) -> NodeHealth:
        """What is known of a node that has joined."""
        return self._nodes[name]

    # ── what the dispatcher and the live calls tell ──

    def started(self, pbx: str, channel: str, now: float) -> None:
        """An originate is about to leave."""
        self._nodes[pbx].asked(channel, now)
        self.shares.started(pbx, now)

    def settled(self, pbx: str, channel: str, event: CallEvent, at: float) -> None:
        """The first that was heard of an originate."""
        node = self._nodes.get(pbx)
        if node is None:
            return
        state = node.breaker.state
        slowed = node.settled(channel, event, self._connected(pbx), at)
        if slowed is not None:
            self._say_slowed(node, slowed, at)
        if node.breaker.state is not state:
            self._say_breaker(node, at)
        if node.held:
            node.held = False
            self.shares.wake(pbx)

    def over(self, pbx: str, call: AnyCall, over: Over) -> None:
        """A call has ended."""
        node = self._nodes.get(pbx)
        if node is None:
            return
        slowed = node.over(call, over)
        if slowed is not None:
            self._say_slowed(node, slowed, over.at)

    # ── what the worker tells ──

    def linked(self, link: Link) -> None:
        """A connection came up or went down."""
        node = self._nodes[link.pbx]
        state = node.breaker.state
        node.linked(link.up, link.at)
        if node.breaker.state is not state:
            self._say_breaker(node, link.at)

    def probed(self, pbx: str, fault: str | None) -> None:
        """An open breaker's node was asked without ringing anybody; `fault` when that failed."""
        node, now = self._nodes[pbx], self._clock()
        node.breaker.probed(fault, now)
        self._say_breaker(node, now)

    def judge(self) -> None:
        """Compare the nodes, say what has changed, and set the gauges."""
        now = self._clock()
        for name, node in self._nodes.items():
            others = trend(other.quality for other in self._nodes.values() if other is not node)
            node.judge(others, now)
            self._say_quality(node)
            if name in self._slowed and node.pace.rate(now) >= node.pace.most:
                self._slowed.discard(name)
                _log.info("pbx_full_pace", pbx=name, cps=node.pace.most)
            self._meters.health.labels(name).set(node.health(now))
            self._meters.breaker.labels(name).set(_STATES[node.breaker.state])
            self._meters.cps.labels(name).set(node.pace.rate(now) * self.cut(name))

    # ── what follows from it ──

    def why_open(self, pbx: str) -> str | None:
        """Why the node gets no calls at all, or None."""
        breaker = self._nodes[pbx].breaker
        return f"its breaker is open: {breaker.reason}" if breaker.state is State.OPEN else None

    def cut(self, pbx: str) -> float:
        """The part of its rate that a node may use. One whose calls fare badly goes slower, while there is a
        better one to take them."""
        factor = self._nodes[pbx].factor()
        if factor == 1.0:
            return factor
        others = (other for name, other in self._nodes.items() if name != pbx and self._connected(name))
        better = any(o.factor() > factor and o.breaker.state is State.CLOSED for o in others)
        return factor if better else 1.0

    # ── what is said ──

    def _say_slowed(self, node: NodeHealth, slowed: Slowed, now: float) -> None:
        if node.name not in self._slowed:
            self._slowed.add(node.name)
            cps = round(node.pace.rate(now), 2)
            _log.warning("pbx_slowed", pbx=node.name, cps=cps, max_cps=node.pace.most, reason=slowed.reason)

    def _say_breaker(self, node: NodeHealth, now: float) -> None:
        breaker, name = node.breaker, node.name
        match breaker.state:
            case State.OPEN:
                seconds = round(breaker.until - now, 1)
                _log.error("pbx_breaker_open", pbx=name, reason=breaker.reason, seconds=seconds)
            case State.HALF_OPEN:
                _log.info("pbx_breaker_half_open", pbx=name, note="it gets one call at a time")
            case State.CLOSED:
                self._slowed.add(name)
                _log.info("pbx_breaker_closed", pbx=name, cps=round(node.pace.rate(now), 2))

    def _say_quality(self, node: NodeHealth) -> None:
        name, before, now = node.name, self._degraded.get(node.name), node.collapse
        if now is None:
            if before is not None:
                del self._degraded[name]
                _log.info("pbx_recovered", pbx=name)
        elif now.what != before:
            self._degraded[name] = now.what
            _log.warning("pbx_degraded", pbx=name, reason=now.reason, share=round(now.factor, 2))
