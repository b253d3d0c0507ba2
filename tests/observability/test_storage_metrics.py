"""Figures about the journal."""

from prometheus_client import CollectorRegistry

from app.observability.storage_metrics import StorageMetrics


def test_rows_that_are_lost_are_counted_once_however_often_it_is_looked() -> None:
    registry = CollectorRegistry()
    metrics = StorageMetrics(registry)
    for waiting, lost, is_failing in ((5, 0, True), (0, 3, True), (0, 3, False), (0, 4, False)):
        metrics.note_journal(waiting=waiting, lost=lost, is_failing=is_failing)
    assert registry.get_sample_value("voice_journal_rows_lost_total") == 4
    assert registry.get_sample_value("voice_journal_rows_waiting") == 0
    assert registry.get_sample_value("voice_journal_failing") == 0
