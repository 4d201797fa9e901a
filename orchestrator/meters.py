"""The worker's metrics, for Prometheus. No label ever holds a number, a job or a code."""

from typing import get_args

from prometheus_client import CollectorRegistry, Gauge

from orchestrator.call.facts import Over
from orchestrator.ledger.records import Claimed
from orchestrator.notify.delivery import Tally
from orchestrator.tallies import Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Meters:
    """Every metric of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.dials = Counter("orchestrator_dials_total", "Originates sent.", ["pbx"], registry=r)
        self.calls = Counter("orchestrator_calls_total", "Calls ended.", ["pbx", "outcome"], registry=r)
        self.live = Gauge("orchestrator_live_calls", "Calls that live now.", ["pbx"], registry=r)
        self.connected = Gauge("orchestrator_pbx_connected", "1 while connected.", ["pbx"], registry=r)
        self.health = Gauge(
            "orchestrator_node_health", "The part of its share that a node gets, 0 to 1.", ["pbx"], registry=r
        )
        self.breaker = Gauge(
            "orchestrator_node_breaker",
            "0 closed, 1 half-open, 2 open: it gets no calls.",
            ["pbx"],
            registry=r,
        )
        self.cps = Gauge(
            "orchestrator_node_cps", "Starts a second that a node may make now.", ["pbx"], registry=r
        )
        self.originate_seconds = Histogram(
            "orchestrator_originate_seconds",
            "From asking for a call to the PBX's answer.",
            ["pbx"],
            buckets=_SECONDS[:11],
            registry=r,
        )
        self.ready = Gauge("orchestrator_ready", "1 while calls can be made.", registry=r)
        self.ring_seconds = Histogram(
            "orchestrator_ring_seconds",
            "From ringing to answer or end.",
            ["pbx"],
            buckets=_SECONDS,
            registry=r,
        )
        self.talk_seconds = Histogram(
            "orchestrator_talk_seconds", "From answer to end.", ["pbx"], buckets=_SECONDS, registry=r
        )
        self.reaction_seconds = Histogram(
            "orchestrator_reaction_seconds",
            "From an answered call's hand-over to its first play request.",
            ["pbx"],
            buckets=(0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.015, 0.02, 0.05, 0.1, 0.5, 1),
            registry=r,
        )
        self.events_dropped = Counter(
            "orchestrator_events_dropped_total", "Events beyond pbx.max_queued, settled anew.", registry=r
        )
        self.ledger_waiting = Gauge("orchestrator_ledger_waiting", "Writes not committed yet.", registry=r)
        self.jobs = Gauge("orchestrator_jobs", "Jobs not ended.", ["state"], registry=r)
        self.outbox = Gauge("orchestrator_outbox", "Notifications not delivered.", ["state"], registry=r)
        self.deliveries = Counter(
            "orchestrator_deliveries_total", "Notifications by what became of them.", ["outcome"], registry=r
        )
        self.delivery_seconds = Histogram(
            "orchestrator_delivery_seconds", "From event to delivery.", buckets=_SECONDS, registry=r
        )
        self.http_requests = Counter(
            "orchestrator_http_requests_total",
            "Requests to the HTTP API.",
            ["method", "route", "status"],
            registry=r,
        )
        self.http_seconds = Histogram(
            "orchestrator_http_seconds",
            "From a request's head to its answer; streams are left out.",
            ["route"],
            buckets=_SECONDS[:11],
            registry=r,
        )
        self.http_jobs = Counter(
            "orchestrator_http_jobs_total", "New jobs taken over HTTP.", ["kind"], registry=r
        )
        self.held = Counter(
            "orchestrator_jobs_held_total", "Times that a limit made a due job wait.", ["limit"], registry=r
        )
        self.blocked = Counter(
            "orchestrator_jobs_blocked_total",
            "Due jobs that a limit forbade to dial.",
            ["limit"],
            registry=r,
        )
        # Looked up once: these are counted five times for a call.
        self._fates = {fate: self.deliveries.labels(fate) for fate in get_args(Tally)}
        self._latencies = self.delivery_seconds.labels()

    def dialled(self, pbx: str) -> None:
        """Count an originate."""
        self.dials.labels(pbx).inc()

    def ended(self, pbx: str, over: Over) -> None:
        """Count an ended call."""
        self.calls.labels(pbx, over.outcome.value).inc()
        if over.ring_seconds:
            self.ring_seconds.labels(pbx).observe(over.ring_seconds)
        if over.talk_seconds:
            self.talk_seconds.labels(pbx).observe(over.talk_seconds)

    def requested(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request by its route's pattern, never by its path; None where it streamed."""
        self.http_requests.labels(method, route, status).inc()
        if seconds is not None:
            self.http_seconds.labels(route).observe(seconds)

    def accepted(self, kind: str) -> None:
        """Count a new job that came over HTTP."""
        self.http_jobs.labels(kind).inc()

    def limited(self, claimed: Claimed) -> None:
        """Count what limits kept from being dialled."""
        for limit in claimed.held:
            self.held.labels(limit).inc()
        for blocked in claimed.blocked:
            self.blocked.labels(blocked.limit).inc()

    # The notifier's `Meter`.

    def count(self, outcome: Tally) -> None:
        """Count a delivery's fate."""
        self._fates[outcome].inc()

    def latency(self, seconds: float) -> None:
        """Note how long a delivery took from its event."""
        self._latencies.observe(seconds)
