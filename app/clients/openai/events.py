"""Decodes what OpenAI streams: the server-sent events of its two APIs, and its errors.

Chat Completions: https://platform.openai.com/docs/api-reference/chat-streaming
Responses: https://platform.openai.com/docs/api-reference/responses-streaming

It reads plain JSON and does not build the SDK's typed objects, which cost 40 times the parsing for each token.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from app.clients.messages import Unreadable, read_object, readable
from app.clients.openai.spoken_text import is_call_written_out
from app.clients.openai.tool_calls import ChatCalls, tool_call
from app.clients.openai.values import (
    arguments_text,
    object_of,
    objects_of,
    readable_arguments,
    string_of,
    text_of,
    usage_of,
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

PROVIDER = "openai"

_EVENT_BYTES_AT_MOST = 4 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_STATUS_OF_REFUSED_CONTENT = (400, 403, 422, 451)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_RATE_LIMITED = {"rate_limit_exceeded", "rate_limit_error", "requests", "tokens"}
_REFUSED = re.compile(r"^invalid_|policy|not_found|context_length|residency")
_CONTENT_REFUSED = re.compile(
    r"content_?(filter|policy)|_policy|invalid_prompt|moderation|responsible_?ai|prohibited|safety|jailbreak|inspection",
    re.IGNORECASE,
)
"""Error codes for refused content: OpenAI's, Azure's, OpenRouter's, Google's, Alibaba's."""
_SAID_TO_BE_REFUSED = re.compile(r"ContentPolicyViolation|content management policy|violating our usage policy")
"""The same in the messages of gateways that do not pass the code on."""
_CHAT_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_OTHER_REASONS = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "content_filtered": "content_filter",
    "error": "error",
    "abort": "error",
    "network_error": "error",
}
"""Finish reasons of other servers. Any further reason counts as the end of a complete answer."""
_CUT_OFF = ("length", "content_filter", "error")


def vendor_error(
    status: int | None, code: str | None, *, request_id: str | None = None, retry_after: float | None = None
) -> ProviderError:
    """Map a status and the code (or type) of OpenAI's error object to our error.

    ``status`` is None for an error inside a stream. OpenAI's message is dropped, because it may quote the input.
    """
    code = code if code and _CODE.fullmatch(code) else None
    if code and _CONTENT_REFUSED.search(code) and (status is None or status in _STATUS_OF_REFUSED_CONTENT):
        return ContentRejected(PROVIDER, f"the content was refused ({code})", status=status, request_id=request_id)
    what = " ".join(part for part in (f"HTTP {status}" if status else "error in the stream", code) if part)
    if hint := _hint(status, code):
        return ProviderRejected(PROVIDER, f"{what}: {hint}", status=status, request_id=request_id)
    if status == 429 or (status is None and code in _RATE_LIMITED):
        return ProviderRateLimited(PROVIDER, what, retry_after=retry_after, request_id=request_id)
    if status == 408:
        return ProviderTimeout(PROVIDER, what, request_id=request_id)
    refused = _REFUSED.search(code or "") if status is None else status < 500 and status != 409
    if refused:
        return ProviderRejected(PROVIDER, what, status=status, request_id=request_id)
    return ProviderUnavailable(PROVIDER, what, request_id=request_id)


def _hint(status: int | None, code: str | None) -> str | None:
    if code in _NO_CREDIT or status == 402:
        return "no credit left"
    return "the key may not do this, or the region is not served: see OPENAI_BASE_URL" if status == 403 else None


def error_code(error: Any) -> str | None:
    """The code of an error object; a code for refused content comes first, if there is one.

    Azure puts it into ``innererror`` (https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter).
    OpenRouter has only ``metadata.reasons`` for it (https://openrouter.ai/docs/api-reference/errors).
    """
    error = _error_object(error)
    metadata = object_of(error.get("metadata"))
    if (
        metadata.get("reasons")
        or metadata.get("flagged_input")
        or _SAID_TO_BE_REFUSED.search(str(error.get("message")))
    ):
        return "content_policy"
    codes = (error.get("code"), object_of(error.get("innererror")).get("code"), error.get("type"))
    named = [code for code in map(string_of, codes) if code not in ("", "error")]
    refused = [code for code in named if _CONTENT_REFUSED.search(code)]
    return next(iter([*refused, *named]), None)


def _error_object(body: Any) -> Mapping[str, Any]:
    """Find the error object in a body: alone, in a list, in an event, or nested, as gateways and Google send it."""
    if isinstance(body, str):
        body = readable(lambda: read_object(body.strip().removeprefix("data:"))) or {}
    error: Mapping[str, Any] = next(iter(objects_of(body)), {})
    for name in ("detail", "error"):
        error = object_of(error.get(name)) or error
    return error


class ServerSentEvents:
    """Splits bytes into the data of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
    It ignores names, ids and comments, because the data is self-describing."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._at_start = True
        self._is_plain = False
        """Whether the body is one JSON object, from a server that does not stream or reports an error with 200."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events completed by this chunk. Raises ProviderProtocolError for an event over 4 MiB."""
        text = self._rest + chunk
        if self._at_start:
            if _BYTE_ORDER_MARK.startswith(text):
                self._rest = text
                return []
            text, self._at_start = text.removeprefix(_BYTE_ORDER_MARK), False
            self._is_plain = text.lstrip().startswith(b"{")
        lines, self._rest = ([], text) if self._is_plain else _lines(text)
        events = [event for line in lines for event in self._take_line(line)]
        if len(self._rest) + sum(len(line) + 1 for line in self._data) > _EVENT_BYTES_AT_MOST:
            raise ProviderProtocolError(PROVIDER, "an event without end")
        return events

    def finish(self) -> list[bytes]:
        """The data of a last event without its empty line, or of a body that is plain JSON."""
        if self._is_plain:
            return [self._rest]
        last, self._rest = self._rest, b""
        return [event for line in (last, b"") for event in self._take_line(line)]

    def _take_line(self, line: bytes) -> list[bytes]:
        line = line.removesuffix(b"\r")
        if not line:
            data, self._data = b"\n".join(self._data), []
            return [data] if data else []
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return []


def _lines(text: bytes) -> tuple[list[bytes], bytes]:
    """The complete lines and the rest; a final carriage return may be the first half of a line end."""
    kept = text[-1:] if text.endswith(b"\r") else b""
    *lines, rest = _LINE_END.split(text.removesuffix(kept))
    return lines, rest + kept


class AnswerDecoder(ABC):
    """Decodes one streaming answer; ignores what it does not need."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """The finish reason, once there is one: ``stop``, ``length``, ``tool_calls`` or ``content_filter``."""
        self.unknown_reason: str | None = None
        """The server's own finish reason, if it is not one of OpenAI's."""
        self.usage: TokenUsage | None = None
        """The reported usage without a price; None when it is missing or unreadable."""
        self.service_tier: str | None = None
        """The service tier that the server reports."""
        self.complete = False
        """Whether nothing more will come."""
        self.refused = False
        """Whether the model itself refuses to answer, and its text says so."""
        self.events = 0
        """How many events of the answer came so far."""
        self.pieces: list[str] = []
        """All pieces of text and of arguments so far, in order."""

    def decode(self, data: bytes) -> list[TextDelta | ToolCall]:
        """Read one event. Raises ProviderProtocolError for invalid JSON, and any error that the event reports."""
        data = data.strip()
        if data.startswith(b"[DONE]"):
            self.complete = True
            return self._finish(None)
        events = []
        for payload in _objects(data):
            self._raise_reported(payload)
            events += self._read(payload)
        return events

    def end_of_body(self) -> list[TextDelta | ToolCall]:
        """Handle the end of the body. Sets ``reason`` if the answer is complete although the server gave none."""
        return self._finish(None) if self.reason or self._is_whole() else []

    def _raise_reported(self, payload: Mapping[str, Any]) -> None:
        error = payload.get("error")
        if error or "error" in (payload.get("type"), payload.get("object")):
            raise _reported(error if isinstance(error, dict) else payload)

    def _text(self, piece: str) -> list[TextDelta | ToolCall]:
        if not piece:
            return []
        self._progress(piece)
        return [TextDelta(piece)]

    def _progress(self, piece: str) -> None:
        if piece:
            self.pieces.append(piece)

    @abstractmethod
    def _read(self, payload: Mapping[str, Any]) -> list[TextDelta | ToolCall]:
        """The events of a payload."""

    @abstractmethod
    def _finish(self, reason: str | None) -> list[TextDelta | ToolCall]:
        """End the answer with the server's reason; returns the events held back until now."""

    @abstractmethod
    def _is_whole(self) -> bool:
        """Whether the answer is complete although it has no finish reason."""


class ChatDecoder(AnswerDecoder):
    """A stream of ``chat.completion.chunk`` objects."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = ChatCalls()
        self._cut_off = False

    def _read(self, payload: Mapping[str, Any]) -> list[TextDelta | ToolCall]:
        self.service_tier = string_of(payload.get("service_tier")) or self.service_tier
        self.usage = usage_of(payload.get("usage"), "prompt", "completion") or self.usage
        choice = next(iter(objects_of(payload.get("choices"))), None)
        if choice is None:
            return []
        delta = object_of(choice.get("delta") or (None if self.pieces else choice.get("message")))
        events, reason = self._read_delta(delta), string_of(choice.get("finish_reason"))
        self.events += bool(events or reason or delta or "delta" in choice)
        return events + (self._finish(reason) if reason and not self.reason else [])

    def _read_delta(self, delta: dict[str, Any]) -> list[TextDelta | ToolCall]:
        """Read a delta; a server that finds a tool call in the text may also send that text."""
        self.refused = self.refused or bool(delta.get("refusal"))
        text = text_of(delta.get("content")) or string_of(delta.get("refusal"))
        calls = objects_of(delta.get("tool_calls"))
        if function := object_of(delta.get("function_call")):
            calls.append({"function": function})
        for call in calls:
            self._progress(self._calls.add(call))
        if calls and is_call_written_out(text, self._calls.names()):
            return []
        return self._text(text)

    def _finish(self, reason: str | None) -> list[TextDelta | ToolCall]:
        known = _CHAT_REASONS.get(reason or "stop")
        if known is None and reason is not None:
            self.unknown_reason = reason if _CODE.fullmatch(reason) else "unreadable"
            known = _OTHER_REASONS.get(reason.lower(), "stop")
        self._cut_off = self._cut_off or known in _CUT_OFF
        calls = self._calls.take(cut_off=self._cut_off)
        if known == "error" and not calls:
            raise ProviderUnavailable(PROVIDER, "the model broke off")
        if self.reason is None:
            self.reason = "tool_calls" if calls else "stop" if known in (None, "tool_calls") else known
        return list(calls)

    def _is_whole(self) -> bool:
        return self._calls.whole


class ResponsesDecoder(AnswerDecoder):
    """A stream of ``response.*`` events; there is no ``[DONE]``."""

    def __init__(self) -> None:
        super().__init__()
        self._called: set[str] = set()
        """The ids of the tool calls already returned, both of the call and of its item."""
        self._called_with: set[tuple[str, str]] = set()
        """Their names and arguments."""
        self._item_done = False

    def _read(self, payload: Mapping[str, Any]) -> list[TextDelta | ToolCall]:
        if payload.get("object") == "response":  # the server does not stream
            self.events += 1
            return self._read_response(payload, completed=payload.get("status") != "incomplete")
        response, item = object_of(payload.get("response")), object_of(payload.get("item"))
        before = len(self.pieces)
        events = self._read_event(string_of(payload.get("type")), payload, response, item)
        self.events += bool(events or response or item or len(self.pieces) > before)
        return events

    def _read_event(
        self, kind: str, payload: Mapping[str, Any], response: dict[str, Any], item: dict[str, Any]
    ) -> list[TextDelta | ToolCall]:
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                self.refused = self.refused or kind == "response.refusal.delta"
                return self._text(text_of(payload.get("delta")))
            case "response.function_call_arguments.delta":
                self._progress(string_of(payload.get("delta")))
            case "response.output_item.done":
                return self._read_item(item)
            case "response.completed" | "response.incomplete":
                return self._read_response(response, completed=kind == "response.completed")
            case "response.failed":
                raise _reported(object_of(response.get("error")))
            case _:
                pass  # the beginning and end of parts, unknown events, and objects that are no events
        return []

    def _read_item(self, item: dict[str, Any]) -> list[TextDelta | ToolCall]:
        self._item_done = True
        call_id, item_id, name = (string_of(item.get(key)) for key in ("call_id", "id", "name"))
        ids = {call_id, item_id} - {""}
        arguments = arguments_text(item.get("arguments"))
        is_known = bool(ids & self._called) or (not ids and (name, arguments) in self._called_with)
        if item.get("type") != "function_call" or not name or is_known:
            return []
        if item.get("status") == "incomplete" and (not arguments.strip() or readable_arguments(arguments) is None):
            return []
        self._called |= ids
        self._called_with.add((name, arguments))
        return [tool_call(call_id or item_id, name, arguments)]

    def _read_response(self, response: Mapping[str, Any], *, completed: bool) -> list[TextDelta | ToolCall]:
        """Read the final response object, which has the whole answer, for servers that sent no pieces."""
        self.service_tier = string_of(response.get("service_tier")) or None
        self.usage = usage_of(response.get("usage"), "input", "output")
        output = objects_of(response.get("output"))
        events: list[TextDelta | ToolCall] = []
        if not self.pieces:
            messages = [item for item in output if item.get("type") == "message"]
            events += [event for item in messages for event in self._text(text_of(item.get("content")))]
        events += [event for item in output for event in self._read_item(item)]
        filtered = object_of(response.get("incomplete_details")).get("reason") == "content_filter"
        self.complete = True
        return events + self._finish(None if completed else "content_filter" if filtered else "length")

    def _finish(self, reason: str | None) -> list[TextDelta | ToolCall]:
        self.reason = self.reason or ("tool_calls" if self._called_with else reason or "stop")
        return []

    def _is_whole(self) -> bool:
        return self._item_done


def decoder(api: Literal["chat", "responses"]) -> AnswerDecoder:
    """A decoder for one answer of the API."""
    return ChatDecoder() if api == "chat" else ResponsesDecoder()


def _objects(data: bytes) -> list[Mapping[str, Any]]:
    """The JSON objects of an event: one, or one per line if a server omits the empty lines between events.

    Data that is not an object, such as a comment after ``data:``, is ignored. Raises ProviderProtocolError for an
    unreadable object, because words may be lost with it.
    """
    if not data.startswith(b"{"):
        return []
    try:
        return [read_object(data)]
    except Unreadable:
        if b"\n" in data:
            return [each for line in data.split(b"\n") for each in _objects(line.strip())]
        raise ProviderProtocolError(PROVIDER, "an event that is not of the protocol") from None


def _reported(error: Mapping[str, Any]) -> ProviderError:
    """Map an error inside the stream. OpenRouter and vLLM use the HTTP status as its code."""
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    return vendor_error(status, error_code(error))
