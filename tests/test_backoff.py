"""The wait doubles with each failure in a row, up to a cap."""

import pytest

from app.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (10_000, 5.0)]
)
def test_the_wait_doubles_up_to_the_cap(failures: int, seconds: float) -> None:
    assert Backoff(first_seconds=0.5, max_seconds=5.0).delay(failures) == seconds
