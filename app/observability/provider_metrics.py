"""Metrics of requests to vendors."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.observability.listeners import Listeners

_ANSWER_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10)


class ProviderMetrics:
    """Counts what the vendors' clients report: the service's :class:`app.clients.resilient.ProviderObserver` and
    :class:`app.clients.limiter.LimiterObserver`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.on_spent = Listeners[[float | None]]("provider.spent")
        """Called with each cost that belongs to no call, in US dollars; None if it is unknown."""
        self._requests = Counter(
            "voice_provider_requests_total",
            "Attempts at requests to vendors, by result.",
            ["provider", "operation", "result"],
            registry=registry,
        )
        self._retries = Counter(
            "voice_provider_retries_total",
            "Requests to vendors that were made again.",
            ["provider", "operation"],
            registry=registry,
        )
        self._answer_seconds = Histogram(
            "voice_provider_first_answer_seconds",
            "From a request to the first piece of its answer.",
            ["provider", "operation"],
            buckets=_ANSWER_BUCKETS,
            registry=registry,
        )

        self._phrase_cost = Counter(
            "voice_provider_phrase_cost_usd_total",
            "Cost at list prices, where known, of phrases that were voiced in advance.",
            ["provider"],
            registry=registry,
        )
        self._waits = Histogram(
            "voice_provider_wait_seconds",
            "How long requests waited because a vendor's limit was used up; those that did not wait are not counted.",
            ["provider", "priority"],
            buckets=_ANSWER_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "voice_provider_throttled_total",
            "Requests that were not sent because a vendor's limit was used up.",
            ["provider", "priority"],
            registry=registry,
        )
        self._probe_cost = Counter(
            "voice_provider_probe_cost_usd_total",
            "Cost at list prices, where known, of asking vendors that were down whether they are well again.",
            ["provider"],
            registry=registry,
        )

    def phrase_voiced(self, provider: str, cost: float | None) -> None:
        """Count what it cost to voice a phrase in advance."""
        self._phrase_cost.labels(provider).inc(cost or 0.0)
        self.on_spent(cost)

    def spent(self, provider: str, cost: float | None) -> None:
        """Count what a request cost that belongs to no call."""
        self._probe_cost.labels(provider).inc(cost or 0.0)
        self.on_spent(cost)

    def waited(self, provider: str, priority: str, seconds: float) -> None:
        """Count a request that was sent after a wait."""
        self._waits.labels(provider, priority).observe(seconds)

    def refused(self, provider: str, priority: str) -> None:
        """Count a request that was not sent."""
        self._refused.labels(provider, priority).inc()

    def retrying(self, provider: str, operation: str) -> None:
        """Count a retry."""
        self._retries.labels(provider, operation).inc()

    def attempt_finished(self, provider: str, operation: str, result: str, seconds: float) -> None:
        """Count a finished attempt."""
        self._requests.labels(provider, operation, result).inc()
        if result == "ok":
            self._answer_seconds.labels(provider, operation).observe(seconds)
