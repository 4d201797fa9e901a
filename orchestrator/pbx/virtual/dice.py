"""The dice: how the faults of the moment befall requests, answers and events."""

import asyncio
from collections.abc import Callable
from random import Random

from orchestrator.pbx.virtual.faults import NONE, Faults, Kind


class Dropped(Exception):
    """This connection is to be broken off now."""


class Dice:
    """The faults of the moment, and chance. One seed gives one course of events."""

    def __init__(self, faults: Faults, random: Random) -> None:
        self.faults = faults
        self._random = random
        self._changed = asyncio.Event()

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong that concerns requests and events."""
        return self.faults is NONE

    def set(self, faults: Faults) -> None:
        """From now on, this goes wrong."""
        self.faults = NONE if faults == NONE else faults
        self._changed.set()
        self._changed = asyncio.Event()

    def falls(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return chance > 0 and self._random.random() < chance

    def may_fail(self, kind: Kind) -> bool:
        """Whether requests of this kind are among those that fail."""
        return not self.faults.error_on or kind in self.faults.error_on

    async def until_moving(self) -> None:
        """Wait while the switch stalls or its network is gone."""
        while self.faults.stall or self.faults.half_open:
            await self._changed.wait()

    async def before(self, kind: Kind) -> bool | None:
        """What befalls a request on its way in: True, it is carried out; False, it is answered an error;
        None, it is lost. Raises `Dropped`."""
        await self.until_moving()
        if self.falls(self.faults.drop_rate):
            raise Dropped
        if not self.may_fail(kind):
            return True
        if self.falls(self.faults.lose_requests):
            return None
        return not self.falls(self.faults.error_rate)

    async def after(self, kind: Kind) -> bool:
        """What befalls an answer on its way out: whether it arrives."""
        if self.faults.answer_latency:
            await asyncio.sleep(self.faults.answer_latency)
        await self.until_moving()
        return not (self.may_fail(kind) and self.falls(self.faults.lose_answers))


class Outlet:
    """Events on their way out of one connection, which may be late, lost, doubled or overtaken."""

    def __init__(self, dice: Dice, deliver: Callable[[bytes], None]) -> None:
        self._dice = dice
        self._deliver = deliver
        self._overtaken: bytes | None = None
        self._loop = asyncio.get_running_loop()

    def push(self, frame: bytes) -> None:
        """Send it on, or not."""
        dice = self._dice
        if dice.calm and self._overtaken is None:
            self._deliver(frame)
            return
        faults = dice.faults
        if faults.half_open or dice.falls(faults.lose_events):
            return
        if self._overtaken is None and dice.falls(faults.reorder_events):
            self._overtaken = frame
            self._loop.call_later(_OVERTAKEN_WITHIN, self._flush)
            return
        for _ in range(1 + dice.falls(faults.duplicate_events)):
            self._late(frame)
        self._flush()

    def _flush(self) -> None:
        if self._overtaken is not None:
            frame, self._overtaken = self._overtaken, None
            self._late(frame)

    def _late(self, frame: bytes) -> None:
        faults = self._dice.faults
        if faults.event_latency:
            self._loop.call_later(faults.event_latency, self._deliver, frame)
        else:
            self._deliver(frame)


_OVERTAKEN_WITHIN = 0.05
"""Seconds after which an event that waits to be overtaken goes by itself."""
