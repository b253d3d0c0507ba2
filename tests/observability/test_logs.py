"""Log lines: JSON, the call id on each, and no personal data, whoever logs."""

import asyncio
import io
import json
import logging as stdlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import app.clients.stt_socket
import app.storage.database  # noqa: F401 - both silence a library when they are imported
from app.observability.logs import configure_logging, mask


@contextmanager
def logging(level: str = "debug") -> Iterator[list[dict[str, Any]]]:
    """What is logged meanwhile, line by line, once it is over; then the logging of this process is as before."""
    root, before = stdlib.getLogger(), structlog.get_config()
    handlers, root_level = root.handlers, root.level
    levels = {name: stdlib.getLogger(name).level for name in root.manager.loggerDict}
    written, lines = io.StringIO(), list[dict[str, Any]]()
    try:
        with redirect_stderr(written):
            configure_logging(level, pretty=False)
        yield lines
        root.handlers[0].flush()
        lines += [json.loads(line) for line in written.getvalue().splitlines()]
    finally:
        root.handlers, root.level = handlers, root_level
        structlog.configure(**before)
        for name in root.manager.loggerDict:
            stdlib.getLogger(name).setLevel(levels.get(name, stdlib.NOTSET))


@pytest.mark.parametrize(
    "number",
    ["+79991234567", "8 (999) 123-45-67", "+7 999 123 45 67", "89991234567", "+44.20.7946.0958", "tel:+79991234567"],
)
def test_a_telephone_number_is_hidden_but_for_its_last_two_digits(number: str) -> None:
    masked = mask(f"a call from {number}, please")
    assert number[-5:] not in masked
    assert f"***{number[-2:]}" in masked


def test_the_id_of_a_call_stays_whole_wherever_it_is_named() -> None:
    text = "WebSocket /media/call_b9df9ebdc123456789fc097c"
    assert mask(text) == text
    assert mask("call_123456789012") != "call_123456789012"  # no id of ours


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


@pytest.mark.parametrize(
    "text",
    [
        "/media/c?%74oken=abc-1",
        "/media/c?%2574oken=abc-1",
        "/media/c?TOKEN=abc-1",
        "/media/c?Token%20=abc-1",
        "/media/c?x=1;token=abc-1;y=2",
        "/media/c?x=1&resume_token=abc-1",
        "/media/c?token%3Dabc-1",
        "/login?next=%2Fmedia%2Fc%3Ftoken%3Dabc-1%26x%3D1",
        "/login?next=%252Fmedia%252Fc%253F%2574oken%253Dabc-1",
        "/login?next=/media/c?token=abc-1",
        "/media/c?token[]=abc-1",
        "/calls?api_key=abc-1",
        "/calls?api-key=abc-1",
        "the header was authorization=abc-1",
        "Authorization: Bearer abc-1",
        "client_secret=abc-1",
        "token=x%3Dabc-1",
        "https://operator:abc-1@example.org/v1",
        "wss://abc-1@example.org",
    ],
)
def test_so_it_is_however_its_name_is_written(text: str) -> None:
    masked = mask(text)
    assert "abc-1" not in masked
    assert "***" in masked


HEADERS = (
    "x-api-key: {}", "X-API-Key:{}", "xi-api-key: {}", "api-key: {}", "Authorization: {}", "authorization: Token {}",
    "Proxy-Authorization: Basic {}", 'Authorization: Digest username="a", response="{}"', "X-Auth-Token: {}",
    "Cookie: a=1; voice_agent={}; b=2", "Set-Cookie: voice_agent={}; HttpOnly", "openai_api_key: {}", "secret: {}",
    "X-Webhook-Signature: {}", "password = {}", "client_secret => {}",
)  # fmt: skip
JSON = (
    '{{"token":"{}"}}', '{{"token": "{}", "a": 1}}', "{{'x-api-key': '{}'}}", "{{b'authorization': b'Token {}'}}",
    "[(b'authorization', b'Token {}'), (b'accept', b'a')]", '[["Cookie", "a={}"]]', '{{"token": ["{}"]}}',
    r'{{\"token\": \"{}\"}}', r'"{{\\\"token\\\":\\\"{}\\\"}}"', '{{"password": "a\\" {}"}}',
    "Session(token='{}', a=1)", 'api_key="{}"', '{{"token": "{}',
    '{{"apiKey": "{}"}}', '{{"accessToken" : "{}"}}', '{{"headers": {{"api-key": "{}"}}}}',
)  # fmt: skip
ADDRESSES = (
    "/v1/calls?key={}", "/v1/calls?a=1&key={}&b=2", "/login?next=%2Fa%3Fkey%3D{}", "wss://a/?sig={}",
    "https://a/?x-api-key={}", "/media/c?%6Bey={}",
)  # fmt: skip


@pytest.mark.parametrize("text", [*HEADERS, *JSON, *ADDRESSES])
def test_a_secret_is_hidden_wherever_its_name_stands_before_it(text: str) -> None:
    masked = mask(text.format("abc-1"))
    assert "abc-1" not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    ["refused: sk-proj-abcdefgh12", "sk_live_abcdefgh12", "whsec_abcdefgh12", "it said eyJhbGciOiJI.eyJpc3M.abc-_",
     "Token 0123456789abcdef0123", "Basic YWJjOmRlZmdoaWprbG1u"],
)  # fmt: skip
def test_a_key_is_hidden_without_a_name(text: str) -> None:
    assert mask(text).endswith("***")


@pytest.mark.parametrize(
    "text",
    ["first_token: 0.31", '{"max_completion_tokens": 300, "tokens": "many"}', "Token expired", "task-12345", "key: a",
     "the token is used", "agents/a.yaml:3: tools.0.headers.Authorization: NAME is not set", '["token"]', "keyterms=a"],
)  # fmt: skip
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert mask(text) == text


def test_values_under_the_name_of_a_secret_are_hidden() -> None:
    with logging() as lines:
        headers = {"Authorization": "abc-1", "accept": "a"}
        structlog.get_logger("app.test").info("x", token="abc-1", headers=headers, first_token=0.31, cookies=["abc-1"])
    assert "abc-1" not in json.dumps(lines)
    assert (lines[0]["headers"]["accept"], lines[0]["first_token"]) == ("a", 0.31)


@pytest.mark.parametrize("text", ["max_tokens=300", "/calls?limit=5&cursor=abc", "a=b", "key=value", "=", "50%= 3", ""])
def test_other_names_keep_their_values(text: str) -> None:
    assert mask(text) == text


def test_a_text_without_end_is_masked_in_time_that_grows_with_it() -> None:
    pieces = (
        "a",
        "%3D",
        "%2574",
        "token=",
        "a=",
        "[.",
        "%3Da",
        "//",
        "//a",
        "token:",
        '"token',
        "\\",
        "token \\'",
        "eyJ",
    )
    for piece in (*pieces, '"token":"\\"', "sk-", "token\t", "a.", "?key=", "Token ", "token:[", "cookie:"):
        mask(piece * 50_000)


def test_nothing_that_others_wrote_turns_a_line_around() -> None:
    assert mask("a\u202eb\u2066c\u200f\u2028d\ud800") == r"a\u202eb\u2066c\u200f\u2028d\ud800"


def test_no_foreign_text_moves_the_cursor_of_a_terminal() -> None:
    assert mask("a\x1b[2J\rb\x07 \x9b31m\n\tc") == "a\\x1b[2J\\x0db\\x07 \\x9b31m\n\tc"


def test_a_line_is_json_with_event_level_and_moment() -> None:
    with logging() as lines:
        structlog.get_logger("app.test").info("call.ended", turns=3, text="приём")
    (line,) = lines
    assert (line["event"], line["level"], line["turns"], line["text"]) == ("call.ended", "info", 3, "приём")
    assert line["timestamp"].endswith("Z")


def test_a_library_is_logged_in_the_same_way_and_masked() -> None:
    with logging() as lines:
        stdlib.getLogger("uvicorn.error").warning('%s - "WebSocket %s"', "127.0.0.1:5", "/media/c?token=secret")
        stdlib.getLogger("another.package").info("dialled %s", "+79991234567")
    assert [line["event"] for line in lines] == ['127.0.0.1:5 - "WebSocket /media/c?token=***"', "dialled ***67"]


def test_a_traceback_is_masked_too() -> None:
    with logging() as lines:
        try:
            raise ValueError("no such number +79991234567")
        except ValueError:
            structlog.get_logger("app.test").exception("call.crashed")
            stdlib.getLogger("uvicorn.error").exception("bug")
    assert len(lines) == 2
    for line in lines:
        assert "ValueError" in line["exception"]
        assert "9991234567" not in json.dumps(line)


def test_ids_and_moments_are_not_taken_for_numbers() -> None:
    with logging() as lines:
        structlog.get_logger("app.test").info("x", call_id="call_123456789012", request_id="1234567890")
    assert (lines[0]["call_id"], lines[0]["request_id"]) == ("call_123456789012", "1234567890")


def test_an_id_that_somebody_else_wrote_moves_no_cursor() -> None:
    with logging() as lines:
        structlog.get_logger("app.test").info("x", request_id="a\x9b2J", request_ids=("b\u202e",))
    assert (lines[0]["request_id"], lines[0]["request_ids"]) == ("a\\x9b2J", ["b\\u202e"])


def test_values_that_hold_others_are_masked_too() -> None:
    with logging() as lines:
        structlog.get_logger("app.test").info("x", numbers=["+79991234567"], headers={"from": ("+79991234567",)})
        structlog.get_logger("app.test").info("x", request_ids=["1234567890"])
    assert "9991234567" not in json.dumps(lines)
    assert lines[1]["request_ids"] == ["1234567890"]


def test_libraries_that_would_quote_what_was_said_are_silent_at_debug() -> None:
    quoting = ("websockets.server", "openai._base_client", "httpcore.http11", "httpcore2.http2", "aiosqlite")
    with logging() as lines:
        for name in (*quoting, "uvicorn.error", "app.clients.stt_socket.socket"):
            stdlib.getLogger(name).debug("< TEXT 'what was said'")
    assert lines == []


async def test_calls_at_the_same_time_keep_their_ids_apart() -> None:
    log = structlog.get_logger("app.test")

    async def call(call_id: str) -> None:
        structlog.contextvars.bind_contextvars(call_id=call_id)
        log.info("one")
        await asyncio.sleep(0)
        log.info("two")

    with logging() as lines:
        async with asyncio.TaskGroup() as tasks:
            for call_id in ("a", "b"):
                tasks.create_task(call(call_id), name=call_id)
        log.info("after")
    assert [(line["event"], line.get("call_id")) for line in lines] == [
        ("one", "a"),
        ("one", "b"),
        ("two", "a"),
        ("two", "b"),
        ("after", None),
    ]


def test_the_level_is_the_least_that_is_written() -> None:
    with logging("warning") as lines:
        log = structlog.get_logger("app.test")
        log.info("no")
        log.warning("yes")
        stdlib.getLogger("uvicorn.error").info("no")
    assert [line["event"] for line in lines] == ["yes"]
