"""Figures about who was not let in."""

from prometheus_client import CollectorRegistry

from app.observability.access_metrics import AccessMetrics


def test_a_guess_is_counted_and_what_was_not_guessed_is_shown_as_nothing() -> None:
    registry = CollectorRegistry()
    AccessMetrics(registry).refused("api", "wrong_key")
    name = "voice_security_rejects_total"
    assert registry.get_sample_value(name, {"surface": "api", "reason": "wrong_key"}) == 1
    assert registry.get_sample_value(name, {"surface": "metrics", "reason": "wrong_key"}) == 0
    assert registry.get_sample_value(name, {"surface": "media", "reason": "token_used"}) == 0
