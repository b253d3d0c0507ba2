"""Metrics of the traces that the service sends."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter

TraceResult = Literal["exported", "refused", "overflow", "stopped"]


class TraceMetrics:
    """Counts calls by what became of their traces, and the spans that were lost with them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._traces = Counter(
            "voice_traces_total", "Traces of calls, by what became of them.", ["result"], registry=registry
        )
        self._dropped = Counter(
            "voice_trace_spans_dropped_total", "Spans that the collector did not take.", registry=registry
        )
        for result in ("exported", "refused", "overflow", "stopped"):
            self._traces.labels(result)

    def ended(self, result: TraceResult, *, dropped: int = 0) -> None:
        """Count a trace: ``refused`` by the collector, in an ``overflow``, or left when the service ``stopped``.

        ``dropped`` is how many of its spans are lost, as far as they are known.
        """
        self._traces.labels(result).inc()
        self._dropped.inc(dropped)
