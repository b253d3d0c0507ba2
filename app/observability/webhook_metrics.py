"""Metrics of the webhooks that the service sends."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WebhookMetrics:
    """Counts attempts as they end; notes once a second what is not delivered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            # All workers see the same rows.
            return Gauge(name, meaning, registry=registry, multiprocess_mode="livemax")

        self._attempts = Counter(
            "voice_webhook_attempts_total",
            "Attempts to deliver a webhook, by event and result.",
            ["event", "result"],
            registry=registry,
        )
        self._waiting = gauge("voice_webhooks_waiting", "Webhooks that are not delivered yet.")
        self._dead = gauge("voice_webhooks_dead", "Webhooks that were given up.")
        self._oldest = gauge("voice_webhooks_oldest_seconds", "Age of the oldest webhook that waits.")

    def attempt_ended(self, event: str, result: str) -> None:
        """Count an attempt; ``result`` is ``delivered``, ``failed``, ``dead`` or ``gone``."""
        self._attempts.labels(event, result).inc()

    def note_backlog(self, *, waiting: int, dead: int, oldest_seconds: float) -> None:
        """Note what is not delivered."""
        self._waiting.set(waiting)
        self._dead.set(dead)
        self._oldest.set(oldest_seconds)
