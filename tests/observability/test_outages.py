"""An outage is two lines in the log, however long it lasts."""

from structlog.testing import capture_logs

from app.errors import StorageError
from app.observability.outages import Outage


def test_an_outage_is_logged_when_it_begins_and_when_it_is_over() -> None:
    outage = Outage("claims.not_read", "claims.read")
    with capture_logs() as lines:
        for _ in range(100):
            outage.failed(StorageError("the disk is full"))
        outage.over()
        outage.over()
        outage.failed(StorageError("the disk is full again"))
    assert lines == [
        {"event": "claims.not_read", "error": "the disk is full", "log_level": "error"},
        {"event": "claims.read", "failures": 100, "log_level": "info"},
        {"event": "claims.not_read", "error": "the disk is full again", "log_level": "error"},
    ]


def test_only_the_type_of_a_foreign_exception_is_logged() -> None:
    with capture_logs() as lines:
        Outage("rooms.not_seen", "rooms.seen", level="warning").failed(ValueError("what a caller said"))
    assert lines == [{"event": "rooms.not_seen", "error": "ValueError", "log_level": "warning"}]
