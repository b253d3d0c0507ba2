"""Metrics of the analyses of ended calls."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from app.observability.listeners import Listeners


class AnalysisMetrics:
    """Counts analyses as they end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.on_spent = Listeners[[float | None]]("analysis.spent")
        """Called with the cost of each attempt in US dollars; None if it is unknown."""
        self._ended = Counter(
            "voice_analyses_total", "Analyses of ended calls, by result.", ["result"], registry=registry
        )
        for result in ("done", "failed"):
            self._ended.labels(result)
        self._cost = Counter(
            "voice_analysis_cost_usd_total", "Cost of analyses at list prices, where known.", registry=registry
        )
        self._waiting = Gauge(
            "voice_analyses_waiting",
            "Ended calls that are not analysed yet.",
            registry=registry,
            multiprocess_mode="livemax",  # all workers see the same rows
        )

    def ended(self, result: str) -> None:
        """Count an analysis; ``result`` is ``done`` or ``failed``."""
        self._ended.labels(result).inc()

    def spent(self, cost: float | None) -> None:
        """Count what an attempt cost, in US dollars."""
        self._cost.inc(cost or 0.0)
        self.on_spent(cost)

    def note_waiting(self, count: int) -> None:
        """Note how many calls wait."""
        self._waiting.set(count)
