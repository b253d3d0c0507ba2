"""Metrics of refused access."""

from prometheus_client import CollectorRegistry, Counter

_KEYS = ("no_key", "wrong_key", "too_many_keys")
_REASONS = {"api": _KEYS, "metrics": _KEYS, "media": ("token_invalid", "token_used")}


class AccessMetrics:
    """Counts requests refused for their key or token; refused LiveKit webhooks are counted elsewhere, by result."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "voice_security_rejects_total",
            "Requests refused for their key or token.",
            ["surface", "reason"],
            registry=registry,
        )
        for surface, reasons in _REASONS.items():
            for reason in reasons:
                self._refused.labels(surface, reason)

    def refused(self, surface: str, reason: str) -> None:
        """Count a refusal; ``surface`` is ``api``, ``metrics`` or ``media``."""
        self._refused.labels(surface, reason).inc()
