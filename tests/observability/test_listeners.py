"""A listener that raises affects neither the others nor the caller."""

from structlog.testing import capture_logs

from app.observability.listeners import Listeners


def test_the_others_are_called_and_the_failure_is_logged_once_an_outage() -> None:
    heard: list[int] = []

    def stumble(number: int) -> None:
        if number != 3:
            raise LookupError("what a caller said")

    listeners = Listeners[[int]]("numbers", None, stumble, heard.append)
    with capture_logs() as lines:
        for number in (1, 2, 3, 4):
            listeners(number)

    assert heard == [1, 2, 3, 4]
    assert [(line["event"], line["listens_to"]) for line in lines] == [("listener.failed", "numbers")] * 2
    assert "what a caller said" not in str(lines)
    assert any("stumble" in frame for frame in lines[0]["trace"])
