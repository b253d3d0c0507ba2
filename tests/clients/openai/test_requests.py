from dataclasses import replace
from typing import Any

import pytest

from app.clients.openai.requests import OpenAIOptions, request_body
from app.models import Message
from app.ports.streams import ToolSpec

CHAT = OpenAIOptions(api="chat")
RESPONSES = OpenAIOptions(api="responses")
PARAMETERS = {"type": "object", "properties": {"time": {"type": "string"}}}
BOOK = ToolSpec("book", "Book a visit", PARAMETERS)
CALL = {"id": "call_1", "name": "book", "arguments": '{"time":"10:00"}'}
TALK = [
    Message("system", "Be brief."),
    Message("system", "Speak Russian."),
    Message("user", "Ten o'clock"),
    Message("assistant", "One moment.", metadata={"tool_calls": [CALL]}),
    Message("tool", "booked", metadata={"tool_call_id": "call_1"}),
    Message("system", "The line is noisy."),
    Message("assistant", "Done."),
]


def test_chat_takes_the_messages_as_they_are() -> None:
    messages = request_body(CHAT, TALK, ())["messages"]
    assert [each["role"] for each in messages] == [each.role for each in TALK]
    function = {"name": "book", "arguments": '{"time":"10:00"}'}
    assert messages[3]["content"] == "One moment."
    assert messages[3]["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    assert messages[4] == {"role": "tool", "tool_call_id": "call_1", "content": "booked"}


def test_responses_takes_instructions_and_items() -> None:
    body = request_body(RESPONSES, TALK, ())
    assert body["instructions"] == "Be brief.\n\nSpeak Russian."
    assert body["input"] == [
        {"role": "user", "content": "Ten o'clock"},
        {"role": "assistant", "content": "One moment."},
        {"type": "function_call", "call_id": "call_1", "name": "book", "arguments": '{"time":"10:00"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "booked"},
        {"role": "system", "content": "The line is noisy."},
        {"role": "assistant", "content": "Done."},
    ]
    assert body["store"] is False


def test_a_tool_call_without_words_has_no_empty_text() -> None:
    silent = [Message("assistant", "", metadata={"tool_calls": [CALL]})]
    assert request_body(CHAT, silent, ())["messages"][0]["content"] is None
    assert [item["type"] for item in request_body(RESPONSES, silent, ())["input"]] == ["function_call"]


def test_each_api_has_its_own_shape_of_a_tool() -> None:
    described = {"name": "book", "description": "Book a visit", "parameters": PARAMETERS}
    assert request_body(CHAT, TALK, [BOOK])["tools"] == [{"type": "function", "function": described}]
    flat = {"type": "function", "strict": False, **described}
    assert request_body(RESPONSES, TALK, [BOOK])["tools"] == [flat]


@pytest.mark.parametrize("options", [CHAT, RESPONSES])
def test_tools_are_called_one_at_a_time(options: OpenAIOptions) -> None:
    assert request_body(options, TALK, [BOOK])["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in request_body(options, TALK, ())


def test_chat_reasons_only_when_there_are_no_tools() -> None:
    thinking = replace(CHAT, reasoning_effort="low")
    assert request_body(thinking, TALK, ())["reasoning_effort"] == "low"
    assert request_body(thinking, TALK, [BOOK])["reasoning_effort"] == "none"
    plain = replace(CHAT, reasoning_effort=None)
    assert "reasoning_effort" not in request_body(plain, TALK, [BOOK])


def test_the_knobs_go_where_each_api_has_them() -> None:
    def knobs(options: OpenAIOptions) -> dict[str, Any]:
        body = request_body(options, TALK, ())
        return {name: value for name, value in body.items() if name not in ("messages", "input", "instructions")}

    common = {"model": "gpt-6-luna", "stream": True}
    assert knobs(CHAT) == common | {
        "reasoning_effort": "none",
        "verbosity": "low",
        "max_completion_tokens": 400,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
    }
    assert knobs(RESPONSES) == common | {
        "reasoning": {"effort": "none"},
        "text": {"verbosity": "low"},
        "max_output_tokens": 400,
        "store": False,
        "stream_options": {"include_obfuscation": False},
    }


@pytest.mark.parametrize("options", [CHAT, RESPONSES])
def test_what_is_none_is_not_sent(options: OpenAIOptions) -> None:
    body = request_body(replace(options, reasoning_effort=None, verbosity=None), TALK[2:3], ())
    unknown = {"reasoning", "reasoning_effort", "text", "verbosity", "tools"}
    assert not unknown & body.keys()
    assert "instructions" not in body
