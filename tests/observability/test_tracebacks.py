"""Of an exception the log has types and places, and nothing that it quotes."""

from app.errors import StorageError
from app.observability.tracebacks import describe, trace


def fails(words: str) -> None:
    try:
        raise ValueError(words)
    except ValueError as error:
        raise KeyError(words) from error


def test_the_trace_has_types_and_locations_of_an_exception_and_its_cause() -> None:
    try:
        fails("my name is Anna")
    except KeyError as error:
        described, lines = describe(error), trace(error)

    assert described.startswith("KeyError at test_tracebacks.py:")
    assert lines[0] == "KeyError"
    assert "caused by ValueError" in lines
    assert any(line.startswith("tests/observability/test_tracebacks.py:") and line.endswith(" fails") for line in lines)
    assert "Anna" not in str(lines) + described


def test_an_error_of_the_service_keeps_its_message() -> None:
    assert describe(StorageError("the disk is full")) == "the disk is full"


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert describe(ValueError()) == "ValueError at unknown place"
