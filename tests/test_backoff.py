"""The wait doubles with each failure in a row, up to a cap."""

import pytest

from app.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (10_000, 5.0)]
)
def test_the_wait_doubles_up_to_the_cap(failures: int, seconds: float) -> None:
    assert Backoff(first_seconds=0.5, max_seconds=5.0).delay(failures) == seconds


def test_some_failures_may_be_followed_by_another_attempt_at_once() -> None:
    backoff = Backoff(first_seconds=0.1, max_seconds=1.0, immediate_retries=1)
    assert [backoff.delay(failures) for failures in range(1, 8)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_spreads_the_waits_by_its_share_and_never_an_immediate_retry() -> None:
    backoff = Backoff(first_seconds=0.1, max_seconds=1.0, immediate_retries=1, jitter=0.25)
    waits = [backoff.delay(100) for _ in range(1000)]
    assert 0.75 <= min(waits) < 0.85
    assert 1.15 < max(waits) <= 1.25
    assert backoff.delay(1) == 0.0
