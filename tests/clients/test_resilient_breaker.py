"""Whom the breaker keeps from a vendor that fails, and for how long."""

import asyncio

import pytest

from app.errors import BreakerOpen, ProviderUnavailable
from tests.clients.asking import Ledger, Vendor, client, fail, limited, unavailable

VIRTUAL_TIME = True


async def test_nobody_else_asks_while_the_vendor_wants_rest() -> None:
    asked = client(attempts=1)
    await fail(asked, lambda: limited(5.0))

    with pytest.raises(BreakerOpen):
        await asked.make_request(Vendor("unasked").ask)
    await asyncio.sleep(5.0)
    assert await asked.make_request(Vendor("answer").ask) == "answer"


async def test_after_too_many_failures_the_vendor_is_not_asked_until_it_had_time_to_recover() -> None:
    asked = client(attempts=1, threshold=2, recovery_seconds=10.0)
    await fail(asked, unavailable, times=2)
    vendor = Vendor("answer")

    with pytest.raises(BreakerOpen):
        await asked.make_request(vendor.ask)
    assert vendor.asked_at == []

    await asyncio.sleep(10.0)
    assert await asked.make_request(vendor.ask) == "answer"
    assert (await asked.health_check()).breaker == "closed"


async def test_while_one_request_finds_out_the_others_wait_outside() -> None:
    asked = client(attempts=1, threshold=1)
    await fail(asked, unavailable)
    await asyncio.sleep(10.0)

    async with asked.attempt("probe"):
        with pytest.raises(BreakerOpen):
            await asked.make_request(Vendor("unasked").ask)


async def test_a_long_stream_that_has_begun_keeps_nobody_outside() -> None:
    asked = client(attempts=1, threshold=1)
    await fail(asked, unavailable)
    await asyncio.sleep(10.0)

    async with asked.attempt("stream") as attempt:
        attempt.answered()
        assert await asked.make_request(Vendor("answer").ask) == "answer"


async def test_an_old_stream_that_ends_well_lets_nobody_to_a_vendor_that_is_down() -> None:
    asked = client(attempts=1, threshold=2)
    vendor = Vendor("unasked")

    async with asked.attempt("stream") as stream:
        stream.answered()
        await asyncio.sleep(3.0)
        await fail(asked, unavailable, times=2)

    with pytest.raises(BreakerOpen):
        await asked.make_request(vendor.ask)
    assert vendor.asked_at == []


async def test_what_several_requests_share_is_one_failure() -> None:
    ledger = Ledger()
    asked = client(attempts=1, threshold=2, ledger=ledger)
    lost = unavailable()
    lost.is_shared = True

    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            async with asked.attempt("utterance"):
                raise lost

    assert asked.get_metrics().failures == 1
    assert ledger.results == ["provider_unavailable"]
    assert await asked.make_request(Vendor("answer").ask) == "answer"


async def test_the_breaker_does_not_refuse_who_insists() -> None:
    asked = client(attempts=1, threshold=1)
    await fail(asked, unavailable)
    with pytest.raises(BreakerOpen):
        async with asked.attempt("utterance"):
            raise AssertionError("not asked")
    async with asked.attempt("utterance", insist=True) as attempt:
        attempt.answered()


async def test_a_cancelled_attempt_says_nothing_about_the_vendor() -> None:
    ledger = Ledger()
    asked = client(attempts=1, threshold=1, ledger=ledger)
    await fail(asked, unavailable)
    await asyncio.sleep(10.0)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await asked.make_request(Vendor("never", seconds=99.0).ask)

    assert ledger.results == ["provider_unavailable", "cancelled"]
    assert asked.get_metrics().failures == 1
    assert await asked.make_request(Vendor("answer").ask) == "answer"
