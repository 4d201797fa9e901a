"""When a node may start its next calls. All workers share what it allows: one row a node, locked in turn."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from orchestrator.ledger.postgresql.connection import Connection
from orchestrator.ledger.records import Claim

AHEAD: Final = 0.05
"""Seconds before its start for which one may be taken, so that one commit serves several."""
SPARE: Final = 1.1
"""Starts lie so much farther apart than the limit asks for: one that is late, by a tenth of a second at most
until it leaves the PBX, must not be the one too many of the second that it falls in."""
FULL_WAIT: Final = 0.1
"""Seconds after which a node that is full is looked at again: the call that ends may be another worker's."""
ASTRAY: Final = 5.0
"""A node that is booked out for longer (seconds) was booked by a clock that has been set back since."""


class Limits(msgspec.Struct, frozen=True):
    """What one node bears, of all workers together."""

    max_cps: float
    max_calls: int

    @property
    def gap(self) -> float:
        """Seconds from one start to the next."""
        return SPARE / self.max_cps


class Room(msgspec.Struct, frozen=True):
    """How many calls may be started, the first of them when; and if none, when to look again."""

    count: int
    first_at: float
    again_at: float | None = None


async def slots_of(
    db: Connection, pbx: str, now: float, soonest: float, limit: int, limits: Limits | None
) -> Room:
    """What `pbx` has left, `limit` at most, for calls that start at `soonest` or later. Other workers wait
    from here on until this transaction ends."""
    if limits is None:
        return Room(limit, 0.0)
    booked = await db.fetchval("SELECT next_at FROM nodes WHERE name = $1 FOR NO KEY UPDATE", pbx)
    if booked is None:
        await db.execute("INSERT INTO nodes VALUES ($1, 0) ON CONFLICT DO NOTHING", pbx)
        booked = await db.fetchval("SELECT next_at FROM nodes WHERE name = $1 FOR NO KEY UPDATE", pbx)
    # A statement of its own: only one that begins after the lock was had sees what others did before.
    live = await db.fetchval("SELECT count(*) FROM calls WHERE pbx = $1 AND ended_at IS NULL", pbx)
    if limits.max_calls <= live:
        return Room(0, 0.0, now + FULL_WAIT)
    first = max(soonest, booked if booked <= soonest + limits.gap + ASTRAY else 0.0)
    if first > soonest + AHEAD:
        return Room(0, 0.0, now + (first - soonest) - AHEAD / 2)
    several = 1 + int((soonest + AHEAD - first) / limits.gap)
    return Room(min(limit, several, limits.max_calls - live), first)


async def reserve(
    db: Connection, pbx: str, claims: Sequence[Claim], room: Room, limits: Limits | None
) -> list[Claim]:
    """Book the starts of `claims`: the claims, each with its own."""
    if limits is None:
        return list(claims)
    next_at = room.first_at + len(claims) * limits.gap
    await db.execute("UPDATE nodes SET next_at = $2 WHERE name = $1", pbx, next_at)
    return [replace(claim, start_at=room.first_at + n * limits.gap) for n, claim in enumerate(claims)]
