import asyncio
import json

import pytest
import structlog
import tenacity
from livekit.api.twirp_client import TwirpClient
from structlog.testing import capture_logs

from app.clients.resilient import Attempt, BaseResilientClient, NoObserver, RetryPolicy
from app.errors import (
    ContentRejected,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.clients.asking import Ledger, Vendor, client, fail, limited, unavailable

VIRTUAL_TIME = True


async def test_an_answer_is_given_with_the_arguments_passed_on() -> None:
    async def ask(text: str, *, loud: bool) -> str:
        return text.upper() if loud else text

    assert await client().make_request(ask, "да", loud=True) == "ДА"


async def test_a_failure_that_may_pass_is_tried_again_with_growing_pauses() -> None:
    vendor = Vendor(unavailable(), unavailable(), "answer")

    assert await client(attempts=3).make_request(vendor.ask) == "answer"
    assert vendor.asked_at == pytest.approx([0.0, 0.1, 0.3])


async def test_the_last_failure_is_raised_when_all_attempts_are_used() -> None:
    vendor = Vendor(unavailable(), ProviderTimeout("provider", "first"), ProviderTimeout("provider", "second"))

    with pytest.raises(ProviderTimeout, match="second"):
        await client(attempts=3).make_request(vendor.ask)
    assert len(vendor.asked_at) == 3


async def test_what_was_refused_for_good_is_not_tried_again() -> None:
    vendor = Vendor(ProviderRejected("provider", "status 401"))

    with pytest.raises(ProviderRejected):
        await client().make_request(vendor.ask)
    assert len(vendor.asked_at) == 1


async def test_a_request_refused_for_its_content_is_not_a_failure_of_the_vendor() -> None:
    ledger = Ledger()
    asked = client(threshold=1, ledger=ledger)

    vendor = Vendor(ContentRejected("provider", "status 400", status=400), "answer")
    with pytest.raises(ContentRejected):
        await asked.make_request(vendor.ask)

    assert await asked.make_request(vendor.ask) == "answer"
    assert asked.get_metrics().failures == 0
    assert ledger.results == ["content_rejected", "ok"]


async def test_a_bug_of_ours_passes_unchanged_and_is_not_a_failure_of_the_vendor() -> None:
    ledger = Ledger()
    asked = client(threshold=1, ledger=ledger)

    with pytest.raises(ZeroDivisionError):
        await asked.make_request(Vendor(ZeroDivisionError()).ask)
    assert asked.get_metrics().failures == 0
    assert (await asked.health_check()).breaker == "closed"


async def test_what_a_vendors_package_raises_unannounced_is_a_failure_of_the_vendor() -> None:
    async def ask() -> object:
        return TwirpClient._server_error(["no object"], 500)  # type: ignore[arg-type]

    ledger = Ledger()
    asked = client(attempts=2, ledger=ledger)

    with pytest.raises(
        ProviderProtocolError, match=r"unexpected AttributeError in livekit, twirp_client.py:\d+"
    ) as caught:
        await asked.make_request(ask)
    assert caught.value.__cause__ is None
    assert ledger.results == ["provider_protocol"] * 2


async def test_a_bug_of_ours_that_a_package_calls_is_still_ours() -> None:
    def ours() -> object:
        return {}["a bug"]

    async def ask() -> object:
        return tenacity.Retrying(stop=tenacity.stop_after_attempt(1), reraise=True)(ours)

    with pytest.raises(KeyError):
        await client().make_request(ask)


async def test_what_the_standard_library_raises_is_whose_code_has_called_it() -> None:
    async def ask() -> object:
        return json.loads("{")

    with pytest.raises(json.JSONDecodeError):
        await client().make_request(ask)


async def test_each_attempt_has_a_deadline_whatever_the_package_makes_of_its_own() -> None:
    ledger = Ledger()
    asked = BaseResilientClient(retry=RetryPolicy(attempts=2, jitter_seconds=0.0), observer=ledger)

    with pytest.raises(ProviderTimeout):
        await asked.make_request(Vendor("late", "late", seconds=3600.0).ask)
    assert ledger.seconds == pytest.approx([60.0, 60.0])


async def test_a_timeout_becomes_the_services_own_and_does_not_drag_the_strangers_along() -> None:
    with pytest.raises(ProviderTimeout) as caught:
        await client(attempts=1).make_request(Vendor(TimeoutError()).ask)
    assert caught.value.__cause__ is None


async def test_a_rate_limit_is_waited_for_as_long_as_the_vendor_wished() -> None:
    vendor = Vendor(limited(1.5), "answer")

    assert await client().make_request(vendor.ask) == "answer"
    assert vendor.asked_at == pytest.approx([0.0, 1.5])


async def test_a_wish_longer_than_our_patience_is_not_waited_for() -> None:
    vendor = Vendor(limited(60.0))

    with pytest.raises(ProviderRateLimited):
        await client().make_request(vendor.ask)
    assert len(vendor.asked_at) == 1


async def test_a_stream_is_measured_to_the_first_piece_of_its_answer() -> None:
    ledger = Ledger()
    asked = client(ledger=ledger)

    async with asked.attempt("stream") as attempt:
        await asyncio.sleep(0.2)
        attempt.answered("req-1")
        attempt.answered()
        await asyncio.sleep(5.0)

    assert attempt.request_id == "req-1"
    assert ledger.attempts == [("provider", "stream", "ok")]
    assert ledger.seconds == pytest.approx([0.2])


async def test_an_answer_that_begins_when_the_clock_says_zero_is_an_answer() -> None:
    attempt = Attempt(asyncio.get_running_loop().time)
    attempt.answered()
    await asyncio.sleep(3.0)
    assert attempt.seconds == 0.0


async def test_a_request_is_measured_to_its_end() -> None:
    ledger = Ledger()
    await client(ledger=ledger).make_request(Vendor("answer", seconds=0.7).ask)
    assert ledger.attempts == [("provider", "ask", "ok")]
    assert ledger.seconds == pytest.approx([0.7])


async def test_the_figures_count_requests_failures_retries_and_openings() -> None:
    ledger = Ledger()
    asked = client(attempts=2, threshold=2, ledger=ledger)
    await asked.make_request(Vendor("answer", seconds=0.5).ask)
    with pytest.raises(ProviderUnavailable):
        await asked.make_request(Vendor(unavailable(), unavailable()).ask)

    metrics = asked.get_metrics()

    assert (metrics.requests, metrics.failures, metrics.retries, metrics.breaker_opens) == (3, 2, 1, 1)
    assert ledger.retries == [("provider", "ask")]
    assert metrics.latency_p50 == metrics.latency_p99 == pytest.approx(0.5)


async def test_percentiles_are_of_the_latencies_in_order() -> None:
    asked = client()
    for hundredths in reversed(range(100)):
        await asked.make_request(Vendor("answer", seconds=hundredths / 100).ask)

    metrics = asked.get_metrics()

    assert metrics.latency_p50 == pytest.approx(0.50)
    assert metrics.latency_p95 == pytest.approx(0.95)
    assert metrics.latency_p99 == pytest.approx(0.99)


async def test_a_client_that_was_not_used_has_no_latency_and_is_well() -> None:
    asked = client()
    health = await asked.health_check()
    assert asked.get_metrics().latency_p50 is None
    assert (health.name, health.status, health.last_success, health.detail) == ("provider", "ok", None, None)


async def test_health_is_degraded_from_a_failure_until_the_next_success() -> None:
    asked = client(attempts=1)
    await fail(asked, unavailable)
    health = await asked.health_check()
    assert (health.status, health.detail) == ("degraded", "provider_unavailable")

    await asked.make_request(Vendor("answer").ask)
    health = await asked.health_check()
    assert (health.status, health.detail) == ("ok", None)
    assert health.last_success is not None


async def test_the_log_has_ids_and_times_and_never_what_was_said() -> None:
    asked = client(attempts=1)

    with capture_logs(processors=[structlog.processors.format_exc_info]) as entries:
        await asked.make_request(Vendor("секрет").ask, "тайна")
        await fail(asked, lambda: ProviderUnavailable("provider", "status 503", request_id="req-9"))

    assert [entry["event"] for entry in entries] == [
        "provider.started",
        "provider.complete",
        "provider.started",
        "provider.failed",
    ]
    assert entries[-1]["request_id"] == "req-9"
    assert entries[-1]["code"] == "provider_unavailable"
    assert entries[-1]["detail"] == "status 503"
    assert "секрет" not in str(entries)
    assert "тайна" not in str(entries)


async def test_its_representation_says_how_it_fares() -> None:
    asked = client(attempts=1)
    await fail(asked, unavailable)
    assert repr(asked).startswith("<BaseResilientClient 1 requests, 1 failures, <CircuitBreaker")


async def test_the_name_of_an_inner_function_is_not_part_of_a_metric() -> None:
    observed: list[str] = []

    class Observer(NoObserver):
        def attempt_finished(self, provider: str, operation: str, result: str, seconds: float) -> None:
            observed.append(operation)

    async def _list_models() -> None:
        return None

    await BaseResilientClient(observer=Observer()).make_request(_list_models)

    assert observed == ["list_models"]
