"""Which job is dialled next, where and when.

Each PBX node pulls: while it is connected, healthy, has room and its pace allows, it claims the most urgent
due job from the ledger and dials it. The claim is the durable intent to dial. A node claims a moment ahead of
its pace, for a commit takes longer than the gap between two starts of a fast one. Nodes share one queue, so a
slow or lost node simply pulls nothing; of several that could take a job, the one farthest behind its share
looks first.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Final

import msgspec
import structlog

from orchestrator.call.events import Planned
from orchestrator.clock import Clock
from orchestrator.config import Pbx as PbxConfig
from orchestrator.guard.seal import Seal, SealError
from orchestrator.health.fleet import Fleet
from orchestrator.ledger.limits import LOOK_MOST, UNLIMITED, CallLimits, why_blocked
from orchestrator.ledger.port import Ledger
from orchestrator.ledger.records import Claim, Claimed, OpenCall, Script
from orchestrator.live import LiveCalls
from orchestrator.pace import MISSED
from orchestrator.pbx.errors import PbxError

LONGEST_WAIT: Final = 1.0
"""Seconds after which a node looks again in any case, for a due job that it may not take now."""
CLAIM_AHEAD: Final = 0.1
"""Seconds of the node's pace that are claimed at once, so that one commit serves several starts; and how long
before it runs out of them a node claims again."""
YIELD: Final = 0.001
"""Seconds for which a node lets each go ahead whose turn it is: enough to ask the ledger, which serves in
that order."""
STALE: Final = 2.0
"""Seconds after which a claim that was long in coming is given back: its timers began when it was made."""

SPOKEN: Final = "speech/"
"""How the id of a sound begins that a speech engine rendered."""

_log = structlog.get_logger(__name__)
_decode_script = msgspec.json.Decoder(Script).decode


def open_script(seal: Seal, claim: Claim | OpenCall) -> Script:
    """What a job has to say.

    Raises `SealError`.
    """
    return _decode_script(seal.open(claim.job.id, claim.sealed))


class Doorbell:
    """Wakes everyone who waits. A ring between two waits is not lost to whoever looked at `count` before."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake all."""
        self.count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seen: int, seconds: float) -> None:
        """Return when it has rung since `seen`, or after so many `seconds`."""
        if self.count != seen:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass


class NodeDispatcher:
    """Pulls jobs for one node. It is stopped by `stop`, never cancelled in mid-claim: a claim is an intent
    to dial, and one that nobody acts upon could not be told from one that was."""

    def __init__(
        self,
        config: PbxConfig,
        ledger: Ledger,
        live: LiveCalls,
        seal: Seal,
        clock: Clock,
        fleet: Fleet,
        *,
        may_dial: Callable[[], bool],
        end: Callable[[str, str, str], Awaitable[None]],
        only: str | None = None,
        missing: Callable[[Sequence[str]], Awaitable[Sequence[str]]] | None = None,
        limits: CallLimits = UNLIMITED,
        limited: Callable[[Claimed], None] = lambda claimed: None,
    ) -> None:
        self.bell = Doorbell()
        """Rung for new jobs, and when something that held the node up has changed."""
        self.ready = False
        """Set by the worker: connected, reconciled, sounds in place."""
        self.checked: set[str] = set()
        """The sounds that the node is known to have. For others it is asked, by `missing`."""
        self._missing = missing
        self._config = config
        self._ledger = ledger
        self._live = live
        self._seal = seal
        self._clock = clock
        self._may_dial = may_dial
        self._end = end
        self._only = only
        self._limits = limits
        self._limited = limited
        self._held_until = 0.0
        """So long jobs may wait for the end of a call."""
        self._fleet = fleet
        self._health = fleet.join(config, self._contends, self.bell.ring)
        self._pace = self._health.pace
        self._ahead: deque[Claim] = deque()
        """Claimed, and not dialled yet."""
        self._claimed = asyncio.Event()
        self._pulling = True
        self._busy = False
        self._sees_speech = False
        self._full = False
        self._legs = 2
        """Lines that a call may take, by what was claimed last; a callback takes two."""
        self._stopping = False

    async def run(self) -> None:
        """Pull until stopped, and dial what is claimed then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._dial_claimed())
            while not self._stopping:
                seen = self.bell.count
                self._busy = True
                wait = await self._look()
                self._busy = False
                if wait > 0:
                    await self.bell.wait(seen, min(wait, LONGEST_WAIT))
            self._pulling = False
            self._claimed.set()

    async def _dial_claimed(self) -> None:
        while self._pulling or self._ahead:
            self._claimed.clear()
            while self._ahead:
                started = await self._dial(self._ahead[0])
                self._ahead.popleft()
                if not started:
                    self.bell.ring()  # there is room again
            if self._pulling:
                await self._claimed.wait()

    def stop(self) -> None:
        """Dial nothing more; `run` returns soon."""
        self._stopping = True
        self.bell.ring()

    def freed(self) -> None:
        """A call on this node has ended."""
        if self._full or self._clock() < self._held_until:
            self.bell.ring()

    def next_start(self) -> float:
        """Take the pace's next start, for the second leg of a callback. Seconds until it is due."""
        now = self._clock()
        wait = self._pace.wait(now)
        self._pace.take(now + wait, self._fleet.cut(self._config.name))
        return wait

    def _contends(self, now: float) -> bool:
        """Whether it waits for a job and could start it at once."""
        return not self._busy and self._able(now) and self._backlog(now) <= CLAIM_AHEAD

    def _able(self, now: float) -> bool:
        return self.ready and not self._stopping and self._room(now) > 0

    def _room(self, now: float) -> int:
        """How many calls it may start now, its pace aside."""
        return min(self._slots(), self._health.limit(now) - len(self._ahead))

    def _slots(self) -> int:
        """Lines that are neither taken nor promised."""
        promised = sum(claim.legs for claim in self._ahead)
        return self._config.max_calls - self._live.on_node(self._config.name) - promised

    def _backlog(self, now: float) -> float:
        """Seconds until what is claimed next could be dialled."""
        return self._pace.wait(now) + len(self._ahead) / self._rate(now)

    async def _look(self) -> float:
        """Do what can be done now. Seconds until it is worth looking again."""
        now = self._clock()
        breaker = self._health.breaker
        if self.ready and breaker.due(now):
            await self._probe()
            return 0.0
        if not self.ready or not self._may_dial():
            return LONGEST_WAIT
        self._full = self._slots() <= 0
        self._health.held = self._health.limit(now) <= len(self._ahead)
        if self._full or self._health.held:
            return breaker.until - now if breaker.until > now else LONGEST_WAIT
        pause = self._backlog(now)
        if pause > CLAIM_AHEAD:
            return pause - CLAIM_AHEAD / 2
        ahead = self._fleet.shares.ahead(self._config.name, now)
        if ahead:
            await asyncio.sleep(ahead * YIELD)
            now = self._clock()
            if not self._able(now):
                return 0.0
        return await self._pull(now)

    async def _probe(self) -> None:
        """Ask a node that failed how it is, without ringing anybody."""
        sound = next(iter(self.checked), None)
        fault: str | None = None
        if self._missing is not None and sound is not None:
            try:
                await self._missing((sound,))
            except PbxError as error:
                fault = str(error)
        self._fleet.probed(self._config.name, fault)

    async def _pull(self, now: float) -> float:
        """Claim what the pace allows soon. Seconds until it is worth looking again."""
        several = 1 + int(CLAIM_AHEAD * self._rate(now))
        calls = max(1, self._room(now) // self._legs)
        claimed = await self._ledger.claim(
            self._config.name,
            self._config.caller_ids,
            now,
            min(several, calls),
            self._only,
            self._limits,
        )
        for n, claim in enumerate(claimed.claims):
            if n and claim.legs > self._slots():  # the first callback after other calls
                self._give_back(claim, self._clock())
            else:
                self._ahead.append(claim)
        if claimed.claims:
            self._claimed.set()
            self._legs = max(claim.legs for claim in claimed.claims)
        if claimed.held or claimed.blocked:
            await self._heed(claimed, now)
        if claimed.claims or claimed.held or claimed.blocked:
            return 0.0
        if claimed.next_at is None or claimed.next_at <= now:
            return LONGEST_WAIT
        return claimed.next_at - now

    async def _heed(self, claimed: Claimed, now: float) -> None:
        """End what a limit forbids to dial; look again for what one makes wait when a call has ended."""
        self._limited(claimed)
        if claimed.held:
            self._held_until = now + LOOK_MOST
        for blocked in claimed.blocked:
            await self._end(blocked.job_id, "blocked", why_blocked(blocked.limit))

    def _rate(self, now: float) -> float:
        return self._pace.rate(now) * self._fleet.cut(self._config.name)

    def _give_back(self, claim: Claim, now: float) -> None:
        """Another node may take it at once."""
        self._ledger.undial(claim.job.id, claim.call_id, now)
        self._fleet.shares.wake_others(self._config.name)

    async def _dial(self, claim: Claim) -> bool:
        """Start a call, as the pace allows. False when it could not be."""
        try:
            script = open_script(self._seal, claim)
        except SealError as error:
            _log.error("job_unreadable", job=claim.job.id, error=str(error))
            self._ledger.undial(claim.job.id, claim.call_id, self._clock())
            await self._end(claim.job.id, "failed", str(error))
            return False
        if not self._may_show(claim):
            reason = f"pbx {self._config.name} may not show both numbers of this callback; see its caller_ids"
            _log.error("job_unshowable", job=claim.job.id, pbx=self._config.name)
            self._ledger.undial(claim.job.id, claim.call_id, self._clock())
            await self._end(claim.job.id, "failed", reason)
            return False
        fresh = self._unchecked(script) if self._missing is not None else set()
        if self._missing is not None and fresh:
            try:
                lacking = await self._lacking(fresh, self._missing)
            except PbxError:
                self._ledger.undial(claim.job.id, claim.call_id, self._clock() + LONGEST_WAIT)
                return False
            if lacking:
                reason = (
                    f"pbx {self._config.name} lacks sounds that this job speaks; "
                    "run: orchestrator sounds install"
                )
                _log.error("job_sounds_missing", job=claim.job.id, pbx=self._config.name, count=len(lacking))
                self._ledger.undial(claim.job.id, claim.call_id, self._clock())
                await self._end(claim.job.id, "failed", reason)
                return False
        now = self._clock()
        pause = self._pace.wait(now)
        if pause > 2 * CLAIM_AHEAD:  # the pace was cut meanwhile
            self._give_back(claim, now)
            return False
        pause = max(pause, claim.start_at - now)
        if pause > 0:
            await asyncio.sleep(pause)
            now = self._clock()
        late = now >= min(claim.job.expires_at, claim.at + STALE)  # the ledger was stuck meanwhile
        late = late or 0 < claim.start_at < now - MISSED
        if late or self._health.limit(now) <= 0:
            self._give_back(claim, now)
            return False
        self._pace.take(now, self._fleet.cut(self._config.name))
        self._fleet.started(self._config.name, claim.call_id, now)
        self._live.start(claim, script)
        return True

    def _unchecked(self, script: Script) -> set[str]:
        """The job's sounds that the node is not known to have. What a speech engine rendered lies in one
        folder: a node that has one such sound sees them all, and there are too many to remember."""
        if self.checked.issuperset(chain(*script.plays)):
            return set()
        fresh = set(chain(*script.plays)) - self.checked
        if self._sees_speech:
            fresh = {sound for sound in fresh if not sound.startswith(SPOKEN)}
        return fresh

    def _may_show(self, claim: Claim) -> bool:
        """Whether this node may show both numbers of a callback: the ledger looks at one only, and the
        configuration may have changed since the job was taken."""
        planned = claim.planned
        if not isinstance(planned, Planned) or planned.second is None:
            return True
        return {planned.caller_id, planned.second.caller_id} <= {None, *self._config.caller_ids}

    async def _lacking(
        self, fresh: set[str], missing: Callable[[Sequence[str]], Awaitable[Sequence[str]]]
    ) -> Sequence[str]:
        """Sounds that came to the library since the node was asked, and that it has not."""
        lacking = await missing(sorted(fresh))
        there = fresh.difference(lacking)
        spoken = {sound for sound in there if sound.startswith(SPOKEN)}
        self._sees_speech = self._sees_speech or bool(spoken)
        self.checked.update(there - spoken)
        return lacking
