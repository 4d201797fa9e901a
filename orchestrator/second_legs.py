"""When the second legs of callbacks are dialled: each at its turn, within the pace of its node.

Their caller is on the line already, so they wait neither for health nor for room, and go on while a worker
drains: only for the next start that the node's calls a second allow.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from orchestrator.clock import Clock
from orchestrator.ledger.port import Ledger
from orchestrator.pace import MISSED


class SecondLeg(NamedTuple):
    """One that is to be dialled."""

    channel: str
    waits: Callable[[], bool]
    """Whether it still is: its caller may hang up meanwhile."""
    begin: Callable[[], None]


class SecondLegs:
    """The second legs of one node. `next_start` takes the next start of this worker's own pace, and says how
    many seconds it is away; beyond that the ledger is asked, which others may share."""

    def __init__(self, pbx: str, ledger: Ledger, clock: Clock, next_start: Callable[[], float]) -> None:
        self._pbx = pbx
        self._ledger = ledger
        self._clock = clock
        self._next_start = next_start
        self._waiting: asyncio.Queue[SecondLeg] = asyncio.Queue()

    def dial(self, leg: SecondLeg) -> None:
        """Have `leg` begin at its turn. Does not wait."""
        self._waiting.put_nowait(leg)

    async def run(self) -> None:
        """Serve them in the order in which they came, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            leg = await self._waiting.get()
            if not leg.waits():
                continue
            await asyncio.sleep(self._next_start())
            await self._turn(leg)
            if leg.waits():
                loop.call_soon(leg.begin)  # a fault in one call's step is not the others'
            else:  # what is booked for it is not made
                self._ledger.made(leg.channel, self._clock())

    async def _turn(self, leg: SecondLeg) -> None:
        """Wait until the ledger lets it begin, or nobody waits. A booking that was missed is made anew: the
        start would fall into a second that has been given to others."""
        while leg.waits():
            booking = await self._ledger.book(self._pbx, leg.channel, self._clock())
            wait = booking.at - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            if booking.booked and (not booking.shared or self._clock() < booking.at + MISSED):
                return
