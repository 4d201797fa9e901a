"""What Prometheus gets is what prometheus_client's own metrics would give it."""

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from orchestrator.tallies import Counter, Histogram

BUCKETS = (0.005, 0.1, 1, 30)
NAMES = st.sampled_from(["ast1", 'of "two"', "zürich"])


def text(registry: CollectorRegistry) -> list[str]:
    """What is served, without the times of creation, which are not ours to tell."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@given(st.lists(st.tuples(NAMES, st.integers(200, 599), st.integers(1, 3))))
def test_a_counter_is_served_as_prometheus_client_serves_its_own(
    happened: list[tuple[str, int, int]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Counter("calls_total", "Calls.", ["pbx", "status"], registry=ours)
    other = prometheus_client.Counter("calls_total", "Calls.", ["pbx", "status"], registry=theirs)
    for name, status, times in happened:
        mine.labels(name, status).inc(times)
        other.labels(name, status).inc(times)
    assert text(ours) == text(theirs)


@given(st.lists(st.tuples(NAMES, st.sampled_from(BUCKETS) | st.floats(0, 100))))
def test_a_histogram_is_served_as_prometheus_client_serves_its_own(seen: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("ring_seconds", "Rings.", ["pbx"], buckets=BUCKETS, registry=ours)
    other = prometheus_client.Histogram("ring_seconds", "Rings.", ["pbx"], buckets=BUCKETS, registry=theirs)
    for name, seconds in seen:
        mine.labels(name).observe(seconds)
        other.labels(name).observe(seconds)
    assert text(ours) == text(theirs)


def test_without_labels_there_is_a_series_before_anything_has_happened() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Counter("dropped_total", "Dropped.", registry=ours)
    Histogram("delivery_seconds", "Delivered.", buckets=BUCKETS, registry=ours)
    prometheus_client.Counter("dropped_total", "Dropped.", registry=theirs)
    prometheus_client.Histogram("delivery_seconds", "Delivered.", buckets=BUCKETS, registry=theirs)
    assert text(ours) == text(theirs)
