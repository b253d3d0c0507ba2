"""Metrics of the calls that the service places to check itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge

_STEPS = ("connected", "ready", "greeted", "heard_out", "answered", "ended")


class SyntheticMetrics:
    """Counts each call as it ends."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "voice_synthetic_calls_total",
            "Calls of the service to itself, by result: ok, or the step that failed.",
            ["result"],
            registry=registry,
        )
        for result in ("ok", *_STEPS):
            self._calls.labels(result)
        self._failing = Gauge(
            "voice_synthetic_call_failing",
            "1 if the last call of the service to itself failed.",
            registry=registry,
            multiprocess_mode="livemostrecent",  # whichever worker held it
        )

    def held(self, *, failed_at: str | None) -> None:
        """Note how a call went; ``failed_at`` is the step that failed."""
        self._calls.labels(failed_at or "ok").inc()
        self._failing.set(failed_at is not None)
