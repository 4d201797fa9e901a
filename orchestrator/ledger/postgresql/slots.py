"""When a node may start its next calls. All workers share what it allows: one row a node, locked in turn.

Two rules together. Starts are booked evenly spaced; and of those that the PBX may have made within the last
second there are never more than its limit allows. The second is what a stall cannot break: a start that the
PBX has not confirmed yet holds its place until it has, and for a whole second from then on.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from orchestrator.ledger.postgresql.connection import Connection
from orchestrator.ledger.records import Booking, Claim

AHEAD: Final = 0.05
"""Seconds before its start for which one may be taken, so that one commit serves several."""
SPARE: Final = 1.1
"""Starts lie so much farther apart than the limit asks for."""
CLEAR: Final = 1.05
"""A start counts for so many times the second, from when the PBX has confirmed it: what is between its word
and the call on the wire is part of it. Less than `SPARE`, so that it holds nothing up while all goes well."""
LOST: Final = 10.0
"""Seconds after which a start that nobody has confirmed counts no more: its worker is gone."""
FULL_WAIT: Final = 0.1
"""Seconds after which a node that is full is looked at again: the call that ends may be another worker's."""
LOOK_LEAST: Final = 0.01
"""Seconds after which a node that makes no start at present is looked at again, at least."""
ASTRAY: Final = 5.0
"""What is booked out for so much longer (seconds) was booked by a clock that has been set back since."""


class Limits(msgspec.Struct, frozen=True):
    """What one node bears, of all workers together."""

    max_cps: float
    max_calls: int

    @property
    def gap(self) -> float:
        """Seconds from one start to the next."""
        return SPARE / self.max_cps

    @property
    def starts(self) -> int:
        """How many starts there may be within `span`."""
        return max(1, int(self.max_cps))

    @property
    def span(self) -> float:
        """Seconds for which a confirmed start counts: one, for a limit that is a whole number."""
        return CLEAR * self.starts / self.max_cps

    @property
    def farthest(self) -> float:
        """Seconds beyond which no start is booked ahead, but by a clock that has been set back since."""
        return self.starts * self.gap + ASTRAY


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
    first = await _first_free(db, pbx, soonest, limits)
    # A statement of its own: only one that begins after the lock was had sees what others did before.
    live, starts, frees = await _held(db, pbx, first, soonest, limits)
    if limits.max_calls <= live:
        return Room(0, 0.0, now + FULL_WAIT)
    if first > soonest + AHEAD:
        return Room(0, 0.0, now + (first - soonest) - AHEAD / 2)
    if limits.starts <= starts:
        return Room(0, 0.0, _look_again(now, soonest, frees))
    several = 1 + int((soonest + AHEAD - first) / limits.gap)
    calls = max(1, (limits.max_calls - live) // 2)  # each may be a callback, which takes two lines
    return Room(min(limit, several, limits.starts - starts, calls), first)


async def reserve(
    db: Connection, pbx: str, claims: Sequence[Claim], room: Room, limits: Limits | None
) -> list[Claim]:
    """Book the starts of `claims`: the claims, each with its own."""
    if limits is None:
        return list(claims)
    booked = [replace(claim, start_at=room.first_at + n * limits.gap) for n, claim in enumerate(claims)]
    await _take(db, pbx, [(claim.call_id, claim.start_at) for claim in booked], limits)
    return booked


async def book(
    db: Connection, pbx: str, channel: str, now: float, soonest: float, limits: Limits | None
) -> Booking:
    """Book the next start for the second leg of a callback: somebody waits for it, so it may lie further
    ahead than those of new calls."""
    if limits is None:
        return Booking(now, True, shared=False)
    first = await _first_free(db, pbx, soonest, limits)
    _, starts, frees = await _held(db, pbx, first, soonest, limits, besides=channel)
    if limits.starts <= starts:
        return Booking(_look_again(now, soonest, frees), False)
    await _take(db, pbx, [(channel, first)], limits)
    return Booking(first, True)


async def made(db: Connection, starts: Sequence[tuple[str, float]]) -> None:
    """The PBX has said at which time it made the start of which channel, or that it made none."""
    several = sorted(starts)
    await db.execute(
        "UPDATE starts SET made_at = new.at FROM unnest($1::text[], $2::float8[]) AS new (channel, at)"
        " WHERE starts.channel = new.channel AND made_at IS NULL",
        [channel for channel, _ in several],
        [at for _, at in several],
    )


async def _first_free(db: Connection, pbx: str, soonest: float, limits: Limits) -> float:
    """Lock the node; when its next start may be."""
    booked = await db.fetchval("SELECT next_at FROM nodes WHERE name = $1 FOR NO KEY UPDATE", pbx)
    if booked is None:
        await db.execute("INSERT INTO nodes VALUES ($1, 0) ON CONFLICT DO NOTHING", pbx)
        booked = await db.fetchval("SELECT next_at FROM nodes WHERE name = $1 FOR NO KEY UPDATE", pbx)
    return max(soonest, booked if booked <= soonest + limits.gap + limits.farthest else 0.0)


async def _held(
    db: Connection, pbx: str, first: float, soonest: float, limits: Limits, besides: str = ""
) -> tuple[int, int, float]:
    """How many lines live, how many starts count at `first`, `besides` aside, and when the next ceases to."""
    # One that its worker is just confirming is deleted another time: claims wait for no worker's writes.
    row = await db.fetchrow(
        "WITH old AS (DELETE FROM starts WHERE channel IN (SELECT channel FROM starts WHERE pbx = $1"
        "  AND (coalesce(made_at + $4, at + $5) <= $3 OR at > $3 + $6) FOR UPDATE SKIP LOCKED))"
        " SELECT count(*) AS starts, coalesce(min(coalesce(made_at + $4, at + $5)), 0) AS frees,"
        "  (SELECT coalesce(sum(legs), 0) FROM calls WHERE pbx = $1 AND ended_at IS NULL) AS live"
        " FROM starts WHERE pbx = $1 AND coalesce(made_at + $4, at + $5) > $2 AND at <= $3 + $6"
        "  AND channel <> $7",
        pbx,
        first,
        soonest,
        limits.span,
        LOST,
        limits.farthest,
        besides,
    )
    assert row is not None  # noqa: S101 - an aggregate has a row
    return row["live"], row["starts"], row["frees"]


def _look_again(now: float, soonest: float, frees: float) -> float:
    return now + min(FULL_WAIT, max(LOOK_LEAST, frees - soonest))


async def _take(db: Connection, pbx: str, starts: Sequence[tuple[str, float]], limits: Limits) -> None:
    await db.execute(
        "WITH node AS (UPDATE nodes SET next_at = $2 WHERE name = $1)"
        " INSERT INTO starts (channel, pbx, at) SELECT channel, $1, at"
        " FROM unnest($3::text[], $4::float8[]) AS new (channel, at)"
        " ON CONFLICT (channel) DO UPDATE SET at = excluded.at, made_at = NULL",
        pbx,
        starts[-1][1] + limits.gap,
        [channel for channel, _ in starts],
        [at for _, at in starts],
    )
