"""Metrics of the compression of recordings."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class CompressionMetrics:
    """Counts recordings as their compression ends."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "voice_compressions_total", "Compressions of recordings, by result.", ["result"], registry=registry
        )
        for result in ("done", "kept", "failed"):
            self._ended.labels(result)
        self._waiting = Gauge(
            "voice_compressions_waiting",
            "Recordings of ended calls that are not compressed yet.",
            registry=registry,
            multiprocess_mode="livemax",  # all workers see the same rows
        )

    def ended(self, result: str) -> None:
        """Count a compression; ``result`` is ``done``, ``kept`` or ``failed``."""
        self._ended.labels(result).inc()

    def note_waiting(self, count: int) -> None:
        """Note how many recordings wait."""
        self._waiting.set(count)
