"""The Responses API: what it accepts and the order of its events."""

import itertools
from collections.abc import AsyncGenerator, Iterator
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
_SERVER_ERROR = {"type": "error", "code": "server_error", "message": "The server had an error", "param": None}

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons why an answer is incomplete, and what this API calls them."""


def read(body: Any) -> Asked:
    """Read a request; raises :class:`BadRequest`."""
    if not isinstance(body, dict) or not isinstance(body.get("input"), str | list):
        raise BadRequest("input must be a string or a list")
    model = check_model(body)
    items = [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
    if not all(isinstance(item, dict) for item in items):
        raise BadRequest("an input item is an object")
    spoken = [text_of(item.get("content")) for item in items if item.get("role") == "user"]
    return Asked(
        model=model,
        messages=[{"role": "system", "content": body.get("instructions")}, *items],
        heard=spoken[-1] if spoken else "",
        after_tool=bool(items) and items[-1].get("type") == "function_call_output",
        tools={} if body.get("tool_choice") == "none" else _schemas(body.get("tools") or []),
        schema=schema_of(body),
        stream=bool(body.get("stream")),
        include_usage=True,
        max_tokens=body.get("max_output_tokens"),
        echoed={
            "instructions": body.get("instructions"),
            "metadata": body.get("metadata") or {},
            "tools": body.get("tools") or [],
            "tool_choice": body.get("tool_choice") or "auto",
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "store": body.get("store", True),
        },
    )


def _schemas(tools: list[Any]) -> dict[str, Any]:
    try:
        return {tool["name"]: tool.get("parameters") or {} for tool in tools}
    except (KeyError, TypeError, AttributeError):
        raise BadRequest("a tool is a flat object with a name") from None


def stream(answering: Answering, trouble: Trouble, headers: dict[str, str]) -> Response:
    """The answer as server-sent events, without ``[DONE]``."""
    return EventStream(
        on_the_wire(_events(answering), answering.fault),
        trouble,
        media_type="text/event-stream; charset=utf-8",
        garbage=f"event: response.output_text.delta\ndata: {GARBAGE}\n\n".encode(),
        error=encode({**_SERVER_ERROR, "sequence_number": 0}),
        headers=headers,
    )


async def _events(answering: Answering) -> AsyncGenerator[Event]:
    numbers = itertools.count()
    output = _Output(answering.id)
    for opening in ("response.created", "response.in_progress"):
        yield _numbered({"type": opening, "response": _response(answering, "in_progress", [])}, numbers)
    async with aclosing(answering.pieces()) as pieces:
        async for piece in pieces:
            for event in output.write(piece):
                yield _numbered(event, numbers)
    for event in output.end():
        yield _numbered(event, numbers)
    status = _status(answering)
    yield _numbered({"type": f"response.{status}", "response": _response(answering, status, output.items)}, numbers)


def _status(answering: Answering) -> str:
    return "incomplete" if answering.finish_reason in _INCOMPLETE else "completed"


class _Output:
    """The output items of an answer, and the events that build them."""

    def __init__(self, answer_id: str) -> None:
        self.items: list[dict[str, Any]] = []
        self._id = answer_id
        self._open: dict[str, Any] | None = None

    def write(self, piece: Piece) -> Iterator[Event]:
        """The events of one piece."""
        match piece:
            case TextPiece(text):
                if self._open is None:
                    yield from self._begin_message()
                yield {**self._where("response.output_text.delta"), "content_index": 0, "delta": text, "logprobs": []}
                self._message_part()["text"] += text
            case ToolStart(index, call_id, name):
                yield from self.end()
                yield from self._begin_call(index, call_id, name)
            case ToolPiece(_, text):
                yield {**self._where("response.function_call_arguments.delta"), "delta": text}
                self._item()["arguments"] += text

    def end(self) -> Iterator[Event]:
        """Close the open item, if there is one."""
        if self._open is None:
            return
        item = self._item()
        if item["type"] == "message":
            yield from self._end_message()
        else:
            done = self._where("response.function_call_arguments.done")
            yield {**done, "name": item["name"], "arguments": item["arguments"]}
        item["status"] = "completed"
        yield {"type": "response.output_item.done", "output_index": self._index(), "item": item}
        self._open = None

    def _begin_message(self) -> Iterator[Event]:
        item: dict[str, Any] = {
            "id": f"msg_{self._id}",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        yield from self._begin(item)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield {**self._where("response.content_part.added"), "content_index": 0, "part": dict(part)}
        item["content"] = [part]

    def _end_message(self) -> Iterator[Event]:
        part = self._message_part()
        done = {**self._where("response.output_text.done"), "content_index": 0, "logprobs": []}
        yield {**done, "text": part["text"]}
        yield {**self._where("response.content_part.done"), "content_index": 0, "part": part}

    def _begin_call(self, index: int, call_id: str, name: str) -> Iterator[Event]:
        yield from self._begin(
            {
                "id": f"fc_{self._id}{index}",
                "type": "function_call",
                "status": "in_progress",
                "call_id": call_id,
                "name": name,
                "arguments": "",
            }
        )

    def _begin(self, item: dict[str, Any]) -> Iterator[Event]:
        self.items.append(item)
        self._open = item
        yield {"type": "response.output_item.added", "output_index": self._index(), "item": dict(item)}

    def _where(self, kind: str) -> Event:
        return {"type": kind, "item_id": self._item()["id"], "output_index": self._index()}

    def _index(self) -> int:
        return len(self.items) - 1

    def _item(self) -> dict[str, Any]:
        return self.items[-1]

    def _message_part(self) -> dict[str, Any]:
        part: dict[str, Any] = self._item()["content"][0]
        return part


def whole(answering: Answering) -> dict[str, Any]:
    """The answer as one object, once it is complete."""
    output = _Output(answering.id)
    pieces: list[Piece] = [TextPiece(answering.text)] if answering.text else []
    for index, call in enumerate(answering.tool_calls):
        pieces += [ToolStart(index, call["id"], call["name"]), ToolPiece(index, call["arguments"])]
    for piece in pieces:
        list(output.write(piece))
    list(output.end())
    return _response(answering, _status(answering), output.items)


def _response(answering: Answering, status: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    finished, is_complete = status != "in_progress", status != "incomplete"
    return {
        "id": f"resp_{answering.id}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "model": answering.asked.model,
        "output": items,
        "error": None,
        "incomplete_details": {"reason": _INCOMPLETE[answering.finish_reason]} if not is_complete else None,
        "service_tier": "default",
        "temperature": 1.0,
        "top_p": 1.0,
        **answering.asked.echoed,
        "usage": _usage(answering) if finished else None,
    }


def _usage(answering: Answering) -> dict[str, Any]:
    usage = answering.usage()
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    }


def _numbered(event: Event, numbers: Iterator[int]) -> Event:
    return {**event, "sequence_number": next(numbers)}
