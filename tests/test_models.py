"""Plain values that work something out of themselves."""

import pytest

from app.clock import utc_now
from app.models import ServiceHealth, worst_health

UNUSED = ServiceHealth("vendor", "ok")
USED = ServiceHealth("vendor", "ok", last_success=utc_now())
FAILING = ServiceHealth("vendor", "degraded", detail="provider_timeout")


@pytest.mark.parametrize(
    ("checks", "shown"),
    [
        ([UNUSED, USED], USED),
        ([USED, UNUSED], USED),
        ([USED, FAILING, UNUSED], FAILING),
        ([UNUSED], UNUSED),
    ],
)
def test_a_vendor_is_as_well_as_the_worst_client_that_was_used(
    checks: list[ServiceHealth], shown: ServiceHealth
) -> None:
    assert worst_health(checks) is shown


def test_nothing_has_no_health_of_its_own() -> None:
    assert worst_health([], default=FAILING) is FAILING
    with pytest.raises(ValueError, match="empty"):
        worst_health([])
