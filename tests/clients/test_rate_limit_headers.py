"""What vendors write into their headers about their limits."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from app.clients.rate_limit_headers import Allowance, allowances, retry_after_seconds, wished_wait
from app.clock import utc_now


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.5", 0.5), (None, None), ("soon", None), ("-1", None), ("inf", None), ("1e308", 3600.0)],
)
def test_retry_after_is_a_number_of_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert retry_after_seconds(format_datetime(utc_now() + timedelta(seconds=600), usegmt=True)) == pytest.approx(
        600, abs=60
    )
    assert retry_after_seconds("Fri, 31 Dec 2021 23:59:59 GMT") == 0.0
    assert retry_after_seconds("Fri, 31 Dec 2099 23:59:59 GMT") == 3600.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0.3"}, 0.3),
        ({"Retry-After": "20"}, 20.0),
        ({"Retry-After": "1", "Retry-After-Ms": "300"}, 0.3),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "120ms",
            },
            0.12,
        ),
        (
            {
                "x-ratelimit-limit-tokens": "500",
                "x-ratelimit-remaining-tokens": "10",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            None,
        ),
    ],
)
def test_a_vendor_that_answers_429_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wished_wait(headers) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("50m3s", 3003.0),
        ("1h2m3s", 3600.0),
        ("1.5", 1.5),
        ("59.9s", 59.9),
        ("2d", 3600.0),
    ],
)
def test_an_allowance_is_renewed_after_a_written_duration(written: str, seconds: float) -> None:
    headers = {
        "X-RateLimit-Limit-Tokens": "30000",
        "X-RateLimit-Remaining-Tokens": "29000",
        "X-RateLimit-Reset-Tokens": written,
    }
    assert allowances(headers) == [Allowance("tokens", 30000.0, 29000.0, pytest.approx(seconds))]


@pytest.mark.parametrize("reset", ["", "soon", "6m0", "s", "-1", "inf", "1s!"])
def test_an_allowance_that_is_not_stated_in_full_is_passed_over(reset: str) -> None:
    headers = {"x-ratelimit-limit-requests": "5", "x-ratelimit-remaining-requests": "5"}
    assert allowances(headers) == []
    assert allowances({**headers, "x-ratelimit-reset-requests": reset}) == []
