"""The worker: wires the rooms together and keeps them running until it is told to stop.

Order matters twice. At the start, every open call is taken up from its journal before a PBX is connected, so
that no event meets a stranger. At the stop, dialling ends first, then live calls get their time, then the
notifications, and the ledger is closed last.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final

import structlog

from orchestrator import setup
from orchestrator.config import Config
from orchestrator.dispatcher import NodeDispatcher, open_script
from orchestrator.guard.seal import Seal, SealError
from orchestrator.health.fleet import Fleet
from orchestrator.http.front import Front
from orchestrator.http.settings import Http
from orchestrator.http.watching import Watching
from orchestrator.intake.running import Intakes
from orchestrator.ledger.errors import LeaseLost
from orchestrator.ledger.records import Script
from orchestrator.ledgers import Held
from orchestrator.live import LiveCalls
from orchestrator.meters import Meters
from orchestrator.notify.errors import NotifyError
from orchestrator.notify.notifier import Notifier
from orchestrator.pbx.errors import PbxError
from orchestrator.pbx.port import Link, Pbx
from orchestrator.prompts import Library
from orchestrator.report import trunk_of
from orchestrator.second_legs import SecondLeg, SecondLegs
from orchestrator.sweeper import Sweeper, end_job
from orchestrator.upkeep import (
    batch_cdrs,
    flush_cdrs,
    keep_counts,
    keep_forgetting,
    keep_gauges,
    keep_health,
    keep_recordings,
    watch,
)

FLUSH_TIMEOUT: Final = 5.0
"""Seconds that notifications get to go out at the end; the rest waits in the ledger."""
RETRY_NODE: Final = 5.0
"""Seconds until a connected node that cannot be dialled with is looked at again."""

_log = structlog.get_logger(__name__)


class Node:
    """One PBX node: its adapter, what pulls jobs for it, and whether it may."""

    def __init__(self, name: str, pbx: Pbx, dispatcher: NodeDispatcher, second_legs: SecondLegs) -> None:
        self.name = name
        self.pbx = pbx
        self.dispatcher = dispatcher
        self.second_legs = second_legs
        self.link = Link(name, False, 0.0, "not connected yet")
        self.changed = asyncio.Event()
        self.problem: str | None = "not connected yet"


class Worker:
    """A running worker: `run` is all of it. With a `main` it is an heir: it only ends another's calls (by
    `finish`), which count as main's, and of which main tells the receivers."""

    def __init__(
        self,
        config: Config,
        holding: Held,
        library: Library,
        seal: Seal,
        only: str | None,
        main: "Worker | None" = None,
    ) -> None:
        ledger, clock = holding.ledger, holding.clock
        self.meters = Meters()
        self.draining = main is not None
        self._config = config
        self._ledger = ledger
        self._library = library
        self._seal = seal
        self._clock = clock
        self._only = only
        self._keep_hold, self._holds = holding.keep, holding.holds
        self._nodes: dict[str, Node] = {}
        url, name = config.notify.url, config.worker.name
        self.live = LiveCalls(
            ledger,
            clock,
            worker=name,
            notify_url=url,
            trunks={pbx.name: trunk_of(pbx.dial) for pbx in config.pbx},
            meters=self.meters if main is None else main.meters,
            max_queued=sum(pbx.max_queued for pbx in config.pbx) or 1,
            on_freed=self._freed,
            may_act=holding.holds,
        )
        self.live.on_link = self._linked
        self.live.on_second_leg = self._second_leg
        self.fleet = Fleet(clock, self.meters, lambda name: self.live.nodes[name].connected)
        self.live.on_settled, self.live.on_over = self.fleet.settled, self.fleet.over
        self.sweeper = Sweeper(ledger, self.live, clock, self._end)
        self.intakes = Intakes(config)
        self.notifier: Notifier | None = None
        if main is not None:
            if main.notifier is not None:
                ledger.on_deliveries = main.notifier.offer
        elif setup.secrets_of(config) or self.intakes.replies:
            self.notifier = Notifier(
                ledger,
                setup.notify_settings(config),
                clock,
                secrets.SystemRandom().random,
                meter=self.meters,
                wall=time.time,
                may_send=holding.holds,
                carriers=self.intakes.replies,
            )
            ledger.on_deliveries = self.notifier.offer
        for pbx in config.pbx:
            reacted = self.meters.reaction_seconds.labels(pbx.name).observe
            adapter = setup.make_pbx(
                pbx, self.live.sink, clock, holding.apps[pbx.name], reacted, holding.holds
            )
            dispatcher = NodeDispatcher(
                pbx,
                ledger,
                self.live,
                seal,
                clock,
                self.fleet,
                may_dial=self._may_dial,
                end=self._end,
                only=only,
                missing=_missing_of(adapter),
                limits=config.limits,
                limited=self.meters.limited,
            )
            second = SecondLegs(pbx.name, ledger, clock, dispatcher.next_start)
            self._nodes[pbx.name] = Node(pbx.name, adapter, dispatcher, second)
            self.live.nodes[pbx.name] = adapter

    def why_not_ready(self) -> str | None:
        """Why no call can be made now, or None."""
        if self.draining:
            return "draining"
        if self._ledger.fault is not None:
            return f"ledger: {self._ledger.fault}"
        problems = {
            name: node.problem or self.fleet.why_open(name) or "" for name, node in self._nodes.items()
        }
        if all(problems.values()):
            return "; ".join(f"{name}: {why.removeprefix(f'pbx {name}: ')}" for name, why in problems.items())
        return None

    def wake(self) -> None:
        """Look at the ledger again: another process wrote to it."""
        self.sweeper.bell.ring()
        for node in self._nodes.values():
            node.dispatcher.bell.ring()
        if self.notifier is not None:
            self.notifier.wake()

    def front(self, http: Http) -> Front:
        """What the HTTP API stands on.

        Raises `ConfigError`.
        """
        watching = Watching()
        self.live.on_news = watching.ring
        return Front(
            http=http,
            keys=setup.load_keys(self._config),
            ledger=self._ledger,
            rules=setup.rules(self._config, self._library, self._seal),
            clock=self._clock,
            meters=self.meters,
            nodes=self.live.nodes,
            worker=self._config.worker.name,
            watching=watching,
            why_not_ready=self.why_not_ready,
            may_take=lambda: self._ledger.waiting < self._config.ledger.max_queued // 2,
            wake=self.wake,
        )

    async def adopt(self) -> None:
        """Take up every call that has no end in the ledger."""
        for found in await self._ledger.open_calls():
            try:
                script = open_script(self._seal, found)
            except SealError as error:
                _log.error("call_unreadable", job=found.job.id, error=str(error))
                script = Script((), 0)
            self.live.adopt(found, script)
            _log.info("call_adopted", job=found.job.id, call=found.call_id)

    async def finish(self, leave: asyncio.Event) -> None:
        """As an heir: go on with the calls taken up until the last has ended, or `leave` is set.

        Raises as `run` does.
        """
        fault: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                keep = [
                    group.create_task(job)
                    for job in (
                        self._ledger.broken(),
                        self._keep_hold(),
                        self.sweeper.run(),
                        watch(self._ledger, self.wake),
                        *(node.pbx.run() for node in self._nodes.values()),
                        *(self._keep(node) for node in self._nodes.values()),
                        *(node.second_legs.run() for node in self._nodes.values()),
                    )
                ]
                ends = [group.create_task(each) for each in (self.live.wait_idle(), _set(leave))]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in (*keep, *ends):
                    task.cancel()
        except* (PbxError, LeaseLost) as several:
            fault = _first(several)  # raised in here, Python before 3.11.4 would make a group of it
        finally:
            self.live.close()
        if fault is not None:
            raise fault

    async def run(self, stop: asyncio.Event, *also: Coroutine[None, None, None]) -> None:
        """Work until `stop` is set, then drain. `also` is done meanwhile.

        Raises `PbxConfigError` when a PBX refuses us for good, and whatever breaks the ledger.
        """
        fault: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                keep = [
                    group.create_task(job)
                    for job in (
                        *also,
                        self._ledger.broken(),
                        self._keep_hold(),
                        self.sweeper.run(),
                        watch(self._ledger, self.wake),
                        keep_forgetting(self._ledger, self._clock, self._config.ledger.keep_days),
                        keep_recordings(
                            self._ledger, self.live.nodes, self._clock, self._config.callback.keep_days
                        ),
                        keep_counts(self._ledger, self.meters),
                        keep_health(self.fleet),
                        keep_gauges(self._ledger, self.meters, self.live, self.why_not_ready),
                        batch_cdrs(self._ledger, self._clock, self._config, self.notifier is not None),
                        *((self.notifier.run(),) if self.notifier else ()),
                        *((self._take_jobs(),) if self._config.intake and self._only is None else ()),
                        *(node.pbx.run() for node in self._nodes.values()),
                        *(self._keep(node) for node in self._nodes.values()),
                        *(node.second_legs.run() for node in self._nodes.values()),
                    )
                ]
                pulling = [group.create_task(node.dispatcher.run()) for node in self._nodes.values()]
                await stop.wait()
                await self._drain(pulling)
                for task in keep:
                    task.cancel()
        except* (PbxError, NotifyError, LeaseLost) as several:
            fault = _first(several)
        finally:
            self.live.close()
            await self.intakes.close()
        if fault is not None:
            raise fault

    async def _take_jobs(self) -> None:
        """Take jobs from the queues that are configured, while there is room."""
        rules = setup.rules(self._config, self._library, self._seal)

        def may_take() -> bool:
            return self._may_dial() and self._holds()

        registry = self.meters.registry
        await self.intakes.run(self._ledger, rules, self._clock, registry, may_take, self.wake)

    async def _drain(self, pulling: list[asyncio.Task[None]]) -> None:
        self.draining = True
        for node in self._nodes.values():
            node.dispatcher.stop()
        # A claim that is being committed is waited for, unless the ledger cannot commit at all.
        _, stuck = await asyncio.wait(pulling, timeout=self._config.worker.drain_timeout)
        for task in stuck:
            task.cancel()
        if len(self.live):
            _log.info("draining", live_calls=len(self.live), limit=self._config.worker.drain_timeout)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.worker.drain_timeout):
                await self.live.wait_idle()
        if len(self.live):
            _log.warning("calls_left", count=len(self.live), note="the next worker takes them up")
        if self.notifier is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_TIMEOUT):
                    await flush_cdrs(self._ledger, self._clock, self._config)
            await self.notifier.drain(FLUSH_TIMEOUT)

    def _may_dial(self) -> bool:
        backlog = self._ledger.waiting >= self._config.ledger.max_queued // 2
        return not self.draining and not backlog and self._ledger.fault is None

    async def _end(self, job_id: str, outcome: str, reason: str) -> None:
        config = self._config
        now = self._clock()
        await end_job(self._ledger, job_id, outcome, reason, now, config.notify.url, config.worker.name)

    def _freed(self, pbx: str) -> None:
        node = self._nodes.get(pbx)  # none for a call taken up from a node that is configured no more
        if node is not None:
            node.dispatcher.freed()

    def _second_leg(self, pbx: str, leg: SecondLeg) -> None:
        node = self._nodes.get(pbx)
        if node is not None:
            node.second_legs.dial(leg)
        else:  # of a call taken up from a node that is configured no more: its own timers end it
            leg.begin()

    # ── one node ──

    def _linked(self, link: Link) -> None:
        node = self._nodes[link.pbx]
        node.link = link
        self.fleet.linked(link)
        node.changed.set()
        if not link.up:
            node.dispatcher.ready = False
            node.problem = link.reason

    async def _keep(self, node: Node) -> None:
        """Whenever the node's connection comes up: settle what was missed, check its sounds, let it dial."""
        while True:
            await node.changed.wait()
            node.changed.clear()
            if not node.link.up:
                continue
            problem = await self._problem_of(node)
            if node.changed.is_set():  # the connection has gone meanwhile, or events: begin anew
                continue
            node.problem = problem
            node.dispatcher.ready = problem is None
            if node.problem is None:
                _log.info("pbx_ready", pbx=node.name)
                node.dispatcher.bell.ring()
            elif not node.changed.is_set():
                _log.error("pbx_not_ready", pbx=node.name, reason=node.problem)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_NODE):
                        await node.changed.wait()
                node.changed.set()

    async def _problem_of(self, node: Node) -> str | None:
        """Settle what was missed. Why the node cannot be dialled with, or None."""
        if not self._holds():  # what it would hang up as strays may be the next owner's calls
            return "it is not certain that the ledger is still this worker's"
        try:
            await node.pbx.reconcile(self.live.channels_on(node.name))
            return await self._missing_sounds(node)
        except PbxError as error:
            return str(error)

    async def _missing_sounds(self, node: Node) -> str | None:
        check = await node.pbx.check_sounds(tuple(self._library.sounds))
        if not check.missing:
            node.dispatcher.checked = set(self._library.sounds)
            return None
        return (
            f"{len(check.missing)} of {check.checked} sounds are not there, such as {check.missing[0]}; "
            "run: orchestrator sounds install"
        )


def _missing_of(pbx: Pbx) -> Callable[[Sequence[str]], Awaitable[Sequence[str]]]:
    async def missing(sounds: Sequence[str]) -> Sequence[str]:
        return (await pbx.check_sounds(sounds)).missing

    return missing


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
