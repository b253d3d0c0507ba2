"""One wrong field of an event of a language model: its reply is whole, cut or failed, and other replies are whole."""

import asyncio
import json
from typing import Any

from app.clients.openai import events, tool_calls
from app.clients.openai.client import OpenAILLMClient
from app.errors import ProviderError
from app.ports.streams import ModelFinished, TextDelta
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
from tests.matrix.cells import Cell, hold_cells
from tests.matrix.spoiling import WAYS, encoded, fields_in, names_read, spoilt

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
            choice({"function_call": TOOL}),
            choice({}, "tool_calls"),
        ],
    ),
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
            {"type": "response.incomplete", "response": RESPONSE | {"incomplete_details": {"reason": "max"}}},
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


async def outcome(client: OpenAILLMClient) -> str:
    try:
        replied = await reply_of(client)
    except ProviderError as error:
        return f"failed: {error}"
    text = "".join(each.text for each in replied if isinstance(each, TextDelta))
    return text if isinstance(replied[-1], ModelFinished) else f"unfinished: {text}"


async def hold(cell: Cell) -> str | None:
    api, payloads = SCRIPTS[cell.kind]
    sent = [event(json.dumps(payload)) for payload in payloads]
    changed = encoded(spoilt(payloads[cell.position], cell.field, cell.way))
    sent[cell.position] = b"data: " + changed + b"\n\n"
    right = answer(api, "Hel", "lo")
    async with running(right, sent, right) as server, client_of(server, api) as client:
        made = await asyncio.gather(*(outcome(client) for _ in range(3)))
    others = [each for each in made if each == "Hello"]
    if len(others) < 2 or any(each.startswith("unfinished") for each in made):
        return f"replies were {made}"
    return None


async def test_a_wrong_field_costs_one_reply_at_most() -> None:
    await hold_cells(cells(), hold)


def test_every_field_that_is_read_is_spoilt() -> None:
    tried = {
        name
        for _, payloads in SCRIPTS.values()
        for payload in payloads
        for field in fields_in(payload)
        for name in field
    }
    assert names_read(events, tool_calls) - tried == set()
