"""The Chat Completions API: what it accepts and how it streams."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from sandbox.vendors.faults import Trouble
from sandbox.vendors.openai.answer import (
    Answering,
    Asked,
    BadRequest,
    Piece,
    TextPiece,
    ToolPiece,
    ToolStart,
    check_model,
    text_of,
)
from sandbox.vendors.openai.spoiling import Event, encode, on_the_wire
from sandbox.vendors.openai.structured import schema_of
from sandbox.vendors.wire import GARBAGE, EventStream

_CREATED = 1763800000
_NEEDS_NO_EFFORT = ("gpt-5.6", "gpt-6")
_SERVER_ERROR = {"error": {"message": "The server had an error", "type": "server_error", "param": None, "code": None}}


def read(body: Any) -> Asked:
    """Read a request; raises :class:`BadRequest`."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest("messages must be a list that is not empty")
    model = check_model(body)
    tools = body.get("tools") or []
    if tools and model.startswith(_NEEDS_NO_EFFORT) and body.get("reasoning_effort") != "none":
        raise BadRequest("Function tools with reasoning_effort are not supported for this model in Chat Completions.")
    messages: list[dict[str, Any]] = body["messages"]
    spoken = [text_of(message.get("content")) for message in messages if message.get("role") == "user"]
    options = body.get("stream_options") or {}
    return Asked(
        model=model,
        messages=messages,
        heard=spoken[-1] if spoken else "",
        after_tool=messages[-1].get("role") == "tool",
        tools={} if body.get("tool_choice") == "none" else _schemas(tools),
        schema=schema_of(body),
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
    )


def _schemas(tools: list[Any]) -> dict[str, Any]:
    try:
        return {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    except (KeyError, TypeError):
        raise BadRequest("a tool is an object with a function that has a name") from None


def stream(answering: Answering, trouble: Trouble, headers: dict[str, str]) -> Response:
    """The answer as server-sent chunks, followed by ``[DONE]``."""
    return EventStream(
        on_the_wire(_chunks(answering), answering.fault, ends_with_done=True),
        trouble,
        media_type="text/event-stream; charset=utf-8",
        garbage=f"data: {GARBAGE}\n\n".encode(),
        error=encode(_SERVER_ERROR),
        headers=headers,
    )


async def _chunks(answering: Answering) -> AsyncGenerator[Event]:
    with_usage = answering.asked.include_usage
    opening: dict[str, Any] | None = {"role": "assistant", "content": "", "refusal": None}
    async with aclosing(answering.pieces()) as pieces:
        async for piece in pieces:
            if opening is not None:
                yield _chunk(answering, opening)  # sent with the first token, not before
                opening = None
            yield _chunk(answering, _delta(piece))
    yield _chunk(answering, {}, finish_reason=answering.finish_reason)
    if with_usage:
        yield {**_head(answering), "choices": [], "usage": _usage(answering)}


def _delta(piece: Piece) -> dict[str, Any]:
    match piece:
        case TextPiece(text):
            return {"content": text}
        case ToolStart(index, call_id, name):
            function = {"name": name, "arguments": ""}
            return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}
        case ToolPiece(index, text):
            return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


def _chunk(answering: Answering, delta: dict[str, Any], finish_reason: str | None = None) -> Event:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    usage = {"usage": None} if answering.asked.include_usage else {}
    return {**_head(answering), "choices": [choice], **usage}


def _head(answering: Answering, kind: str = "chat.completion.chunk") -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answering.id}",
        "object": kind,
        "created": _CREATED,
        "model": answering.asked.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _usage(answering: Answering) -> dict[str, Any]:
    usage = answering.usage()
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def whole(answering: Answering) -> dict[str, Any]:
    """The answer as one object, once it is complete."""
    calls = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in answering.tool_calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": answering.text or None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answering.finish_reason}
    return {**_head(answering, "chat.completion"), "choices": [choice], "usage": _usage(answering)}
