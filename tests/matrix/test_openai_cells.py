"""One wrong field of an event of a language model: its reply lacks what the field carried at most; others are whole."""

import asyncio
import json
from typing import Any

import pytest

from app.clients.openai import events, tool_calls
from app.clients.openai.client import OpenAILLMClient
from app.errors import ProviderError
from app.ports.streams import ModelEvent, ModelFinished, TextDelta, ToolCall
from tests.clients.openai.server import (
    CHAT_USAGE,
    RESPONSES_USAGE,
    Api,
    answer,
    client_of,
    event,
    reply_of,
    running,
)
from tests.matrix.cells import PARTS, Cell, hold_cells
from tests.matrix.spoiling import NO_JSON, WAYS, Field, encoded, fields_in, names_read, spoilt

TOOL = {"name": "book", "arguments": '{"time": "10:00"}'}
ERROR: dict[str, Any] = {
    "code": "server_error",
    "type": "server_error",
    "message": "something broke",
    "innererror": {"code": "server_error"},
    "metadata": {"reasons": None, "flagged_input": None},
}


def choice(delta: Any, reason: Any = None, **more: Any) -> dict[str, Any]:
    return {"service_tier": "default", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def item(**more: Any) -> dict[str, Any]:
    return {"id": "item_1", "type": "function_call", "call_id": "call_1", "status": "completed", **TOOL, **more}


MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
RESPONSE = {
    "object": "response",
    "status": "completed",
    "service_tier": "default",
    "usage": RESPONSES_USAGE,
    "output": [MESSAGE, item()],
    "incomplete_details": {"reason": None},
    "error": None,
}
SCRIPTS: dict[str, tuple[Api, list[dict[str, Any]]]] = {
    "chat text": (
        "chat",
        [
            choice({"content": "Hel"}),
            choice({"content": [{"type": "text", "text": "lo"}], "refusal": None}),
            choice({}, "stop", usage=CHAT_USAGE),
        ],
    ),
    "chat tools": (
        "chat",
        [
            choice({"tool_calls": [{"index": 0, "id": "call_1", "function": TOOL}]}),
            choice({"tool_calls": [{"index": 1, "id": "call_2", "function": TOOL}]}),
            choice({}, "tool_calls"),
        ],
    ),
    "chat function": ("chat", [choice({"function_call": TOOL}), choice({}, "function_call")]),
    "chat unstreamed": ("chat", [{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}]),
    "chat error": ("chat", [choice({"content": "Hel"}), {"error": ERROR, "detail": {"error": ERROR}}]),
    "responses text": (
        "responses",
        [
            {"type": "response.created", "response": RESPONSE | {"output": [], "usage": None}},
            {"type": "response.output_text.delta", "delta": "Hello"},
            {"type": "response.refusal.delta", "delta": " there"},
            {"type": "response.completed", "response": RESPONSE},
        ],
    ),
    "responses tools": (
        "responses",
        [
            {"type": "response.function_call_arguments.delta", "delta": TOOL["arguments"]},
            {"type": "response.output_item.done", "item": item()},
            {
                "type": "response.incomplete",
                "response": RESPONSE | {"incomplete_details": {"reason": "max"}, "output": [item()]},
            },
        ],
    ),
    "responses unstreamed": ("responses", [RESPONSE]),
    "responses error": ("responses", [{"type": "response.failed", "response": {"error": ERROR}}]),
}


def cells() -> list[Cell]:
    return [
        Cell(name, position, field, way)
        for name, (_, payloads) in SCRIPTS.items()
        for position, payload in enumerate(payloads)
        for field in [(), *fields_in(payload)]
        for way in WAYS
    ]


Place = tuple[int, Field]
"""A payload of a script, and a field in it."""
_DELTA, _MESSAGE = ("choices", 0, "delta"), ("choices", 0, "message")
SAID: dict[str, dict[Place, str]] = {
    "chat text": {(0, (*_DELTA, "content")): "Hel", (1, (*_DELTA, "content", 0, "text")): "lo"},
    "chat unstreamed": {(0, (*_MESSAGE, "content")): "Hello"},
    "responses text": {(1, ("delta",)): "Hello", (2, ("delta",)): "there"},
    "responses unstreamed": {(0, ("output", 0, "content", 0, "text")): "Hello"},
}
"""Where the words of each script are."""
CALLED: dict[str, list[list[Place]]] = {
    "chat tools": [[(0, (*_DELTA, "tool_calls", 0))], [(1, (*_DELTA, "tool_calls", 0))]],
    "chat function": [[(0, (*_DELTA, "function_call"))]],
    "responses text": [[(3, ("response", "output", 1))]],
    "responses tools": [[(1, ("item",)), (2, ("response", "output", 0))]],
    "responses unstreamed": [[(0, ("output", 1))]],
}
"""Where each of its calls is; one may come twice."""
KINDS = {"type", "object", "name"}
"""Fields that say what the object around them is."""
ENDS = {"responses text": 3, "responses tools": 2, "responses unstreamed": 0, "chat unstreamed": 0}
"""The payload without which an answer has no end."""


def carries(cell: Cell, place: Place) -> bool:
    """Whether the field that is wrong holds what is there, or is held by it."""
    position, field = place
    wrong = cell.field[:-1] if cell.field and cell.field[-1] in KINDS else cell.field
    shared = min(len(wrong), len(field))
    return position == cell.position and wrong[:shared] == field[:shared]


def may_fail(cell: Cell) -> bool:
    """With a message that is no JSON words may be lost; and the end may be in what is wrong, or an error."""
    is_end = ENDS.get(cell.kind) == cell.position and (len(cell.field) < 2 or cell.field[-1] in ("finish_reason", 0))
    return cell.way in NO_JSON or cell.kind.endswith("error") or is_end


async def outcome(client: OpenAILLMClient) -> list[ModelEvent] | ProviderError:
    try:
        return await reply_of(client)
    except ProviderError as error:
        return error


def complaint_of(cell: Cell, made: list[ModelEvent] | ProviderError) -> str | None:
    """What the struck reply has lost that the wrong field did not carry, or has too much."""
    if isinstance(made, ProviderError):
        return None if may_fail(cell) else f"failed: {made}"
    if not isinstance(made[-1], ModelFinished):
        return "unfinished"
    text = "".join(each.text for each in made if isinstance(each, TextDelta))
    for place, words in SAID.get(cell.kind, {}).items():
        if not carries(cell, place) and words not in text:
            return f"said {text!r}"
    calls = [
        (each.name, json.loads(TOOL["arguments"]) == _read(each.arguments))
        for each in made
        if isinstance(each, ToolCall)
    ]
    places = CALLED.get(cell.kind, [])
    untouched = sum(not any(carries(cell, place) for place in each) for each in places)
    # a list that is longer holds a call twice
    if calls.count((TOOL["name"], True)) < untouched or len(calls) > len(places) + (cell.way == "longer"):
        return f"called {calls}"
    return None


def _read(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return None


async def hold(cell: Cell) -> str | None:
    api, payloads = SCRIPTS[cell.kind]
    sent = [event(json.dumps(payload)) for payload in payloads]
    changed = encoded(spoilt(payloads[cell.position], cell.field, cell.way))
    sent[cell.position] = b"data: " + changed + b"\n\n"
    if api == "chat" and len(sent) > 1:
        sent.append(event("[DONE]"))
    right = answer(api, "Hel", "lo")
    async with running(sent, right) as server, client_of(server, api) as client:
        struck = asyncio.get_running_loop().create_task(outcome(client), name="struck")
        await server.arrived["POST"].wait()
        made, *others = await asyncio.gather(struck, outcome(client), outcome(client))
    for other in others:
        if isinstance(other, ProviderError) or [each.text for each in other if isinstance(each, TextDelta)] != [
            "Hel",
            "lo",
        ]:
            return f"others: {other}"
    return complaint_of(cell, made)


@pytest.mark.parametrize("part", PARTS)
async def test_a_wrong_field_costs_one_reply_at_most(part: int) -> None:
    await hold_cells(cells(), hold, part)


def test_every_field_that_is_read_is_spoilt() -> None:
    tried = {
        name
        for _, payloads in SCRIPTS.values()
        for payload in payloads
        for field in fields_in(payload)
        for name in field
    }
    assert names_read(events, tool_calls) - tried == set()
