"""Log lines: JSON, the call's id on each, and nothing of a person in them, whoever wrote them."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.observability.logs import configure_logging, mask

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What was logged since; the logging of this process is as before afterwards."""
    root = logging.getLogger()
    before = root.handlers, root.level, structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in root.manager.loggerDict}
    configure_logging("debug", pretty=False)
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers, root.level = before[0], before[1]
    structlog.configure(**before[2])
    for name in root.manager.loggerDict:
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


@pytest.mark.parametrize(
    "number",
    ["+79991234567", "8 (999) 123-45-67", "+7 999 123 45 67", "89991234567", "+44.20.7946.0958", "tel:+79991234567"],
)
def test_a_telephone_number_is_hidden_but_for_its_last_two_digits(number: str) -> None:
    masked = mask(f"a call from {number}, please")
    assert number[-5:] not in masked
    assert f"***{number[-2:]}" in masked


@pytest.mark.parametrize("text", ["port 8000", "error 429 after 1.5 s", "127.0.0.1:43413", "gpt-6.1", "took 12345 ms"])
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == text


@given(st.text("0123456789", min_size=8, max_size=15), st.sampled_from(["", "-", " ", ".", ") "]))
def test_no_number_of_eight_digits_or_more_gets_through(digits: str, between: str) -> None:
    assert digits[:-2] not in mask(between.join(digits)).replace(between or "\0", "")


@pytest.mark.parametrize("text", ["/media/c?token=abc-_1", "?token=abc-_1&x=1", "'token=abc-_1'", 'token=abc-_1"'])
def test_a_token_in_an_address_is_hidden(text: str) -> None:
    assert "abc-_1" not in mask(text)
    assert "token=***" in mask(text)


def test_a_line_is_json_with_event_level_and_moment(lines: Lines) -> None:
    structlog.get_logger("app.test").info("call.ended", turns=3, text="приём")
    (line,) = lines()
    assert (line["event"], line["level"], line["turns"], line["text"]) == ("call.ended", "info", 3, "приём")
    assert line["timestamp"].endswith("Z")


def test_a_library_is_logged_in_the_same_way_and_masked(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").warning('%s - "WebSocket %s"', "127.0.0.1:5", "/media/c?token=secret")
    logging.getLogger("some.library").info("dialled %s", "+79991234567")
    first, second = lines()
    assert first["event"] == '127.0.0.1:5 - "WebSocket /media/c?token=***"'
    assert second["event"] == "dialled ***67"


def test_a_traceback_is_masked_too(lines: Lines) -> None:
    try:
        raise ValueError("no such number +79991234567")
    except ValueError:
        structlog.get_logger("app.test").exception("call.crashed")
        logging.getLogger("uvicorn.error").exception("bug")
    for line in lines():
        assert "ValueError" in line["exception"]
        assert "9991234567" not in json.dumps(line)


def test_ids_and_moments_are_not_taken_for_numbers(lines: Lines) -> None:
    structlog.get_logger("app.test").info("x", call_id="call_123456789012", request_id="1234567890")
    (line,) = lines()
    assert (line["call_id"], line["request_id"]) == ("call_123456789012", "1234567890")


def test_values_that_hold_others_are_masked_too(lines: Lines) -> None:
    structlog.get_logger("app.test").info("x", numbers=["+79991234567"], headers={"from": "+79991234567"})
    assert "9991234567" not in json.dumps(lines())


def test_libraries_that_would_quote_what_was_said_are_silent_at_debug(lines: Lines) -> None:
    for name in ("websockets.server", "openai._base_client", "httpcore.http11", "httpcore2.http2", "aiosqlite", "h2"):
        logging.getLogger(name).debug("what was said")
    logging.getLogger("uvicorn.error").debug("> TEXT 'what was said'")
    logging.getLogger("app.clients.deepgram_stream.socket").debug("< TEXT 'what was said'")
    assert "what was said" not in json.dumps(lines())


async def test_calls_at_the_same_time_keep_their_ids_apart(lines: Lines) -> None:
    log = structlog.get_logger("app.test")

    async def call(call_id: str) -> None:
        structlog.contextvars.bind_contextvars(call_id=call_id)
        log.info("one")
        await asyncio.sleep(0)
        log.info("two")

    async with asyncio.TaskGroup() as tasks:
        for call_id in ("a", "b"):
            tasks.create_task(call(call_id), name=call_id)
    log.info("after")
    written = lines()
    assert [(line["event"], line.get("call_id")) for line in written] == [
        ("one", "a"),
        ("one", "b"),
        ("two", "a"),
        ("two", "b"),
        ("after", None),
    ]


def test_the_level_is_the_least_that_is_written(capsys: pytest.CaptureFixture[str], lines: Lines) -> None:
    configure_logging("warning", pretty=False)
    log = structlog.get_logger("app.test.of.level")
    log.info("no")
    log.warning("yes")
    logging.getLogger("uvicorn.error").info("no")
    assert [line["event"] for line in lines()] == ["yes"]
