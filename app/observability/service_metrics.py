"""Metrics of the service itself: its version, its components, its workers and its capacity."""

from collections.abc import Iterable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.models import HealthStatus

_LAG_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1)
_STATUS = {"ok": 0, "degraded": 1, "failed": 2}
_BREAKER = {"closed": 0, "half_open": 1, "open": 2}


class ServiceMetrics:
    """Metrics that do not concern a single call."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, mode: Literal["livemax", "livesum"], *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode=mode)

        self._build = gauge("voice_build_info", "1, with what is running.", "livemax", "version", "schema")
        self._starts = Counter(
            "voice_worker_starts_total",
            "Workers started, including those that replaced dead ones.",
            registry=registry,
        )
        self._status = gauge(
            "voice_component_status", "0 ok, 1 degraded, 2 failed; the worst of all workers.", "livemax", "component"
        )
        self._breaker = gauge(
            "voice_breaker_state", "0 closed, 1 half open, 2 open; the worst of all workers.", "livemax", "provider"
        )
        self._day_cost = gauge(
            "voice_day_cost_usd",
            "US dollars of the calls of this UTC day: what ended calls have cost, and what others have reserved.",
            "livemax",
            "kind",
        )
        self._draining = gauge("voice_draining", "Workers that take no new calls because they are stopping.", "livesum")
        self._orders = gauge("voice_service_order", "1 while an operator's order holds.", "livemax", "order")
        self._capacity = gauge("voice_capacity_ratio", "Live calls as a share of capacity, in all workers.", "livesum")
        self._tasks = gauge("voice_tasks", "Tasks on the event loops of all workers.", "livesum")
        self._claims = Counter("voice_claims_total", "Telephone calls claimed.", ["kind"], registry=registry)
        self._taken_over = Counter(
            "voice_calls_taken_over_total",
            "Calls that went on here when their process died.",
            registry=registry,
        )
        self._lease_failures = Counter(
            "voice_lease_renewals_failed_total",
            "Failed renewals of a worker's call leases.",
            registry=registry,
        )

        self._loop_failures = Counter(
            "voice_loop_failures_total",
            "Unexpected or lasting failures of the service's loops and of calls' tasks.",
            ["loop"],
            registry=registry,
        )
        self._loop_lag = Histogram(
            "voice_event_loop_lag_seconds",
            "How late the event loop's timers were.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )

    def started(self, version: str, schema: str) -> None:
        """Note that this process begins to serve."""
        self._build.labels(version, schema).set(1)
        self._starts.inc()

    def note_health(self, status: HealthStatus) -> None:
        """Note the health of the components."""
        for part in status.components:
            self._status.labels(part.name).set(_STATUS[part.status])
            if part.breaker is not None:
                self._breaker.labels(part.name).set(_BREAKER[part.breaker])

    def note_spending(self, *, spent_usd: float, reserved_usd: float) -> None:
        """Show what the calls of today have cost."""
        self._day_cost.labels("spent").set(spent_usd)
        self._day_cost.labels("reserved").set(reserved_usd)

    def note_draining(self, is_draining: bool) -> None:
        """Note whether this process takes no new calls."""
        self._draining.set(is_draining)

    def note_orders(self, *, is_paused: bool, is_outbound_stopped: bool) -> None:
        """Note which orders of operators hold."""
        self._orders.labels("pause").set(is_paused)
        self._orders.labels("stop-outbound").set(is_outbound_stopped)

    def note_capacity(self, live_calls: int, places: int) -> None:
        """Note the live calls of this process and the capacity of all workers."""
        self._capacity.set(live_calls / places)

    def note_tasks(self, count: int) -> None:
        """Note how many tasks the event loop of this process has."""
        self._tasks.set(count)

    def call_claimed(self, kind: str) -> None:
        """Count a claimed call; ``kind`` is ``inbound`` or ``outbound``."""
        self._claims.labels(kind).inc()

    def call_taken_over(self) -> None:
        """Count a call that goes on here, because its process has died."""
        self._taken_over.inc()

    def lease_not_renewed(self) -> None:
        """Count a failed renewal; it is retried in half a second."""
        self._lease_failures.inc()

    def loops_are(self, names: Iterable[str]) -> None:
        """Expose each as 0 from the start: Prometheus sees no increase in a series that begins at 1."""
        for name in names:
            self._loop_failures.labels(name)

    def loop_failed(self, name: str) -> None:
        """Count an exception of a loop or of a call's task; the set of names is fixed."""
        self._loop_failures.labels(name).inc()

    def loop_was_late(self, seconds: float) -> None:
        """Observe how late a timer was."""
        self._loop_lag.observe(seconds)
