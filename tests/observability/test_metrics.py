"""Figures for Prometheus."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import Gauge, generate_latest

from app.observability.metrics import FOLDER_VARIABLE, Metrics, forget_process


def shown(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_live_calls_are_counted_up_and_down() -> None:
    metrics = Metrics()
    metrics.call_started()
    metrics.call_started()
    assert "voice_calls_active 2.0" in shown(metrics)
    metrics.call_left()
    metrics.call_ended("silence", "none", 12.0, direction="inbound")
    assert "voice_calls_active 1.0" in shown(metrics)
    assert 'voice_calls_total{direction="inbound",end_reason="silence",fault="none"} 1.0' in shown(metrics)
    assert "voice_call_duration_seconds_sum 12.0" in shown(metrics)


def test_a_fault_is_counted_without_its_details() -> None:
    metrics = Metrics()
    metrics.call_ended("provider_failure", "provider:openai", 1.0, direction="inbound")
    assert 'fault="provider"' in shown(metrics)
    assert "openai" not in shown(metrics)


def test_a_call_that_was_never_answered_has_no_duration() -> None:
    metrics = Metrics()
    metrics.call_ended("busy", "none", None, direction="inbound")
    assert 'voice_calls_total{direction="inbound",end_reason="busy",fault="none"} 1.0' in shown(metrics)
    assert "voice_call_duration_seconds_count 0.0" in shown(metrics)


@pytest.mark.parametrize(
    "series",
    [
        'voice_calls_total{direction="inbound",end_reason="crashed",fault="ours"}',
        'voice_calls_total{direction="inbound",end_reason="internal_error",fault="ours"}',
        'voice_admission_rejected_total{reason="at_capacity"}',
        'voice_admission_rejected_total{reason="draining"}',
    ],
)
def test_what_alerts_wait_for_is_there_before_it_happens(series: str) -> None:
    assert f"{series} 0.0" in shown(Metrics())


def test_the_stages_of_an_answer_are_observed() -> None:
    metrics = Metrics()
    metrics.turn_answered({"end_of_turn": 0.2, "total": 0.7}, is_in_time=True)
    assert 'voice_turn_budget_total{result="kept"} 1.0' in shown(metrics)
    assert 'voice_turn_latency_seconds_sum{stage="total"} 0.7' in shown(metrics)
    assert 'voice_turn_latency_seconds_bucket{le="0.65",stage="total"} 0.0' in shown(metrics)
    assert 'voice_turn_latency_seconds_bucket{le="0.8",stage="total"} 1.0' in shown(metrics)


@pytest.mark.parametrize(("result", "observed"), [("ok", True), ("provider_timeout", False)])
def test_only_an_answer_says_how_long_answers_take(result: str, observed: bool) -> None:
    metrics = Metrics()
    metrics.providers.attempt_finished("openai", "stream_reply", result, 0.4)
    requests = f'voice_provider_requests_total{{operation="stream_reply",provider="openai",result="{result}"}} 1.0'
    assert requests in shown(metrics)
    assert ("voice_provider_first_answer_seconds_sum" in shown(metrics)) is observed


def test_calls_that_are_not_taken_are_counted_by_reason() -> None:
    metrics = Metrics()
    metrics.call_rejected("at_capacity")
    assert 'voice_admission_rejected_total{reason="at_capacity"} 1.0' in shown(metrics)


def test_two_services_in_one_process_share_no_figure() -> None:
    first, second = Metrics(), Metrics()
    first.call_started()
    assert "voice_calls_active 0.0" in shown(second)


def test_every_gauge_says_how_the_workers_gauges_are_put_together() -> None:
    collectors = Metrics().registry._collector_to_names
    gauges = [collector for collector in collectors if isinstance(collector, Gauge)]
    assert gauges
    assert {gauge._multiprocess_mode for gauge in gauges} <= {"livesum", "livemax", "livemostrecent"}


WORKER = """
from app.models import HealthStatus, ServiceHealth
from app.observability.metrics import Metrics
metrics = Metrics()
metrics.call_started()
metrics.call_started()
metrics.call_left()
metrics.call_ended("silence", "none", 12.5, direction="inbound")
metrics.turn_answered({"total": 0.7}, is_in_time=True)
metrics.service.started("0.1.0", "0005")
metrics.service.note_draining(True)
metrics.service.note_health(HealthStatus("degraded", (ServiceHealth("openai", "degraded", breaker="open"),)))
metrics.storage.note_journal(waiting=3, lost=2, is_failing=True)
print(__import__("os").getpid())
"""


def test_the_metrics_of_all_workers_are_added_up_and_gauges_end_with_their_worker(tmp_path: Path) -> None:
    environment = {**os.environ, FOLDER_VARIABLE: str(tmp_path)}

    def run(program: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout

    def figures() -> str:
        return run("from app.observability.metrics import Metrics\nprint(Metrics().exposition().decode())")

    first, _second = int(run(WORKER)), int(run(WORKER))
    shown = figures()
    assert "voice_calls_active 2.0" in shown
    assert "voice_draining 2.0" in shown
    assert "voice_journal_rows_waiting 6.0" in shown
    assert 'voice_breaker_state{provider="openai"} 2.0' in shown
    assert 'voice_build_info{schema="0005",version="0.1.0"} 1.0' in shown
    forget_process(first, str(tmp_path))
    shown = figures()
    assert "voice_calls_active 1.0" in shown
    assert "voice_journal_failing 1.0" in shown
    assert "voice_journal_rows_lost_total 4.0" in shown
    assert "voice_worker_starts_total 2.0" in shown
    assert 'voice_calls_total{direction="inbound",end_reason="silence",fault="none"} 2.0' in shown
    assert 'voice_turn_latency_seconds_bucket{le="0.8",stage="total"} 2.0' in shown
    assert "voice_call_duration_seconds_sum 25.0" in shown


def test_calls_are_counted_by_direction_and_those_that_were_given_up_by_their_moment() -> None:
    metrics = Metrics()
    metrics.call_ended("caller_hangup", "none", 4.0, direction="web", abandoned="early")
    metrics.call_ended("crashed", "ours", None, direction="outbound")
    assert 'voice_calls_total{direction="web",end_reason="caller_hangup",fault="none"} 1.0' in shown(metrics)
    assert 'voice_calls_total{direction="outbound",end_reason="crashed",fault="ours"} 1.0' in shown(metrics)
    assert 'voice_abandoned_calls_total{when="early"} 1.0' in shown(metrics)
    assert 'voice_abandoned_calls_total{when="waiting"} 0.0' in shown(metrics)
