"""Of an exception the log has types and places, and nothing that it quotes."""

from app.errors import StorageError
from app.observability.tracebacks import describe, trace


def fails(words: str) -> None:
    try:
        raise ValueError(words)
    except ValueError as error:
        raise KeyError(words) from error


def test_types_and_places_of_an_exception_and_its_cause_are_told() -> None:
    try:
        fails("my name is Anna")
    except KeyError as error:
        told, lines = describe(error), trace(error)

    assert told.startswith("KeyError at test_tracebacks.py:")
    assert lines[0] == "KeyError"
    assert "caused by ValueError" in lines
    assert any(line.startswith("tests/observability/test_tracebacks.py:") and line.endswith(" fails") for line in lines)
    assert "Anna" not in str(lines) + told


def test_an_error_of_the_service_tells_its_message() -> None:
    assert describe(StorageError("the disk is full")) == "the disk is full"


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert describe(ValueError()) == "ValueError at unknown place"
