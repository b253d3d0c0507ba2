import pytest

from app.clients.livekit.dial import dial_failure
from app.errors import DialFailure


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (486, "busy"),
        (600, "busy"),
        (603, "declined"),
        (607, "declined"),
        (408, "no_answer"),
        (480, "no_answer"),
        (487, "no_answer"),
        (404, "invalid_number"),
        (410, "invalid_number"),
        (484, "invalid_number"),
        (604, "invalid_number"),
        (401, "carrier_error"),
        (403, "carrier_error"),
        (500, "carrier_error"),
        (503, "carrier_error"),
    ],
)
def test_the_status_of_sip_says_why_nobody_answered(status: int, reason: DialFailure) -> None:
    assert dial_failure("failed_precondition", status, rang_seconds=1, ring_seconds=30) == reason


@pytest.mark.parametrize("code", ["canceled", "deadline_exceeded"])
def test_a_telephone_that_rang_until_its_time_was_up_was_not_answered(code: str) -> None:
    assert dial_failure(code, None, rang_seconds=30.1, ring_seconds=30) == "no_answer"


@pytest.mark.parametrize(
    ("code", "rang_seconds"),
    [("canceled", 5), ("deadline_exceeded", 5), ("unavailable", 30), ("not_found", 0), ("permission_denied", 0)],
)
def test_without_a_word_of_the_network_no_telephone_was_reached(code: str, rang_seconds: float) -> None:
    assert dial_failure(code, None, rang_seconds=rang_seconds, ring_seconds=30) == "carrier_error"
