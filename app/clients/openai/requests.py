"""Requests to OpenAI: messages and tools as request bodies of its two APIs.

Chat Completions: https://platform.openai.com/docs/api-reference/chat/create
Responses: https://platform.openai.com/docs/api-reference/responses/create
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from app.clients.openai.values import NO_ARGUMENTS, readable_arguments
from app.models import Message
from app.ports.streams import ToolSpec

Body = dict[str, Any]

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Settings of the model's requests. A field that is None is not sent: compatible servers may not know it."""

    model: str = "gpt-6-luna"
    api: Literal["chat", "responses"] = "responses"
    """``responses`` by default, because the stronger models accept tools only there; compatible servers speak chat."""
    reasoning_effort: str | None = "none"
    """``none``, ``low`` ... ``max``; the models' own default, medium, is too slow for a conversation. Chat Completions
    accepts tools with ``none`` only, so a chat request with tools always uses ``none``."""
    verbosity: str | None = "low"
    """``low``, ``medium`` or ``high``."""
    max_output_tokens: int = 400
    """The most tokens of one answer; at least 16 with the Responses API."""
    connect_seconds: float = 1.0
    """The timeout for opening a connection, TLS included."""
    first_token_seconds: float = 3.0
    """The timeout from the request to the first token, connecting included."""
    token_gap_seconds: float = 0.7
    """The timeout from one token to the next, without the time that the consumer takes."""
    context_window_size: int = 4000
    """The most estimated tokens of messages in a request; older messages are left out."""


def request_path(options: OpenAIOptions) -> str:
    """The path below the base URL."""
    return "/chat/completions" if options.api == "chat" else "/responses"


def request_body(
    options: OpenAIOptions,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec],
    schema: Mapping[str, Any] | None = None,
) -> Body:
    """The JSON body of a streaming request. With a schema the answer is JSON that fits it strictly.

    https://platform.openai.com/docs/guides/structured-outputs
    """
    build = _chat_body if options.api == "chat" else _responses_body
    body = build(options, messages, tools)
    if schema is not None:
        written = {"name": "answer", "schema": schema, "strict": True}
        if options.api == "chat":
            body["response_format"] = {"type": "json_schema", "json_schema": written}
        else:
            body["text"] = {**(body["text"] or {}), "format": {"type": "json_schema", **written}}
    body |= {
        "model": options.model,
        "stream": True,
        "parallel_tool_calls": False if tools else None,
    }
    return _without_none(body)


def _chat_body(options: OpenAIOptions, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Body:
    effort = "none" if tools and options.reasoning_effort else options.reasoning_effort
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in tools] or None,
        "messages": [_chat_message(message) for message in messages],
        "reasoning_effort": effort,
        "verbosity": options.verbosity,
        "max_completion_tokens": options.max_output_tokens,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
    }


def _responses_body(options: OpenAIOptions, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Body:
    instructions = [message.content for message in takewhile(_is_system, messages)]
    return {
        "tools": [{"type": "function", "strict": False} | _function(tool) for tool in tools] or None,
        "instructions": "\n\n".join(instructions) or None,
        "input": [item for message in messages[len(instructions) :] for item in _input_items(message)],
        "reasoning": {"effort": options.reasoning_effort} if options.reasoning_effort else None,
        "text": {"verbosity": options.verbosity} if options.verbosity else None,
        "max_output_tokens": options.max_output_tokens,
        "store": False,
        "stream_options": {"include_obfuscation": False},
    }


def _chat_message(message: Message) -> Body:
    metadata = message.metadata or {}
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": metadata["tool_call_id"], "content": message.content}
    if calls := metadata.get("tool_calls"):
        return {"role": message.role, "content": message.content or None, "tool_calls": [_chat_call(c) for c in calls]}
    return {"role": message.role, "content": message.content}


def _input_items(message: Message) -> list[Body]:
    """A message with tool calls becomes several items; a system message in mid-dialogue keeps its place."""
    metadata = message.metadata or {}
    if message.role == "tool":
        call_id = metadata["tool_call_id"]
        return [{"type": "function_call_output", "call_id": call_id, "output": message.content}]
    calls = metadata.get("tool_calls") or []
    text = [{"role": message.role, "content": message.content}] if message.content or not calls else []
    return text + [_function_call(call) for call in calls]


def _chat_call(call: Mapping[str, Any]) -> Body:
    return {
        "id": call["id"],
        "type": "function",
        "function": _called(call),
    }


def _function_call(call: Mapping[str, Any]) -> Body:
    return {"type": "function_call", "call_id": call["id"], **_called(call)}


def _called(call: Mapping[str, Any]) -> Body:
    """A tool call that every server accepts: some refuse later requests because of names or arguments they wrote."""
    name = _NO_NAME.sub("_", call["name"])[:_NAME_MAX]
    return {"name": name or "unknown", "arguments": readable_arguments(call["arguments"]) or NO_ARGUMENTS}


def _function(tool: ToolSpec) -> Body:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _is_system(message: Message) -> bool:
    return message.role == "system"


def _without_none(body: Body) -> Body:
    return {name: value for name, value in body.items() if value is not None}
