"""What OpenAI streams back: server-sent events of its two APIs as events of the service, and its error codes as errors.

Chat Completions: https://platform.openai.com/docs/api-reference/chat-streaming
Responses: https://platform.openai.com/docs/api-reference/responses-streaming

The JSON is read as it is, without building the vendor's typed objects: those cost 40 times the parsing, per token.
"""

import json
import re
from abc import ABC, abstractmethod
from typing import Any, Literal

from app.clients.streams import TextDelta, ToolCall
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import TokenUsage

PROVIDER = "openai"

_EVENT_BYTES_AT_MOST = 4 * 1024 * 1024
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_RATE_LIMITED = {"rate_limit_exceeded", "rate_limit_error", "requests", "tokens"}
_REFUSED = re.compile(r"^invalid_|policy|not_found|context_length|residency")
_CHAT_REASONS = {"stop", "length", "tool_calls", "content_filter"}


def vendor_error(
    status: int | None, code: str | None, *, request_id: str | None = None, retry_after: float | None = None
) -> ProviderError:
    """The error for a status and a code (or type) of OpenAI's error object.

    ``status`` is None for an error inside a stream. OpenAI's own message is never taken over: it may quote the input.
    """
    code = code if code and _CODE.fullmatch(code) else None
    what = " ".join(part for part in (f"HTTP {status}" if status else "error in the stream", code) if part)
    if code in _NO_CREDIT or status == 402:
        return ProviderRejected(PROVIDER, f"{what}: no credit left", status=status, request_id=request_id)
    if status == 403:
        hint = "the key may not do this, or the region is not served: see OPENAI_BASE_URL"
        return ProviderRejected(PROVIDER, f"{what}: {hint}", status=status, request_id=request_id)
    if status == 429 or (status is None and code in _RATE_LIMITED):
        return ProviderRateLimited(PROVIDER, what, retry_after=retry_after, request_id=request_id)
    if status == 408:
        return ProviderTimeout(PROVIDER, what, request_id=request_id)
    refused = _REFUSED.search(code or "") if status is None else status < 500 and status != 409
    if refused:
        return ProviderRejected(PROVIDER, what, status=status, request_id=request_id)
    return ProviderUnavailable(PROVIDER, what, request_id=request_id)


class ServerSentEvents:
    """Splits bytes into the data of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html);
    names, ids and comments are left out, since the data says what it is."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of the events that are complete now. Raises ProviderProtocolError for an event over 4 MiB."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        if len(self._rest) + sum(map(len, self._data)) > _EVENT_BYTES_AT_MOST:
            raise ProviderProtocolError(PROVIDER, "an event without end")
        return events


class AnswerDecoder(ABC):
    """One answer, as far as it has been streamed."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why the model stopped, once it has: ``stop``, ``length``, ``tool_calls`` or ``content_filter``."""
        self.usage: TokenUsage | None = None
        """As reported, without a price."""
        self.service_tier: str | None = None
        """The tier that really served, when reported."""
        self.complete = False
        """Nothing more will come."""
        self.events = 0
        """Events of any kind so far."""
        self.pieces: list[str] = []
        """Every piece of text and of arguments so far, in order."""

    def decode(self, data: bytes) -> list[TextDelta | ToolCall]:
        """Read one event. Raises ProviderProtocolError for what is not of the protocol, and the error it reports."""
        self.events += 1
        if data == b"[DONE]":
            self.complete = True
            return []
        try:
            payload = json.loads(data)
            self._raise_reported(payload)
            return self._read(payload)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            # A stranger's JSON can be wrong in each of these ways; from None, because they quote it.
            raise ProviderProtocolError(PROVIDER, "an event that is not of the protocol") from None

    def _raise_reported(self, payload: dict[str, Any]) -> None:
        error = payload.get("error")
        if error or payload.get("type") == "error":
            raise _reported(error if isinstance(error, dict) else payload)

    def _text(self, piece: str) -> list[TextDelta | ToolCall]:
        if not piece:
            return []
        self._progress(piece)
        return [TextDelta(piece)]

    def _progress(self, piece: str) -> None:
        if not isinstance(piece, str):
            raise TypeError("text expected")
        self.pieces.append(piece)

    @abstractmethod
    def _read(self, payload: dict[str, Any]) -> list[TextDelta | ToolCall]:
        """The events that the payload brings."""


class ChatDecoder(AnswerDecoder):
    """A stream of ``chat.completion.chunk`` objects."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[dict[str, str]] = []
        self._call_at: dict[int, dict[str, str]] = {}

    def _read(self, payload: dict[str, Any]) -> list[TextDelta | ToolCall]:
        self.service_tier = payload.get("service_tier") or self.service_tier
        if usage := payload.get("usage"):
            self.usage = _usage(usage, "prompt", "completion")
        if not payload["choices"]:
            return []
        choice = payload["choices"][0]
        delta = choice.get("delta") or {}
        events = self._text(delta.get("content") or delta.get("refusal") or "")
        for part in delta.get("tool_calls") or ():
            self._add_to_call(part)
        reason = choice.get("finish_reason")
        if reason and not self.reason:
            events += self._finish(reason)
        return events

    def _add_to_call(self, part: dict[str, Any]) -> None:
        """Id and name come with the first part of a call. Some servers number every call 0: a new id is a new call."""
        index, call_id = part.get("index", 0), part.get("id")
        call = self._call_at.get(index)
        if call is None or (call_id and call_id != call["id"]):
            call = self._call_at[index] = {"id": call_id or "", "name": "", "arguments": ""}
            self._calls.append(call)
        function = part.get("function") or {}
        arguments = function.get("arguments") or ""
        self._progress(arguments)
        call["name"] = function.get("name") or call["name"]
        call["arguments"] += arguments

    def _finish(self, reason: str) -> list[TextDelta | ToolCall]:
        if self._calls and reason in ("stop", "tool_calls"):
            self.reason = "tool_calls"
            return [ToolCall(call["id"], call["name"], call["arguments"]) for call in self._calls]
        self.reason = reason if reason in _CHAT_REASONS else "stop"
        return []


class ResponsesDecoder(AnswerDecoder):
    """A stream of ``response.*`` events; there is no ``[DONE]``."""

    def __init__(self) -> None:
        super().__init__()
        self._called = False

    def _read(self, payload: dict[str, Any]) -> list[TextDelta | ToolCall]:
        match payload["type"]:
            case "response.output_text.delta" | "response.refusal.delta":
                return self._text(payload["delta"])
            case "response.function_call_arguments.delta":
                self._progress(payload["delta"])
            case "response.output_item.done":
                return self._item_done(payload["item"])
            case "response.completed":
                self._finish(payload["response"], "tool_calls" if self._called else "stop")
            case "response.incomplete":
                details = payload["response"].get("incomplete_details") or {}
                filtered = details.get("reason") == "content_filter"
                self._finish(payload["response"], "content_filter" if filtered else "length")
            case "response.failed":
                raise _reported(payload["response"].get("error") or {})
            case _:
                pass  # the beginnings and ends of parts, and events yet to be invented
        return []

    def _item_done(self, item: dict[str, Any]) -> list[TextDelta | ToolCall]:
        if item["type"] != "function_call" or item.get("status") == "incomplete":
            return []
        self._called = True
        return [ToolCall(item["call_id"], item["name"], item["arguments"])]

    def _finish(self, response: dict[str, Any], reason: str) -> None:
        self.service_tier = response.get("service_tier")
        if usage := response.get("usage"):
            self.usage = _usage(usage, "input", "output")
        self.reason = reason
        self.complete = True


def decoder(api: Literal["chat", "responses"]) -> AnswerDecoder:
    """A decoder for one answer of the API."""
    return ChatDecoder() if api == "chat" else ResponsesDecoder()


def _reported(error: dict[str, Any]) -> ProviderError:
    code = error.get("code") or error.get("type")
    return vendor_error(None, code if isinstance(code, str) and code != "error" else None)


def _usage(usage: dict[str, Any], prompt: str, completion: str) -> TokenUsage:
    details = usage.get(f"{prompt}_tokens_details") or {}
    return TokenUsage(
        prompt=int(usage[f"{prompt}_tokens"]),
        cached=int(details.get("cached_tokens") or 0),
        completion=int(usage[f"{completion}_tokens"]),
    )
