"""Counters and histograms for Prometheus that cost an addition each.

Those of `prometheus_client` take a lock for each number, and a call of the worker counts some thirty times.
Here the loop's thread alone counts and is asked: no lock. What `/metrics` shows is the same.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as _Reference
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


def _shows_created() -> bool:
    """Whether series tell when they began, which PROMETHEUS_DISABLE_CREATED_SERIES turns off."""
    (family,) = _Reference("created", "", registry=None).collect()
    return any(sample.name == "created_created" for sample in family.samples)


_CREATED = _shows_created()


class Count:
    """One series of a counter."""

    __slots__ = ("created", "total")

    def __init__(self) -> None:
        self.total = 0
        self.created = time.time()

    def inc(self) -> None:
        """One more."""
        self.total += 1


class Counter(Collector):
    """Counts, by the values of `labels`."""

    def __init__(self, name: str, help: str, labels: Sequence[str], *, registry: CollectorRegistry) -> None:
        self._about = name, help, labels
        self._series: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """The series of these values. Keep it where it is counted often."""
        return self._series.setdefault(values, Count())

    def describe(self) -> Iterable[Metric]:
        """The name alone."""
        name, help, labels = self._about
        return [CounterMetricFamily(name, help, labels=labels)]

    def collect(self) -> Iterable[Metric]:
        """What `/metrics` shows."""
        name, help, labels = self._about
        family = CounterMetricFamily(name, help, labels=labels)
        for values, count in self._series.items():
            family.add_metric(values, count.total, count.created if _CREATED else None)
        return [family]


class Distribution:
    """One series of a histogram."""

    __slots__ = ("_bounds", "counts", "created", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * len(bounds)
        self.sum = 0.0
        self.created = time.time()

    def observe(self, value: float) -> None:
        """Count `value` in the first bucket whose bound is not below it."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Histogram(Collector):
    """Counts values by size, by the values of `labels`. `buckets` are upper bounds, ascending."""

    def __init__(
        self,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._about = name, help, labels
        self._bounds = (*map(float, buckets), inf)
        self._series: dict[tuple[str, ...], Distribution] = {}
        if not labels:
            self.labels()  # shown before anything is observed
        registry.register(self)

    def labels(self, *values: str) -> Distribution:
        """The series of these values. Keep it where something is observed often."""
        return self._series.setdefault(values, Distribution(self._bounds))

    def describe(self) -> Iterable[Metric]:
        """The name alone."""
        name, help, labels = self._about
        return [HistogramMetricFamily(name, help, labels=labels)]

    def collect(self) -> Iterable[Metric]:
        """What `/metrics` shows."""
        name, help, labels = self._about
        family = HistogramMetricFamily(name, help, labels=labels)
        for values, found in self._series.items():
            buckets, total = [], 0
            for bound, count in zip(self._bounds, found.counts, strict=True):
                total += count
                buckets.append((floatToGoString(bound), float(total)))  # type: ignore[no-untyped-call]  # it has no types
            family.add_metric(values, buckets, found.sum)
            if _CREATED:
                shown = dict(zip(labels, values, strict=True))
                family.add_sample(f"{name}_created", shown, found.created)
        return [family]
