"""The Prometheus metrics of the service, with their help and buckets. Labels never contain call ids, numbers or words.

Workers keep their values in files of one folder, and whichever worker is scraped adds them up: counters and histograms
of all workers, dead ones included; gauges of live workers only, as each gauge's ``multiprocess_mode`` says; nearly
always ``livesum`` is right (https://prometheus.github.io/client_python/multiprocess/).
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.errors import AdmissionError
from app.observability.access_metrics import AccessMetrics
from app.observability.analysis_metrics import AnalysisMetrics
from app.observability.compression_metrics import CompressionMetrics
from app.observability.journal_metrics import JournalMetrics
from app.observability.process_metrics import ProcessMetrics
from app.observability.provider_metrics import ProviderMetrics
from app.observability.retention_metrics import RetentionMetrics
from app.observability.service_metrics import ServiceMetrics
from app.observability.sound_metrics import SoundMetrics
from app.observability.storage_metrics import StorageMetrics
from app.observability.synthetic_metrics import SyntheticMetrics
from app.observability.trace_metrics import TraceMetrics
from app.observability.turn_metrics import TurnMetrics
from app.observability.webhook_metrics import WebhookMetrics

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder; the library reads it on import. Without it, a process exposes only its own values."""

_TURN_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10)
_ALERTING = ("crashed", "internal_error")
"""Exposed as 0 from the start: Prometheus sees no increase in a series that begins at 1."""
_DIRECTIONS = ("inbound", "outbound", "web")
_ABANDONED = ("ringing", "early", "waiting")
_CALL_BUCKETS = (5, 15, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The service's own metrics; HTTP metrics come from the instrumentator and share the registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.access = AccessMetrics(self.registry)
        self.journal = JournalMetrics(self.registry)
        self.providers = ProviderMetrics(self.registry)
        self.process = ProcessMetrics(self.registry)
        self.sound = SoundMetrics(self.registry)
        self.synthetic = SyntheticMetrics(self.registry)
        self.turns = TurnMetrics(self.registry)
        self.storage = StorageMetrics(self.registry)
        self.service = ServiceMetrics(self.registry)
        self.analyses = AnalysisMetrics(self.registry)
        self.compressions = CompressionMetrics(self.registry)
        self.retention = RetentionMetrics(self.registry)
        self.traces = TraceMetrics(self.registry)
        self.webhooks = WebhookMetrics(self.registry)
        self._active = Gauge(
            "voice_calls_active", "Calls that are alive.", registry=self.registry, multiprocess_mode="livesum"
        )
        self._calls = Counter(
            "voice_calls_total", "Calls that have ended.", ["direction", "end_reason", "fault"], registry=self.registry
        )
        self._abandoned = Counter(
            "voice_abandoned_calls_total", "Calls that the caller gave up.", ["when"], registry=self.registry
        )
        self._duration = Histogram(
            "voice_call_duration_seconds", "From the answer to the end.", buckets=_CALL_BUCKETS, registry=self.registry
        )
        self._latency = Histogram(
            "voice_turn_latency_seconds",
            "Stages of an answer, and their total, from the caller's last sound to the first sound of the answer.",
            ["stage"],
            buckets=_TURN_BUCKETS,
            registry=self.registry,
        )
        self._budget = Counter(
            "voice_turn_budget_total",
            "Answers, by whether they began within the time there is for it.",
            ["result"],
            registry=self.registry,
        )
        self._rejected = Counter(
            "voice_admission_rejected_total", "Calls that were rejected.", ["reason"], registry=self.registry
        )
        self._webhooks = Counter(
            "voice_webhooks_total", "LiveKit webhooks by result.", ["event", "result"], registry=self.registry
        )
        self._expose_zeros()

    def _expose_zeros(self) -> None:
        for direction, reason in product(_DIRECTIONS, _ALERTING):
            self._calls.labels(direction, reason, "ours")
        for when in _ABANDONED:
            self._abandoned.labels(when)
        for refusal in AdmissionError.__subclasses__():
            self._rejected.labels(refusal.code)

    def exposition(self) -> bytes:
        """The metrics of all workers in Prometheus' text format; reads the workers' files."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]  # it registers itself
        return generate_latest(everybody)

    def call_started(self) -> None:
        """Count a call that has begun."""
        self._active.inc()

    def call_ended(
        self,
        end_reason: str,
        fault: str,
        duration_seconds: float | None,
        *,
        direction: str,
        abandoned: str | None = None,
    ) -> None:
        """Count the end of a call, in the process that commits it; one that was never answered has no duration.

        ``abandoned`` is when the caller gave the call up: ``ringing``, ``early`` or ``waiting``.
        """
        self._calls.labels(direction, end_reason, fault.partition(":")[0]).inc()
        if abandoned is not None:
            self._abandoned.labels(abandoned).inc()
        if duration_seconds is not None:
            self._duration.observe(duration_seconds)

    def call_left(self) -> None:
        """Stop counting a call as live in this process."""
        self._active.dec()

    def turn_answered(self, stages: Mapping[str, float], *, is_in_time: bool, is_bridged: bool = False) -> None:
        """Observe an answer's latency: seconds by stage, and ``total``.

        The stages of an answer that waited for a tool behind a line (``is_bridged``) contain the time of the tool,
        which has a metric of its own: they are left out.
        """
        self._budget.labels("kept" if is_in_time else "missed").inc()
        if is_bridged:
            return
        for stage, seconds in stages.items():
            self._latency.labels(stage).observe(seconds)

    def call_rejected(self, reason: str) -> None:
        """Count a rejected call."""
        self._rejected.labels(reason).inc()

    def webhook_received(self, event: str, result: str) -> None:
        """Count a webhook; ``result`` is ``accepted``, ``duplicate``, ``ignored`` or ``refused``."""
        self._webhooks.labels(event, result).inc()


def forget_process(pid: int, folder: str) -> None:
    """Drop the gauges of a dead worker."""
    with suppress(OSError):  # the folder may be gone; the workers continue
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
