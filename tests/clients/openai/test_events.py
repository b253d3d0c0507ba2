import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.openai.events import (
    AnswerDecoder,
    ChatDecoder,
    ResponsesDecoder,
    ServerSentEvents,
    error_code,
    vendor_error,
)
from app.errors import (
    ContentRejected,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import TokenUsage
from app.ports.streams import TextDelta, ToolCall

BOTH = pytest.mark.parametrize("kind", [ChatDecoder, ResponsesDecoder])

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


CHAT_BILL = {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens": 2}
BILL = {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 2}
WHOLE: dict[type[AnswerDecoder], list[bytes]] = {
    ChatDecoder: [
        chat({"content": "Of "}),
        chat({"content": "course."}),
        chat({}, "stop"),
        json.dumps({"choices": [], "usage": CHAT_BILL}).encode(),
        b"[DONE]",
    ],
    ResponsesDecoder: [
        json.dumps(payload).encode()
        for payload in (
            {"type": "response.output_text.delta", "delta": "Of "},
            {"type": "response.output_text.delta", "delta": "course."},
            {"type": "response.completed", "response": {"usage": BILL}},
        )
    ],
}


def decoded(decoder: AnswerDecoder, *payloads: bytes) -> list[TextDelta | ToolCall]:
    return [event for payload in payloads for event in decoder.decode(payload)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(STREAM)]
    parser = ServerSentEvents()
    chunks = [STREAM[start:end] for start, end in pairwise(borders)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data:\n\ndata\n\ndata: \n\ndata: x\n\n", [b"x"]),
        (b"data: : PROCESSING\n\n: OPENROUTER PROCESSING\n\n:\n\ndata:x\n\n", [b": PROCESSING", b"x"]),
        (b"\xef\xbb\xbfdata: x\r\n\r\nevent: y\r\ndata: z\r\n\r\n", [b"x", b"z"]),
        (b"data: x\r\rdata: y\r\r", [b"x", b"y"]),
        (b"data: x\ndata: y\n\n\n\n\ndata: z", [b"x\ny", b"z"]),
        (b"retry: 10\nid\nnonsense\ndatabase: x\ndata: y\n\n", [b"y"]),
    ],
)
def test_events_are_split_by_the_standard_and_a_last_one_needs_no_empty_line(
    stream: bytes, events: list[bytes]
) -> None:
    for size in (1, 2, 3, len(stream)):
        parser = ServerSentEvents()
        chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
        assert [*(event for chunk in chunks for event in parser.feed(chunk)), *parser.finish()] == events


def test_events_without_an_empty_line_between_them_are_read_one_a_line() -> None:
    joined = b"\n".join(WHOLE[ChatDecoder])
    assert decoded(ChatDecoder(), joined) == [TextDelta("Of "), TextDelta("course.")]


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 1_000_000, b"data: " + b"x" * 1_000_000 + b"\n"])
def test_an_event_without_end_is_refused_before_it_fills_the_memory(endless: bytes) -> None:
    parser = ServerSentEvents()
    for _ in range(4):
        parser.feed(endless)
    with pytest.raises(ProviderProtocolError):
        parser.feed(endless)


def test_two_calls_in_one_answer_are_distinguished_by_index_or_by_id() -> None:
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


@pytest.mark.parametrize("garbage", [b"{half", b'{"x":' * 100_000, b"{\xff", b'{"choices": [{"delta": {"content": "w'])
@BOTH
def test_half_an_object_is_a_protocol_error_since_words_may_be_lost(garbage: bytes, kind: type[AnswerDecoder]) -> None:
    with pytest.raises(ProviderProtocolError):
        kind().decode(garbage)


NOT_FOR_US = (
    *(b"", b" ", b": PROCESSING", b"ping", b"null", b"NaN", b"7", b'"text"', b"[1]", b"[" * 100_000, b"\xff", b"{}"),
    *(b'{"type": null}', b'{"type": ["response.completed"]}', b'{"choices": null}', b'{"choices": 7}'),
    *(b'{"choices": [7]}', b'{"choices": [{"delta": {"content": 5}}]}', b'{"choices": [{"delta": null}]}'),
    *(b'{"choices": [{"delta": {"tool_calls": [null, 5]}}]}', b'{"choices": [], "prompt_filter_results": [{}]}'),
    *(b'{"usage": {"prompt_tokens": null}}', b'{"object": "keepalive"}', b'{"error": null, "id": "x"}'),
    *(b'{"type": "response.output_text.delta"}', b'{"type": "response.output_item.done", "item": 5}'),
    *(b'{"delta": "words without a type"}', b'{"choices": [{"finish_reason": 5}]}'),
)


@pytest.mark.parametrize("stray", NOT_FOR_US)
@BOTH
def test_what_is_not_for_us_is_passed_over_wherever_it_comes(stray: bytes, kind: type[AnswerDecoder]) -> None:
    whole = WHOLE[kind]
    for place in range(len(whole) + 1):
        decoder = kind()
        events = decoded(decoder, *whole[:place], stray, *whole[place:])
        assert events == [TextDelta("Of "), TextDelta("course.")]
        assert (decoder.reason, decoder.complete) == ("stop", True)
        assert decoder.usage == TokenUsage(7, 3, 2)


@pytest.mark.parametrize(
    "content",
    [
        ["Of course."],
        [{"type": "text", "text": "Of "}, {"text": "course."}, {"type": "image_url"}, None],
        {"type": "text", "text": "Of course."},
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Of course."}],
    ],
)
def test_content_may_come_in_parts_of_which_only_text_is_for_ears(content: Any) -> None:
    assert "".join(event.text for event in decoded(ChatDecoder(), chat({"content": content}))) == "Of course."  # type: ignore[union-attr]  # there is nothing else


def test_thoughts_with_a_field_of_their_own_are_not_the_text() -> None:
    delta = {"reasoning_content": "Hm.", "reasoning": "Hm.", "thinking": "Hm.", "content": None}
    assert decoded(ChatDecoder(), chat(delta), chat({"content": "Yes."})) == [TextDelta("Yes.")]
    payloads = (
        {"type": f"response.{kind}.delta", "delta": "Hm."} for kind in ("reasoning_text", "reasoning_summary_text")
    )
    assert decoded(ResponsesDecoder(), *(json.dumps(payload).encode() for payload in payloads)) == []


@pytest.mark.parametrize(
    "bill",
    [
        {"prompt_tokens": None, "completion_tokens": 3},
        {"prompt_tokens": 3},
        {"prompt_tokens": -1, "completion_tokens": 3},
        {"prompt_tokens": "3", "completion_tokens": 3},
        {"prompt_tokens": 1e300, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": 3},
        [3],
    ],
)
def test_a_bill_that_cannot_be_read_is_none(bill: Any) -> None:
    decoder = ChatDecoder()
    decoded(decoder, json.dumps({"choices": [], "usage": bill}).encode(), chat({"content": "Yes."}))
    assert decoder.usage is None


def test_a_bill_without_details_is_one_and_more_is_not_cached_than_was_asked() -> None:
    for details, cached in ((None, 0), ({"cached_tokens": None}, 0), ([], 0), ({"cached_tokens": 99}, 7)):
        decoder = ChatDecoder()
        bill = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": details}
        decoded(decoder, json.dumps({"usage": bill}).encode())
        assert decoder.usage == TokenUsage(7, cached, 2)


@pytest.mark.parametrize("reason", ["tool_calls", "function_call", "stop", "eos", "end_turn", "length", None])
@pytest.mark.parametrize("ends_by", ["done", "body"])
def test_a_whole_call_is_given_whatever_the_finish_reason(reason: str | None, ends_by: str) -> None:
    decoder = ChatDecoder()
    events = decoded(decoder, chat(part(0, "call_1", "book", '{"a":1}')), chat({}, reason))
    events += decoder.decode(b"[DONE]") if ends_by == "done" else decoder.end_of_body()
    assert events == [ToolCall("call_1", "book", '{"a":1}')]
    assert decoder.reason == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "taken_for", "unknown"),
    [
        ("eos", "stop", "eos"),
        ("end_turn", "stop", "end_turn"),
        ("function_call", "stop", None),
        ("max_tokens", "length", "max_tokens"),
        ("SAFETY", "content_filter", "SAFETY"),
        ("call me at 555", "stop", "unreadable"),
        ("stop", "stop", None),
    ],
)
def test_a_reason_that_openai_does_not_give_is_known_by_its_name(
    reason: str, taken_for: str, unknown: str | None
) -> None:
    decoder = ChatDecoder()
    decoded(decoder, chat({"content": "Yes."}), chat({}, reason))
    assert (decoder.reason, decoder.unknown_reason) == (taken_for, unknown)


def test_a_model_that_broke_off_is_unavailable() -> None:
    for reason in ("error", "abort"):
        with pytest.raises(ProviderUnavailable):
            decoded(ChatDecoder(), chat({"content": "Ye"}), chat({}, reason))


def test_a_body_without_reason_is_whole_only_if_nothing_can_be_missing() -> None:
    half = ChatDecoder()
    decoded(half, chat({"content": "Ye"}), chat(part(0, "call_1", "book", '{"a"')))
    assert half.end_of_body() == []
    assert half.reason is None
    responses = ResponsesDecoder()
    decoded(responses, json.dumps({"type": "response.output_text.delta", "delta": "Ye"}).encode())
    responses.end_of_body()
    assert responses.reason is None


def test_an_answer_that_was_not_sent_in_pieces_is_read_from_the_response() -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "book", "arguments": {"a": 1}}
    message = {"type": "message", "content": [{"type": "output_text", "text": "One moment."}]}
    response = {"type": "response.completed", "response": {"output": [message, call]}}
    decoder = ResponsesDecoder()
    assert decoded(decoder, json.dumps(response).encode()) == [
        TextDelta("One moment."),
        ToolCall("call_1", "book", '{"a": 1}'),
    ]
    done: dict[str, Any] = {"type": "response.output_item.done", "item": call}
    assert len(decoded(ResponsesDecoder(), *(json.dumps(each).encode() for each in (done, response)))) == 2


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({"id": "item_1", "call_id": 7}, {"id": "item_1", "call_id": "call_1"}),
        ({"id": "item_1"}, {"id": "item_1", "call_id": "call_1"}),
        ({"call_id": "call_1"}, {"id": "item_1", "call_id": "call_1"}),
        ({}, {}),
        ({"id": "item_1", "call_id": "call_1"}, {}),
    ],
)
def test_a_call_that_the_final_response_repeats_is_made_once_whatever_its_ids(
    first: dict[str, Any], again: dict[str, Any]
) -> None:
    call = {"type": "function_call", "name": "book", "arguments": '{"a": 1}'}
    done = {"type": "response.output_item.done", "item": call | first}
    response = {"type": "response.completed", "response": {"output": [call | again]}}
    decoder = ResponsesDecoder()
    assert len(decoded(decoder, *(json.dumps(each).encode() for each in (done, response)))) == 1
    assert decoder.reason == "tool_calls"


def test_content_that_is_the_call_written_out_is_not_text() -> None:
    call = part(0, "call_1", "book", '{"a":1}')
    for written in ('{"name": "book", "arguments": {"a":1}}', 'book({"a":1})', '```json\n{"a":1}```', 'book {"a":1}'):
        assert decoded(ChatDecoder(), chat(call | {"content": written})) == []
    assert decoded(ChatDecoder(), chat(call | {"content": "I book it now."})) == [TextDelta("I book it now.")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "content_filter", "status": 400}, "content_filter"),
        ({"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}, "ResponsibleAIPolicyViolation"),
        ({"code": "400", "type": "content_policy_violation"}, "content_policy_violation"),
        ({"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}, "content_policy"),
        ({"code": "data_inspection_failed"}, "data_inspection_failed"),
    ],
)
def test_a_refused_content_is_known_by_any_of_its_codes(error: Any, code: str) -> None:
    assert error_code(error) == code
    refused = vendor_error(400, error_code(error))
    assert type(refused) is ContentRejected
    for payload in ({"error": error}, {"type": "error", "error": error}):
        with pytest.raises(ContentRejected):
            decoded(ChatDecoder(), json.dumps(payload).encode())


@pytest.mark.parametrize(
    "body",
    [
        [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "type": "content_filter"}}],
        'data: {"error": {"code": "content_filter"}}\n\n',
        {"detail": {"error": {"code": "content_filter"}}},
        {"error": {"code": "content_filter"}},
        {"message": "litellm.ContentPolicyViolationError: x", "type": None, "code": "400"},
        {"message": "The response was filtered due to Azure OpenAI's content management policy.", "code": None},
    ],
)
def test_a_refusal_is_found_wherever_a_gateway_puts_it(body: Any) -> None:
    assert type(vendor_error(400, error_code(body))) is ContentRejected


@pytest.mark.parametrize("body", [None, "", "<html>", "data: {", [], [5], {"detail": "Not Found"}, {"error": "x"}, 7])
def test_a_body_without_an_error_object_has_no_code(body: Any) -> None:
    assert error_code(body) is None


def test_a_wrong_key_or_a_crowd_is_not_refused_content() -> None:
    for status in (401, 402, 404, 429, 500):
        assert not isinstance(vendor_error(status, "content_filter"), ContentRejected)


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
        (None, "bio_policy", ContentRejected),
        (None, "context_length_exceeded", ProviderRejected),
        (None, None, ProviderUnavailable),
    ],
)
def test_status_and_code_decide_the_error(status: int | None, code: str | None, kind: type[ProviderError]) -> None:
    assert type(vendor_error(status, code)) is kind


def test_a_code_that_is_not_one_is_not_repeated() -> None:
    assert "call me" not in str(vendor_error(400, "call me at 555"))
