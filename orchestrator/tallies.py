"""Counters and histograms as plain numbers, put into Prometheus's form only when it asks.

A call is counted a dozen times while it lives. prometheus_client's own metrics take a lock for each count and
look through a histogram's buckets one by one, which came to a twentieth of all that a call costs; here there
is one thread to count, and no lock.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Count:
    """How often something happened."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, times: int = 1) -> None:
        """So many times more."""
        self.value += times


class Counter(Collector):
    """Counts by label. `name` ends in `_total`."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._counts: dict[tuple[object, ...], Count] = {} if labels else {(): Count()}
        registry.register(self)

    def labels(self, *values: object) -> Count:
        """The count of these values, one for each label in its order."""
        count = self._counts.get(values)
        if count is None:
            count = self._counts[values] = Count()
        return count

    def collect(self) -> Iterable[CounterMetricFamily]:
        """What prometheus_client calls for the text it serves."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric([str(value) for value in values], count.value)
        return [family]


class Spread:
    """How many values fell into which bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Note a value: it counts for the first bucket whose bound it does not exceed."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Histogram(Collector):
    """Spreads by label, over the same buckets: their upper bounds, ascending, without infinity."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._bounds = tuple(float(bound) for bound in buckets)
        self._names = [*map(str, self._bounds), "+Inf"]
        self._spreads: dict[tuple[object, ...], Spread] = {} if labels else {(): Spread(self._bounds)}
        registry.register(self)

    def labels(self, *values: object) -> Spread:
        """The spread of these values, one for each label in its order."""
        spread = self._spreads.get(values)
        if spread is None:
            spread = self._spreads[values] = Spread(self._bounds)
        return spread

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """What prometheus_client calls for the text it serves."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, spread in self._spreads.items():
            buckets = [*zip(self._names, accumulate(spread.counts), strict=True)]
            family.add_metric([str(value) for value in values], buckets=buckets, sum_value=spread.sum)
        return [family]
