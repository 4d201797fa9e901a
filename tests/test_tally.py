"""Our counters and histograms show what those of prometheus_client show."""

import re
from collections.abc import Callable
from typing import Any

import prometheus_client as reference
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from orchestrator import tally

BUCKETS = (0.005, 0.5, 1, 300)
VALUES = (0.0, 0.005, 0.0051, 0.5, 7.0, 300.0, 301.0, 1e9, -1.0)


def shown(fill: Callable[[Any, CollectorRegistry], None], kinds: Any) -> str:
    """What a scrape shows once `fill` has counted; when a series began is left out."""
    registry = CollectorRegistry()
    fill(kinds, registry)
    return re.sub(r"(?m)^(\S+_created\S*) .*$", r"\1", generate_latest(registry).decode())


def counted(kinds: Any, registry: CollectorRegistry) -> None:
    counter = kinds.Counter("calls_total", "Calls.", ["pbx", "outcome"], registry=registry)
    for outcome in ("busy", "completed", "busy"):
        counter.labels("a", outcome).inc()
    counter.labels("b", "never")


def observed(kinds: Any, registry: CollectorRegistry) -> None:
    histogram = kinds.Histogram("wait_seconds", "Waits.", ["pbx"], buckets=BUCKETS, registry=registry)
    for value in VALUES:
        histogram.labels("a").observe(value)
    histogram.labels("b")


def nothing_yet(kinds: Any, registry: CollectorRegistry) -> None:
    kinds.Counter("calls_total", "Calls.", ["pbx"], registry=registry)
    kinds.Histogram("wait_seconds", "Waits.", ["pbx"], buckets=BUCKETS, registry=registry)
    kinds.Histogram("all_seconds", "Waits.", buckets=BUCKETS, registry=registry)


@pytest.mark.parametrize("fill", [counted, observed, nothing_yet])
def test_a_scrape_shows_what_the_library_would_show(fill: Callable[[Any, CollectorRegistry], None]) -> None:
    assert shown(fill, tally) == shown(fill, reference)


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    tally.Histogram("wait_seconds", "Waits.", buckets=BUCKETS, registry=registry)
    with pytest.raises(ValueError, match="wait_seconds"):
        tally.Histogram("wait_seconds", "Waits.", buckets=BUCKETS, registry=registry)
