"""How often a number may be called, how many calls an application may have. Pure; the same for every ledger.

What is `full` now (calls at the same time) makes a job wait, while others go ahead. What was `reached` (calls
an hour, a day) ends it. Each claim is judged in its own transaction, by counts that nobody else can change
until that is stored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from orchestrator.ledger.records import Blocked, Claim

HOUR: Final = 3600.0
DAY: Final = 86400.0
BUSY_WAIT: Final = 0.01
"""Seconds after which a claim looks again for a job of a number or an application that another worker's claim
is being judged for just now."""
UNENDED_WAIT: Final = 5.0
"""Seconds after which a blocked job that nobody has ended is looked at again."""
LOOK_LEAST: Final = 5.0
LOOK_MOST: Final = 30.0
"""Seconds after which a job that waits is looked at again in any case; the call whose end it waits for may be
of a worker that has other limits. Rarer, the longer it has waited: there may be very many."""
AT_ONCE: Final = 64
"""Jobs that are judged together, when the first ones have to wait."""
ROUNDS: Final = 4
"""So often in one claim: others wait for its transaction."""
RELEASED: Final = 2
"""Jobs that an ended call lets go on. One takes its place; the other, in case that the first may not."""

_Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Limit = Literal["callee_calls", "callee_per_hour", "callee_per_day", "application_calls"]
Key = str
"""Whose calls are counted: `callee:+12025550100` or `application:shop`."""


class CallLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `[limits]`: of all workers of a ledger together. What is not given is not limited."""

    callee_calls: _Count | None = None
    """Calls to one number at the same time. Further jobs wait."""
    callee_per_hour: _Count | None = None
    """Calls to one number within an hour. Further jobs end as `blocked`."""
    callee_per_day: _Count | None = None
    """Calls to one number within 24 hours. Further jobs end as `blocked`."""
    application_calls: _Count | None = None
    """Calls of one application at the same time, where its key says nothing else. Further jobs wait."""

    @property
    def of_callees(self) -> bool:
        """Whether calls to a number have to be counted."""
        return (self.callee_calls, self.callee_per_hour, self.callee_per_day) != (None, None, None)

    def bounds(self, claim: Claim) -> list[tuple[Key, int | None]]:
        """Whose calls are to be counted before this one is made, and how many may live then."""
        if self == UNLIMITED and claim.application_calls is None:
            return []  # most often so, and asked for each call
        found: list[tuple[Key, int | None]] = []
        if self.of_callees:
            found += ((callee_key(number), self.callee_calls) for number in claim.callees)
        most = claim.application_calls or self.application_calls
        if claim.application is not None and most is not None:
            found.append((application_key(claim.application), most))
        return found

    def halt(self, claim: Claim) -> bool:
        """Whether others may have to wait for the end of this call."""
        return any(most is not None for _, most in self.bounds(claim))

    def concern(self, claims: Iterable[Claim]) -> bool:
        """Whether any of these must be judged at all."""
        return any(self.bounds(claim) for claim in claims)


UNLIMITED: Final = CallLimits()


def faults_of_limits(limits: CallLimits, keep_days: float) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each fault."""
    for key, span in (("callee_per_hour", HOUR), ("callee_per_day", DAY)):
        if getattr(limits, key) is not None and keep_days * DAY < span:
            yield key, "counts calls that are forgotten by then; raise ledger.keep_days."


def callee_key(number: str) -> Key:
    return f"callee:{number}"


def application_key(name: str) -> Key:
    return f"application:{name}"


def keys_of(callee: str | None, caller: str | None, application: str | None) -> list[Key]:
    """Whose call it was, as the ledger has it."""
    numbers = [callee_key(number) for number in (callee, caller) if number is not None]
    return numbers if application is None else [*numbers, application_key(application)]


def limit_of(key: Key) -> Limit:
    """Which limit a job waits for that waits for `key`."""
    return "callee_calls" if key.startswith("callee:") else "application_calls"


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What has been used of the limits. Whoever judges counts on in here."""

    live: dict[Key, int]
    hour: dict[Key, int]
    day: dict[Key, int]
    busy: frozenset[Key] = frozenset()
    """Another worker's claim is being judged for these just now."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What may be dialled, what must wait for whom, what must end; and whether some could not be judged."""

    taken: tuple[Claim, ...]
    held: tuple[tuple[Claim, Key], ...] = ()
    blocked: tuple[Blocked, ...] = ()
    busy: bool = False


def judge(claims: Sequence[Claim], room: int, limits: CallLimits, used: Used) -> Judged:
    """Which of `claims`, in their order and `room` at most, may be dialled."""
    taken: list[Claim] = []
    held: list[tuple[Claim, Key]] = []
    blocked: list[Blocked] = []
    busy = False
    for claim in claims:
        if len(taken) == room:
            break
        bounds = limits.bounds(claim)
        if used.busy.intersection(key for key, _ in bounds):
            busy = True
            continue
        full = [key for key, most in bounds if most is not None and used.live.get(key, 0) >= most]
        if full:
            held.append((claim, full[0]))
            continue
        reached = _reached(claim, limits, used)
        if reached is not None:
            blocked.append(Blocked(claim.job.id, reached))
            continue
        taken.append(claim)
        for counts in (used.live, used.hour, used.day):
            for key, _ in bounds:
                counts[key] = counts.get(key, 0) + 1
    return Judged(taken=tuple(taken), held=tuple(held), blocked=tuple(blocked), busy=busy)


def _reached(claim: Claim, limits: CallLimits, used: Used) -> Limit | None:
    spans: tuple[tuple[Limit, int | None, Mapping[Key, int]], ...] = (
        ("callee_per_hour", limits.callee_per_hour, used.hour),
        ("callee_per_day", limits.callee_per_day, used.day),
    )
    for name, most, counts in spans:
        if most is not None and any(counts.get(callee_key(each), 0) >= most for each in claim.callees):
            return name
    return None


def look_again_at(claim: Claim, now: float) -> float:
    """When a job that waits is looked at again, though no call's end has let it go on."""
    return now + min(LOOK_MOST, max(LOOK_LEAST, now - claim.job.created_at))


def why_blocked(limit: str) -> str:
    """A blocked job's reason."""
    span = {"callee_per_hour": "an hour", "callee_per_day": "a day"}[limit]
    return f"{limit}: the number has been called as often as it may be within {span}"
