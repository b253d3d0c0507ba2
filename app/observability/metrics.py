"""Every Prometheus metric of the service, with its help and buckets. Labels never hold a call, a number or a word.

Workers keep their figures in files of one folder, and whichever is asked adds up all of them: counters and histograms
also those of workers that died, gauges only those of the living (https://prometheus.github.io/client_python/multiprocess/).
A gauge says by its ``multiprocess_mode`` how, and ``livesum`` is nearly always right.
"""

import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder; the library reads it when it is imported. Without it a process keeps its figures to itself."""

_TURN_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10)
_LAG_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1)
_CALL_BUCKETS = (5, 15, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The service's own figures; HTTP figures come from the instrumentator and share the registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._active = Gauge(
            "voice_calls_active", "Calls that are alive.", registry=self.registry, multiprocess_mode="livesum"
        )
        self._calls = Counter(
            "voice_calls_total", "Calls that have ended.", ["end_reason", "fault"], registry=self.registry
        )
        self._duration = Histogram(
            "voice_call_duration_seconds",
            "From the answer to the end.",
            buckets=_CALL_BUCKETS,
            registry=self.registry,
        )
        self._latency = Histogram(
            "voice_turn_latency_seconds",
            "Stages of an answer, and their total, from the caller's last sound to the first sound of the answer.",
            ["stage"],
            buckets=_TURN_BUCKETS,
            registry=self.registry,
        )
        self._requests = Counter(
            "voice_provider_requests_total",
            "Attempts at requests to vendors, by result.",
            ["provider", "operation", "result"],
            registry=self.registry,
        )
        self._answer_seconds = Histogram(
            "voice_provider_first_answer_seconds",
            "From a request to the first piece of its answer.",
            ["provider", "operation"],
            buckets=_TURN_BUCKETS,
            registry=self.registry,
        )
        self._rejected = Counter(
            "voice_admission_rejected_total", "Calls that were not taken.", ["reason"], registry=self.registry
        )
        self._webhooks = Counter(
            "voice_webhooks_total",
            "Webhooks of LiveKit, by what became of them.",
            ["event", "result"],
            registry=self.registry,
        )
        self._loop_lag = Histogram(
            "voice_event_loop_lag_seconds",
            "By how much timers of the event loop came late.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )

    def loop_was_late(self, seconds: float) -> None:
        """A timer came so much later than it was due."""
        self._loop_lag.observe(seconds)

    def exposition(self) -> bytes:
        """The figures of all workers, in the text format of Prometheus; it reads their files."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]  # it registers itself
        return generate_latest(everybody)

    def call_started(self) -> None:
        """One more call is alive."""
        self._active.inc()

    def call_ended(self, end_reason: str, fault: str, duration_seconds: float) -> None:
        """One call less is alive."""
        self._active.dec()
        self._calls.labels(end_reason, fault.partition(":")[0]).inc()
        self._duration.observe(duration_seconds)

    def call_crashed(self) -> None:
        """A call was ended whose process had died; it was never alive here."""
        self._calls.labels("crashed", "ours").inc()

    def turn_answered(self, stages: Mapping[str, float]) -> None:
        """Seconds by stage, and ``total``."""
        for stage, seconds in stages.items():
            self._latency.labels(stage).observe(seconds)

    def call_rejected(self, reason: str) -> None:
        """A call was not taken."""
        self._rejected.labels(reason).inc()

    def webhook_received(self, event: str, result: str) -> None:
        """``result`` is ``accepted``, ``duplicate``, ``ignored`` or ``refused``."""
        self._webhooks.labels(event, result).inc()

    def attempt_finished(self, provider: str, operation: str, result: str, seconds: float) -> None:
        """An attempt at a vendor's request has ended."""
        self._requests.labels(provider, operation, result).inc()
        if result == "ok":
            self._answer_seconds.labels(provider, operation).observe(seconds)


def forget_process(pid: int, folder: str) -> None:
    """A worker is dead: what it said of the present holds no more."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
