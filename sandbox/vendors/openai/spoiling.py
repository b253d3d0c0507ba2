"""Applies OpenAI's content faults: refuses requests and spoils answers."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from sandbox.vendors.stage import Reply

Event = dict[str, Any]

THOUGHT: Final = "Shall I answer this? Yes, I think that I should. "
CUT_AFTER_WORDS: Final = 6
KEEP_THE_SCRIPT: Final = frozenset({"empty_answer", "thinking_without_end"})
"""Faults after which the client asks again, so the script keeps its answer."""

_REASONS = {"cut_by_filter": "content_filter", "cut_by_length": "length"}
_WRITTEN = {
    "thinking_tags": f"<think>{THOUGHT}</think>\n\n",
    "thinking_reasoning_tags": f"<reasoning>{THOUGHT}</reasoning>\n\n",
    "thinking_without_beginning": f"{THOUGHT}</think>\n\n",
}
_NOISE = (
    b": OPENROUTER PROCESSING\n\n",
    b"data:\n\n",
    b"data: : PROCESSING\n\n",
    b"data: [1]\n\n",
    b"retry: 1000\r\n\r\n",
    b"data: null\n\n",
)


def refusal_of(route: str) -> Event:
    """The error object for refused content; for Chat Completions, the one that Azure sends."""
    if route == "responses":
        message = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
        return {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_prompt"}
    filtered = {"hate": {"filtered": True, "severity": "high"}}
    return {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": filtered},
    }


def refusal_in_stream(route: str) -> bytes:
    """The same error as an event in a stream."""
    error = refusal_of(route)
    return encode({**error, "type": "error", "sequence_number": 0} if route == "responses" else {"error": error})


def has_readable_history(body: Any) -> bool:
    """Whether the arguments of every tool call in a request are JSON objects."""
    calls = [item for item in body.get("input") or () if isinstance(item, dict) and item.get("type") == "function_call"]
    for message in body.get("messages") or ():
        calls += [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return all(_is_object(call.get("arguments")) for call in calls)


def _is_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def spoilt_reply(kind: str | None, reply: Reply) -> Reply:
    """The reply, changed by the fault."""
    match kind:
        case "empty_answer":
            return replace(reply, text="", tool_calls=())
        case "cut_by_filter" | "cut_by_length":
            return replace(reply, text=" ".join(reply.text.split()[:CUT_AFTER_WORDS]), tool_calls=())
        case "thinking_without_end":
            return replace(reply, text=f"<think>{THOUGHT}{reply.text}", tool_calls=())
        case "call_in_text":
            written = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
            calls = [f"\n<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in written]
            return replace(reply, text=reply.text + "".join(calls), tool_calls=())
        case _:
            return replace(reply, text=_WRITTEN.get(kind or "", "") + reply.text)


def finish_reason(kind: str | None, reason: str) -> str:
    """The finish reason, changed by the fault."""
    return _REASONS.get(kind or "", reason)


async def on_the_wire(
    events: AsyncGenerator[Event], kind: str | None, *, ends_with_done: bool = False
) -> AsyncGenerator[bytes]:
    """The events of an answer as bytes, changed by the fault."""
    is_noisy = kind == "comment_lines"
    if is_noisy:
        yield b"\xef\xbb\xbf: hello\n\n"
    spoil = _SPOILERS.get(kind or "", _unchanged)()
    async with aclosing(events):
        async for event in events:
            for each in spoil(event):
                if is_noisy:
                    yield b"".join(_NOISE) + encode(each).replace(b": ", b":", 1).replace(b"\n", b"\r\n")
                else:
                    yield encode(each)
    if ends_with_done and not is_noisy:
        yield b"data: [DONE]\n\n"


def encode(event: Event) -> bytes:
    """Encode a server-sent event; its name is the event's type, if it has one."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


# --- how each fault changes one event ---------------------------------------------------------------------------------

Spoiler = Callable[[Event], Iterator[Event]]


def _unchanged() -> Spoiler:
    return lambda event: iter((event,))


def _with_strays() -> Spoiler:
    def spoil(event: Event) -> Iterator[Event]:
        yield {key: value for key, value in event.items() if key in ("id", "object", "model", "sequence_number")}
        yield {"choices": None, "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
        yield event

    return spoil


def _with_null_bill() -> Spoiler:
    def spoil(event: Event) -> Iterator[Event]:
        holder = event.get("response") or event
        usage = holder.get("usage")
        nulls = {**holder, "usage": dict.fromkeys(usage)} if usage else holder
        yield nulls if holder is event else {**event, "response": nulls}

    return spoil


def _in_parts() -> Spoiler:
    def spoil(event: Event) -> Iterator[Event]:
        if event.get("type") == "response.output_text.delta":
            yield {**event, "delta": [{"type": "output_text", "text": event["delta"]}]}
            return
        for delta in _deltas(event):
            if delta.get("content"):
                delta["content"] = [{"type": "text", "text": delta["content"]}]
        yield event

    return spoil


def _finished_by(reason: str | None) -> Callable[[], Spoiler]:
    def make() -> Spoiler:
        def spoil(event: Event) -> Iterator[Event]:
            if reason is None and event.get("type") == "response.completed":
                return
            for choice in event.get("choices") or ():
                choice["finish_reason"] = reason if choice["finish_reason"] else None
            yield event

        return spoil

    return make


def _renumbered(index: int | None) -> Callable[[], Spoiler]:
    def make() -> Spoiler:
        def spoil(event: Event) -> Iterator[Event]:
            for delta in _deltas(event):
                for call in delta.get("tool_calls") or ():
                    call.pop("id", None)
                    call.pop("index")
                    if index is not None:
                        call["index"] = index
            yield event

        return spoil

    return make


def _after_a_thought() -> Spoiler:
    thoughts = [THOUGHT]

    def spoil(event: Event) -> Iterator[Event]:
        if any(delta.get("content") for delta in _deltas(event)):
            for thought in thoughts:
                yield {
                    **event,
                    "choices": [{"index": 0, "delta": {"reasoning_content": thought}, "finish_reason": None}],
                }
            thoughts.clear()
        elif event.get("type") == "response.output_item.added":
            for thought in thoughts:
                yield {"type": "response.reasoning_text.delta", "item_id": "rs_1", "output_index": 0, "delta": thought}
            thoughts.clear()
        yield event

    return spoil


_ABSENT = object()


def _with_arguments(made_of: Callable[[str], Any], *, written_out: bool = False) -> Callable[[], Spoiler]:
    """Send each tool call in one piece, with its arguments replaced; see _Calls."""
    return lambda: _Calls(made_of, written_out=written_out).spoil


class _Calls:
    """Gathers the pieces of tool calls."""

    def __init__(self, made_of: Callable[[str], Any], *, written_out: bool) -> None:
        self._made_of = made_of
        self._written_out = written_out
        self._calls: dict[int, Event] = {}

    def spoil(self, event: Event) -> Iterator[Event]:
        """Yield the event, or nothing until the tool call is complete."""
        kind = str(event.get("type", ""))
        if kind.startswith("response.function_call_arguments"):
            return
        if kind == "response.output_item.done" and event["item"]["type"] == "function_call":
            yield {**event, "item": self._remade(event["item"])}
            return
        gathered = False
        for delta in _deltas(event):
            for piece in delta.get("tool_calls") or ():
                gathered = True
                call = self._calls.setdefault(piece["index"], piece)
                if call is not piece:
                    call["function"]["arguments"] += piece["function"]["arguments"]
        if gathered:
            return
        if any(choice.get("finish_reason") for choice in event.get("choices") or ()):
            yield from self._whole(event)
        yield event

    def _whole(self, event: Event) -> Iterator[Event]:
        for call in self._calls.values():
            function = call["function"]
            delta: Event = {"tool_calls": [{**call, "function": self._remade(function)}]}
            if self._written_out:
                delta["content"] = json.dumps({"name": function["name"], "arguments": function["arguments"]})
            yield {**event, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}

    def _remade(self, function: Event) -> Event:
        made = self._made_of(function["arguments"])
        rest = {name: value for name, value in function.items() if name != "arguments"}
        return rest if made is _ABSENT else {**rest, "arguments": made}


def _deltas(event: Event) -> list[Event]:
    return [choice["delta"] for choice in event.get("choices") or ()]


_SPOILERS: Final[dict[str, Callable[[], Spoiler]]] = {
    "no_choices": _with_strays,
    "null_usage": _with_null_bill,
    "content_parts": _in_parts,
    "odd_finish_reason": _finished_by("eos"),
    "no_finish_reason": _finished_by(None),
    "two_calls_index_zero": _renumbered(0),
    "calls_without_numbers": _renumbered(None),
    "no_arguments": _with_arguments(lambda _text: _ABSENT),
    "blank_arguments": _with_arguments(lambda _text: " "),
    "object_arguments": _with_arguments(json.loads),
    "broken_arguments": _with_arguments(lambda text: text[: max(1, len(text) // 2)]),
    "call_beside_text": _with_arguments(lambda text: text, written_out=True),
    "thinking_field": _after_a_thought,
}
