import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.openai_events import AnswerDecoder, ChatDecoder, ResponsesDecoder, ServerSentEvents, vendor_error
from app.clients.streams import TextDelta, ToolCall
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

STREAM = (
    'event: a\r\ndata: {"x": "да"}\r\n\r\n: beat\n\nid: 7\ndata:one\ndata: two\n\ndata: [DONE]\n\ndata: lost'.encode()
)
EVENTS = ['{"x": "да"}'.encode(), b"one\ntwo", b"[DONE]"]

KEYS = (
    *("type", "choices", "delta", "content", "tool_calls", "index", "function", "arguments", "finish_reason", "usage"),
    *("item", "response", "error", "code", "input_tokens", "prompt_tokens", "incomplete_details", "status"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)
KINDS = ("error", "output_text.delta", "output_item.done", "completed", "incomplete", "failed")


def chat(delta: Any = None, reason: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}).encode()


def part(index: int, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [call]}


def decoded(decoder: AnswerDecoder, *payloads: bytes) -> list[TextDelta | ToolCall]:
    return [event for payload in payloads for event in decoder.decode(payload)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(STREAM)]
    parser = ServerSentEvents()
    chunks = [STREAM[start:end] for start, end in pairwise(borders)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 1_000_000, b"data: " + b"x" * 1_000_000 + b"\n"])
def test_an_event_without_end_is_refused_before_it_fills_the_memory(endless: bytes) -> None:
    parser = ServerSentEvents()
    for _ in range(4):
        parser.feed(endless)
    with pytest.raises(ProviderProtocolError):
        parser.feed(endless)


def test_two_calls_in_one_answer_are_told_apart_by_index_or_by_id() -> None:
    for second_index in (1, 0):
        parts = [part(0, "call_1", "book", ""), part(0, None, None, '{"a":'), part(0, None, None, "1}")]
        parts += [part(second_index, "call_2", "look", "{}")]
        decoder = ChatDecoder()
        events = decoded(decoder, *map(chat, parts), chat({}, "tool_calls"))
        assert events == [ToolCall("call_1", "book", '{"a":1}'), ToolCall("call_2", "look", "{}")]
        assert decoder.reason == "tool_calls"


def test_a_finish_that_is_repeated_does_not_repeat_the_call() -> None:
    decoder = ChatDecoder()
    finish = chat({}, "tool_calls")
    assert len(decoded(decoder, chat(part(0, "call_1", "book", "{}")), finish, finish)) == 1


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_that_was_cut_off_is_not_given(reason: str) -> None:
    decoder = ChatDecoder()
    assert decoded(decoder, chat(part(0, "call_1", "book", '{"ti')), chat({}, reason)) == []
    assert decoder.reason == reason
    item = {"type": "function_call", "status": "incomplete", "call_id": "c", "name": "book", "arguments": '{"ti'}
    done = {"type": "response.output_item.done", "item": item}
    assert decoded(ResponsesDecoder(), json.dumps(done).encode()) == []


def test_text_before_a_tool_call_is_given_first() -> None:
    payloads = chat({"content": "One moment."}), chat(part(0, "call_1", "book", "{}")), chat({}, "tool_calls")
    assert decoded(ChatDecoder(), *payloads) == [TextDelta("One moment."), ToolCall("call_1", "book", "{}")]


def test_a_refusal_is_spoken_like_any_answer() -> None:
    assert decoded(ChatDecoder(), chat({"refusal": "I can't."})) == [TextDelta("I can't.")]
    payload = json.dumps({"type": "response.refusal.delta", "delta": "I can't."}).encode()
    assert decoded(ResponsesDecoder(), payload) == [TextDelta("I can't.")]


def test_an_unknown_finish_reason_is_a_stop() -> None:
    decoder = ChatDecoder()
    decoded(decoder, chat({}, "eos"))
    assert decoder.reason == "stop"


@pytest.mark.parametrize(
    ("details", "reason"),
    [({"reason": "max_output_tokens"}, "length"), ({"reason": "content_filter"}, "content_filter"), (None, "length")],
)
def test_an_incomplete_response_says_why(details: Any, reason: str) -> None:
    decoder = ResponsesDecoder()
    payload = {"type": "response.incomplete", "response": {"incomplete_details": details, "service_tier": "default"}}
    decoded(decoder, json.dumps(payload).encode())
    assert (decoder.reason, decoder.complete, decoder.usage, decoder.service_tier) == (reason, True, None, "default")


def test_a_failed_response_is_an_error() -> None:
    payload = {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "x"}}}
    with pytest.raises(ProviderRateLimited):
        decoded(ResponsesDecoder(), json.dumps(payload).encode())
    with pytest.raises(ProviderUnavailable):
        decoded(ResponsesDecoder(), b'{"type": "response.failed", "response": {"error": null}}')


def test_both_shapes_of_an_error_event_are_read() -> None:
    for payload in ({"type": "error", "code": "invalid_prompt"}, {"error": {"type": "invalid_request_error"}}):
        with pytest.raises(ProviderRejected):
            decoded(ResponsesDecoder(), json.dumps(payload).encode())


@given(JSON, st.sampled_from([ChatDecoder, ResponsesDecoder]))
def test_no_json_breaks_a_decoder(payload: Any, kind: type[AnswerDecoder]) -> None:
    with suppress(ProviderError):
        kind().decode(json.dumps(payload).encode())


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), JSON))
def test_no_event_of_a_known_kind_breaks_a_decoder(kind: str, payload: dict[str, Any]) -> None:
    with suppress(ProviderError):
        ResponsesDecoder().decode(json.dumps(payload | {"type": f"response.{kind}"}).encode())


@pytest.mark.parametrize("garbage", [b"", b"[" * 100_000, b"\xff", b"NaN", b'{"choices": [{"delta": {"content": 5}}]}'])
def test_garbage_is_a_protocol_error(garbage: bytes) -> None:
    with pytest.raises(ProviderProtocolError):
        ChatDecoder().decode(garbage)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, ProviderRejected),
        (408, None, ProviderTimeout),
        (409, None, ProviderUnavailable),
        (429, "rate_limit_exceeded", ProviderRateLimited),
        (429, "insufficient_quota", ProviderRejected),
        (402, None, ProviderRejected),
        (500, "insufficient_funds", ProviderUnavailable),
        (503, "rate_limit_exceeded", ProviderUnavailable),
        (None, "server_error", ProviderUnavailable),
        (None, "bio_policy", ProviderRejected),
        (None, "context_length_exceeded", ProviderRejected),
        (None, None, ProviderUnavailable),
    ],
)
def test_status_and_code_decide_the_error(status: int | None, code: str | None, kind: type[ProviderError]) -> None:
    assert type(vendor_error(status, code)) is kind


def test_a_code_that_is_not_one_is_not_repeated() -> None:
    assert "call me" not in str(vendor_error(400, "call me at 555"))
