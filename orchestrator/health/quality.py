"""What becomes of a node's calls, and whether that has collapsed.

Three figures over the node's last calls: how many are answered (ASR, ITU-T E.411), how many fail in the
network, and how long it takes until the far end rings (PDD). Each is held against the node's own longer
baseline. What the other nodes show as well is no fault of this one: at night people answer less everywhere.
So what is expected of a node is its own baseline, moved as far as theirs have moved. Pure; time comes in as
an argument.
"""

from collections import deque
from collections.abc import Iterable
from math import sqrt
from typing import Final, NamedTuple

WINDOW: Final = 60
"""So many calls are the node's present."""
MAX_AGE: Final = 900.0
"""Seconds after which a call counts for the past in any case: a node that got no calls is forgiven."""
ENOUGH: Final = 40
"""Fewer calls than that show nothing."""
PAST: Final = 100
"""So many calls must have been before there is a baseline."""
BASELINE: Final = 1000.0
"""So many calls are the baseline, the older ones counting ever less."""
SURE: Final = 3.5
"""Standard deviations by which a share must differ from what was expected, so that chance cannot be why."""
COLLAPSED: Final = 0.5
"""The part of the expected answers that is a collapse; `WELL` ends it."""
WELL: Final = 0.75
MORE_FAILURES: Final = 0.25
"""How much the share of failures must have grown for a collapse; half of it ends it."""
SLOWER: Final = 3.0
"""How many times as long ringing must take, and `SECONDS_LATER` more, to collapse. Half of each ends it."""
SECONDS_LATER: Final = 1.0
LONGEST_DELAY: Final = 30.0
"""Seconds at which a delay is cut off, so that one call alone cannot make an average."""
LEAST_FACTOR: Final = 0.1
"""What the worst node still gets of its share: without calls nobody would learn that it is well again."""


class Sample(NamedTuple):
    """One ended call. `delay`: seconds from the PBX's acceptance until ringing, None when it never rang."""

    at: float
    answered: bool
    failed: bool
    delay: float | None


class Collapse(NamedTuple):
    """What is wrong, in words, and the part of its share that the node keeps."""

    what: str
    reason: str
    factor: float


class Trend(NamedTuple):
    """How several nodes' present compares with their own past."""

    answers: float = 1.0
    """Answered, as a part of what was expected."""
    failures: float = 0.0
    """Share of failures beyond what was expected."""
    delay: float = 1.0
    """How many times as long ringing takes."""
    nodes: int = 0


class _Sums:
    __slots__ = ("answered", "delay", "delays", "failed", "n")

    def __init__(self) -> None:
        self.n = self.answered = self.failed = self.delays = 0.0
        self.delay = 0.0

    def add(self, sample: Sample, sign: int) -> None:
        self.n += sign
        self.answered += sign * sample.answered
        self.failed += sign * sample.failed
        if sample.delay is not None:
            self.delays += sign
            self.delay = max(0.0, self.delay + sign * sample.delay)

    def halve(self) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) / 2)


class Quality:
    """One node's present and past."""

    def __init__(self) -> None:
        self._window: deque[Sample] = deque()
        self._now = _Sums()
        self._past = _Sums()
        self._fault: str | None = None

    def add(self, at: float, answered: bool, failed: bool, delay: float | None) -> None:
        """Count an ended call. Cheap: it is done for each."""
        sample = Sample(at, answered, failed, None if delay is None else min(delay, LONGEST_DELAY))
        self._window.append(sample)
        self._now.add(sample, 1)
        if len(self._window) > WINDOW:
            self._retire()

    @property
    def known(self) -> bool:
        """Whether present and past can be compared."""
        return self._now.n >= ENOUGH and self._past.n >= PAST

    def judge(self, others: Trend, now: float) -> Collapse | None:
        """What has collapsed, if anything has. What once counts as collapsed must be clearly better to count
        as well again."""
        while self._window and self._window[0].at < now - MAX_AGE:
            self._retire()
        found: list[Collapse] = []
        if self.known:
            tests = (self._answers(others), self._failures(others), self._delays(others))
            found = [each for each in tests if each is not None]
        worst = min(found, key=lambda each: each.factor, default=None)
        self._fault = worst.what if worst is not None else None
        return worst

    def expect(self) -> tuple[_Sums, _Sums]:
        """Present and past, to be put together with other nodes'."""
        return self._now, self._past

    def _retire(self) -> None:
        sample = self._window.popleft()
        self._now.add(sample, -1)
        self._past.add(sample, 1)
        if self._past.n > BASELINE:
            self._past.halve()

    def _answers(self, others: Trend) -> Collapse | None:
        expected = self._past.answered / self._past.n * min(1.0, others.answers)
        n = self._now.n
        share = self._now.answered / n
        if self._fault == "answers":
            bad = share < expected * WELL
        else:
            sure = expected - share >= SURE * sqrt(expected * (1 - expected) / n)
            bad = expected > 0 and share <= expected * COLLAPSED and sure
        if not bad:
            return None
        reason = f"it answers {share:.0%} of the last {n:.0f} calls, and {expected:.0%} were to be expected"
        return Collapse("answers", reason + _alone(others), _bounded(share / expected))

    def _failures(self, others: Trend) -> Collapse | None:
        expected = min(1.0, self._past.failed / self._past.n + max(0.0, others.failures))
        n = self._now.n
        share = self._now.failed / n
        if self._fault == "failures":
            bad = share - expected >= MORE_FAILURES / 2
        else:
            sure = share - expected >= SURE * sqrt(expected * (1 - expected) / n)
            bad = share - expected >= MORE_FAILURES and sure
        if not bad:
            return None
        reason = (
            f"{share:.0%} of the last {n:.0f} calls failed in the network, "
            f"and {expected:.0%} were to be expected"
        )
        return Collapse("failures", reason + _alone(others), _bounded(1 - (share - expected)))

    def _delays(self, others: Trend) -> Collapse | None:
        if self._now.delays < ENOUGH / 2 or self._past.delays < PAST / 2:
            return None
        expected = self._past.delay / self._past.delays * max(1.0, others.delay)
        delay = self._now.delay / self._now.delays
        ease = 0.5 if self._fault == "delay" else 1.0
        if delay < expected * SLOWER * ease or delay - expected < SECONDS_LATER * ease:
            return None
        reason = f"it takes {delay:.1f} s until the far end rings, and {expected:.1f} s were to be expected"
        return Collapse("delay", reason + _alone(others), _bounded(expected / delay))


def trend(nodes: Iterable[Quality]) -> Trend:
    """What all of `nodes` together show. Those of which too little is known say nothing."""
    answered = expected = excess = calls = delay = usual = 0.0
    count = 0
    for quality in nodes:
        if not quality.known:
            continue
        count += 1
        now, past = quality.expect()
        answered += now.answered
        expected += now.n * past.answered / past.n
        excess += now.failed - now.n * past.failed / past.n
        calls += now.n
        if now.delays and past.delays:
            delay += now.delay
            usual += now.delays * past.delay / past.delays
    if not count:
        return Trend()
    return Trend(
        answers=answered / expected if expected else 1.0,
        failures=excess / calls,
        delay=delay / usual if usual else 1.0,
        nodes=count,
    )


def _bounded(factor: float) -> float:
    return min(1.0, max(LEAST_FACTOR, factor))


def _alone(others: Trend) -> str:
    return "; the other nodes do not show it" if others.nodes else ""
