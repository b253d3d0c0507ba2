"""What is asked of Cartesia and what it answers, as plain values; nothing here touches a socket.

Wire formats: https://docs.cartesia.ai/api-reference/tts/websocket and .../tts/bytes, API version 2026-08-14.
"""

import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from app.clients.streams import SpokenWord
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import VoiceConfig

PROVIDER = "cartesia"
API_VERSION = "2026-08-14"

_ENCODINGS = {"pcm_s16le": "pcm_s16le", "mulaw": "pcm_mulaw"}
_REFUSED_FOR_GOOD = frozenset({"quota_exceeded", "model_not_found", "voice_not_found"})
_ERROR_CODE = re.compile(r"[a-z0-9_]{1,48}")


@dataclass(frozen=True, slots=True)
class CartesiaOptions:
    """How patient the client is, and what all voices have in common."""

    connect_seconds: float = 2.0
    """A new socket, or an HTTP connection, is open within this time."""
    first_audio_seconds: float = 1.5
    """The first audio of a context arrives within this time after its first text was sent."""
    audio_gap_seconds: float = 2.0
    """The longest wait for the next audio, words or end while text that was sent is not yet spoken."""
    batch_seconds: float = 30.0
    """The longest silence of the vendor within an HTTP request."""
    context_idle_seconds: float = 0.8
    """After this time without audio a spoken context is not used again: the vendor forgets it after 1 s."""
    recycle_seconds: float = 200.0
    """Age at which a socket is replaced: the vendor closes one that was idle for 5 minutes, and it is looked after
    each 4 minutes."""
    volume: float | None = None
    """0.5 to 2.0; None leaves it to the vendor."""
    pronunciation_dict_id: str | None = None
    """A pronunciation dictionary kept at the vendor."""


# --- what is asked ----------------------------------------------------------------------------------------------


def websocket_url(base_url: str) -> str:
    """The address of the speech socket below an http(s) or ws(s) base, whose path is kept."""
    return re.sub(r"^http", "ws", base_url.rstrip("/")) + "/tts/websocket"


def http_url(base_url: str) -> str:
    """The same base for HTTP requests."""
    return re.sub(r"^ws", "http", base_url.rstrip("/"))


def speech_fields(voice: VoiceConfig, options: CartesiaOptions) -> dict[str, Any]:
    """The fields of a request that say how to speak; the same for the websocket and for HTTP."""
    fields: dict[str, Any] = {
        "model_id": voice.model,
        "voice": {"id": voice.voice_id},
        "language": voice.language,
        "output_format": {
            "container": "raw",
            "encoding": _ENCODINGS[voice.encoding],
            "sample_rate": voice.sample_rate,
        },
    }
    manner = {
        "speed": voice.speed if voice.speed != 1.0 else None,
        "emotion": voice.emotion,
        "volume": options.volume,
    }
    if any(value is not None for value in manner.values()):
        fields["generation_config"] = {name: value for name, value in manner.items() if value is not None}
    if options.pronunciation_dict_id is not None:
        fields["pronunciation_dict_id"] = options.pronunciation_dict_id
    return fields


def text_request(fields: dict[str, Any], context_id: str, transcript: str, *, more: bool) -> str:
    """Text for a context; every request of a context repeats the fields. An empty one with ``more=False`` ends it.

    The vendor's own buffer is off, because whole clauses are sent.
    """
    return json.dumps(
        {
            **fields,
            "context_id": context_id,
            "transcript": transcript,
            "continue": more,
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
        },
        ensure_ascii=False,
    )


def cancel_request(context_id: str) -> str:
    """Nothing more of a context is wanted. What is being generated is sent all the same, and dropped by us."""
    return json.dumps({"context_id": context_id, "cancel": True})


# --- what is answered -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """The next bytes of a context; may end within a sample."""

    context_id: str
    audio: bytes


@dataclass(frozen=True, slots=True)
class WordTimestamps:
    """When words are spoken, in seconds since the first sample of the context."""

    context_id: str
    words: tuple[SpokenWord, ...]


@dataclass(frozen=True, slots=True)
class ContextDone:
    """All audio of a context has been sent: its text had ended, or it was idle for too long."""

    context_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A context failed or, without a context, the whole socket."""

    context_id: str | None
    error: ProviderError


Answer = AudioChunk | WordTimestamps | ContextDone


def parse_answer(message: str | bytes) -> Answer | Failure | None:
    """Read one message; None for a type that says nothing we need. Raises ProviderProtocolError for garbage."""
    try:
        fields = json.loads(message)
        match fields["type"]:
            case "chunk":
                return AudioChunk(_text(fields["context_id"]), binascii.a2b_base64(fields["data"]))
            case "timestamps":
                return WordTimestamps(_text(fields["context_id"]), _words(fields.get("word_timestamps") or {}))
            case "done":
                return ContextDone(_text(fields["context_id"]))
            case "error":
                return _failure(fields)
            case _:
                return None
    except (ValueError, TypeError, KeyError, AttributeError):
        # what was received may hold words of the call: neither it nor the parser's complaint is passed on
        raise ProviderProtocolError(PROVIDER, "an unreadable message") from None


def error_for_status(
    status: int | None, *, code: str | None = None, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """The service's error for an HTTP-like status and the vendor's ``error_code``, without the vendor's prose."""
    code = code if code is not None and _ERROR_CODE.fullmatch(code) else None
    message = f"status {status}" + (f", {code}" if code else "")
    if code in _REFUSED_FOR_GOOD:
        return ProviderRejected(PROVIDER, message, status=status, request_id=request_id)
    if status == 429:
        return ProviderRateLimited(PROVIDER, message, retry_after=retry_after, request_id=request_id)
    if status in (408, 504):
        return ProviderTimeout(PROVIDER, message, request_id=request_id)
    if status is not None and 400 <= status < 500:
        return ProviderRejected(PROVIDER, message, status=status, request_id=request_id)
    return ProviderUnavailable(PROVIDER, message, request_id=request_id)


def _words(timestamps: dict[str, Any]) -> tuple[SpokenWord, ...]:
    columns = (timestamps.get("words") or (), timestamps.get("start") or (), timestamps.get("end") or ())
    return tuple(SpokenWord(_text(text), float(start), float(end)) for text, start, end in zip(*columns, strict=True))


def _failure(fields: dict[str, Any]) -> Failure:
    status, code, request_id = fields.get("status_code"), fields.get("error_code"), fields.get("request_id")
    context_id = fields.get("context_id")
    return Failure(
        _text(context_id) if context_id is not None else None,
        error_for_status(
            status if isinstance(status, int) else None,
            code=code if isinstance(code, str) else None,
            request_id=request_id if isinstance(request_id, str) else None,
        ),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
