"""Figures about who was not let in."""

from prometheus_client import CollectorRegistry, Counter

_KEYS = ("no_key", "wrong_key", "too_many_keys")
_REASONS = {"api": _KEYS, "metrics": _KEYS, "media": ("token_invalid", "token_used")}


class AccessMetrics:
    """At the doors that ask for a key or a token; what LiveKit's webhooks are refused for is counted with them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "voice_security_rejects_total", "Who was not let in.", ["surface", "reason"], registry=registry
        )
        for surface, reasons in _REASONS.items():
            for reason in reasons:
                self._refused.labels(surface, reason)

    def refused(self, surface: str, reason: str) -> None:
        """``surface`` is ``api``, ``metrics`` or ``media``."""
        self._refused.labels(surface, reason).inc()
