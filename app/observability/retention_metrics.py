"""Metrics of what retention erases."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter


class RetentionMetrics:
    """Counts what is erased because of its age."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._erased = Counter(
            "voice_retention_erased_total", "Parts of calls erased because of their age.", ["part"], registry=registry
        )
        for part in ("recording", "words", "call"):
            self._erased.labels(part)
        self._failed = Counter(
            "voice_retention_failures_total",
            "Times that a call could not be erased though it is too old.",
            registry=registry,
        )

    def erased(self, part: Literal["recording", "words", "call"]) -> None:
        """Count a recording, the words of a call, or a whole call."""
        self._erased.labels(part).inc()

    def failed(self) -> None:
        """Count a call of which something could not be erased. The next sweep tries again."""
        self._failed.inc()
