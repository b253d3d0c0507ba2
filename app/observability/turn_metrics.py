"""Metrics of what callers hear, or do not hear: silence, a voice that breaks off, and fallbacks."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_SILENCE_BUCKETS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 15, 30)
_STAGES = ("stt", "llm", "tts")


class TurnMetrics:
    """Counts underruns as they happen; the rest when a call has ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._dead_air = Histogram(
            "voice_dead_air_seconds",
            "How long callers heard nothing after what they had said.",
            buckets=_SILENCE_BUCKETS,
            registry=registry,
        )
        self._failovers = Counter(
            "voice_failovers_total", "Turns that a fallback served, by stage.", ["stage"], registry=registry
        )
        for stage in _STAGES:
            self._failovers.labels(stage)
        self._underruns = Counter(
            "voice_underruns_total", "Times the agent's voice ran dry within an utterance.", registry=registry
        )

    def caller_waited(self, seconds: float) -> None:
        """Observe how long a caller heard nothing after a turn of theirs."""
        self._dead_air.observe(seconds)

    def fallback_served(self, stage: str) -> None:
        """Count a turn that was not served by the first choice; ``stage`` is ``stt``, ``llm`` or ``tts``."""
        self._failovers.labels(stage).inc()

    def voice_ran_dry(self) -> None:
        """Count a gap within an utterance."""
        self._underruns.inc()
