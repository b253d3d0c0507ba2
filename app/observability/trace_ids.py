"""The ids of a call's trace, worked out from the call's id: every process knows them, and nothing has to be stored.

A trace follows https://www.w3.org/TR/trace-context/: its id is 16 bytes, that of a span 8, both in hexadecimal.
"""

import hashlib
from collections.abc import MutableMapping
from typing import Any

CALL = "call"
"""The key of the root span."""
_TRACE_LETTERS = 32
_SPAN_LETTERS = 16


def trace_id(call_id: str) -> str:
    """The id of the call's trace."""
    return _digest("trace", call_id)[:_TRACE_LETTERS]


def span_id(call_id: str, key: str) -> str:
    """The id of a span; ``key`` names it within the call."""
    return _digest("span", call_id, key)[:_SPAN_LETTERS]


def tool_key(tool_call_id: str) -> str:
    """The key of the span of a tool's request, by the id that the model gave it."""
    return f"tool:{tool_call_id}"


def traceparent(call_id: str, key: str, *, is_sampled: bool = True) -> str:
    """The header with which a request says that the span of that key is its parent."""
    return f"00-{trace_id(call_id)}-{span_id(call_id, key)}-{'01' if is_sampled else '00'}"


def with_trace_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the trace's id to a line of the log that has a call's id; a processor of structlog."""
    call_id = event.get("call_id")
    if isinstance(call_id, str):
        event.setdefault("trace_id", trace_id(call_id))
    return event


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()
