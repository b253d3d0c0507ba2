"""Figures about the parts of the service."""

from prometheus_client import CollectorRegistry

from app.models import HealthStatus, ServiceHealth
from app.observability.service_metrics import ServiceMetrics


def test_the_state_of_the_components_is_a_number() -> None:
    registry = CollectorRegistry()
    storage = ServiceHealth("storage", "failed")
    openai = ServiceHealth("openai", "degraded", breaker="open")
    ServiceMetrics(registry).note_health(HealthStatus("failed", (storage, openai)))
    assert registry.get_sample_value("voice_component_status", {"component": "storage"}) == 2
    assert registry.get_sample_value("voice_component_status", {"component": "openai"}) == 1
    assert registry.get_sample_value("voice_breaker_state", {"provider": "openai"}) == 2
    assert registry.get_sample_value("voice_breaker_state", {"provider": "storage"}) is None


def test_full_is_one() -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)
    metrics.note_capacity(40, 50)
    assert registry.get_sample_value("voice_capacity_ratio") == 0.8


def test_the_tasks_of_the_event_loop_are_shown() -> None:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)
    metrics.note_tasks(40)
    metrics.note_tasks(30)
    assert registry.get_sample_value("voice_tasks") == 30


def test_the_metrics_show_which_version_runs() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry).started("0.1.0", "0005")
    assert registry.get_sample_value("voice_build_info", {"version": "0.1.0", "schema": "0005"}) == 1
    assert registry.get_sample_value("voice_worker_starts_total") == 1
