"""Cartesia's requests and answers as plain values; nothing here touches a socket.

Wire formats: https://docs.cartesia.ai/api-reference/tts/websocket and .../tts/bytes, API version 2026-08-14.
"""

import binascii
import json
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypedDict, cast

from app.clients.messages import (
    Unreadable,
    as_list,
    as_number,
    as_object,
    as_text,
    as_whole,
    read_object,
    readable,
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
from app.models import VoiceConfig
from app.ports.streams import SpokenWord

PROVIDER = "cartesia"
API_VERSION = "2026-08-14"

ENCODING_NAMES = {"pcm_s16le": "pcm_s16le", "mulaw": "pcm_mulaw"}
"""Cartesia's names of the encodings."""
_REFUSED_FOR_GOOD = frozenset({"quota_exceeded", "model_not_found", "voice_not_found"})
_REFUSED_CONTENT = frozenset({400, 413, 422})
_ERROR_CODE = re.compile(r"[a-z0-9_]{1,48}")
_TYPE = re.compile(r'"type"\s*:\s*"(\w{1,40})"')
_CONTEXT_ID = re.compile(r'"context_id"\s*:\s*"([^"\\]{1,200})"')
_NAME_MAX = 200
_BASE64_MAX = 4 * 2**20
_SECONDS_MAX = 3600


SONIC_LANGUAGES = frozenset(
    {"ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fi", "fr", "gu", "he", "hi", "hr", "hu", "id", "it", "ja"}
    | {"ka", "kn", "ko", "ml", "mr", "ms", "nl", "no", "or", "pa", "pl", "pt", "ro", "ru", "sk", "sv", "ta", "te", "th"}
    | {"tl", "tr", "uk", "ur", "vi", "zh"}
)
"""What Cartesia's own voice models speak; a test compares it with the vendor's library."""


@dataclass(frozen=True, slots=True)
class CartesiaOptions:
    """Timeouts of the client, and settings that all voices share."""

    languages: frozenset[str] | None = None
    """Codes of the languages that the model speaks; None when only the vendor knows."""
    connect_seconds: float = 2.0
    """The timeout for opening a socket or an HTTP connection."""
    first_audio_seconds: float = 1.5
    """The timeout for the first audio of a context, after its first text was sent."""
    audio_gap_seconds: float = 0.7
    """The timeout for the next audio, words or end while sent text is not spoken yet."""
    next_text_seconds: float = 1.0
    """The same for the first audio of text that was sent after all before it had been spoken."""
    mute_seconds: float = 0.7
    """A socket that has been silent for this long about a context that is cancelled is not used again."""
    suspect_seconds: float = 0.5
    """After an error that names no context, a context that sends nothing for this long is requested again."""
    batch_seconds: float = 30.0
    """The longest silence during an HTTP request."""
    context_idle_seconds: float = 0.8
    """After this time without audio a spoken context is not used again: it expires at the vendor after 1 s."""
    recycle_seconds: float = 200.0
    """The age at which a socket is replaced: the vendor closes one that was idle for 5 minutes, and the age is checked
    every 4 minutes."""
    pronunciation_dict_id: str | None = None
    """The id of a pronunciation dictionary stored at the vendor."""


# --- requests ---------------------------------------------------------------------------------------------------


def websocket_url(base_url: str) -> str:
    """The address of the synthesis websocket below an http(s) or ws(s) base, whose path is kept."""
    return re.sub(r"^http", "ws", base_url.rstrip("/")) + "/tts/websocket"


def http_url(base_url: str) -> str:
    """The same base address for HTTP requests."""
    return re.sub(r"^ws", "http", base_url.rstrip("/"))


def speech_fields(voice: VoiceConfig, options: CartesiaOptions) -> dict[str, Any]:
    """The voice and format fields of a request; the same for the websocket and for HTTP."""
    fields: dict[str, Any] = {
        "model_id": voice.model,
        "voice": {"id": voice.voice_id},
        "language": voice.language,
        "output_format": {
            "container": "raw",
            "encoding": ENCODING_NAMES[voice.encoding],
            "sample_rate": voice.sample_rate,
        },
    }
    manner = {
        "speed": voice.speed if voice.speed != 1.0 else None,
        "emotion": voice.emotion,
    }
    if any(value is not None for value in manner.values()):
        fields["generation_config"] = {name: value for name, value in manner.items() if value is not None}
    if options.pronunciation_dict_id is not None:
        fields["pronunciation_dict_id"] = options.pronunciation_dict_id
    return fields


def text_request(fields: dict[str, Any], context_id: str, transcript: str, *, more: bool) -> str:
    """Text for a context; every request of a context repeats the fields. Empty text with ``more=False`` ends it.

    The vendor's own buffer is off, because the client sends whole clauses.
    """
    return json.dumps(
        {
            **fields,
            "context_id": context_id,
            "transcript": sayable(transcript),
            "continue": more,
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
        },
        ensure_ascii=False,
    )


def sayable(text: str) -> str:
    """The text without lone surrogates, which no message can carry: sending one would break the socket."""
    return text.encode(errors="ignore").decode()


def cancel_request(context_id: str) -> str:
    """Cancel a context. The vendor still sends what it is generating; we drop it."""
    return json.dumps({"context_id": context_id, "cancel": True})


# --- answers ----------------------------------------------------------------------------------------------------


class WordTimes(TypedDict, total=False):
    """Three lists of equal length; times in seconds since the first sample of the context."""

    words: list[str]
    start: list[float]
    end: list[float]


class Message(TypedDict, total=False):
    """The fields of every message. Each may be missing or of any type: see :mod:`app.clients.messages`."""

    type: str
    context_id: str


class ChunkMessage(Message, total=False):
    """``data`` is audio in base64."""

    data: str


class TimestampsMessage(Message, total=False):
    """The times of the next words."""

    word_timestamps: WordTimes


class DoneMessage(Message, total=False):
    """The last message of a context."""


class ErrorMessage(Message, total=False):
    """Without a context it is about a request that the vendor could not read, or about the socket."""

    status_code: int
    error_code: str
    request_id: str


MESSAGES: Final[dict[str, type]] = {
    "chunk": ChunkMessage,
    "timestamps": TimestampsMessage,
    "done": DoneMessage,
    "error": ErrorMessage,
}
"""The messages that are read, by ``type``; other types are ignored."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """The next audio bytes of a context; may end in the middle of a sample."""

    context_id: str
    audio: bytes


@dataclass(frozen=True, slots=True)
class WordTimestamps:
    """When words are spoken, in seconds since the first sample of the context."""

    context_id: str
    words: tuple[SpokenWord, ...]
    """A word whose own time could not be read gets its neighbours' time, marked as not exact."""
    is_whole: bool = True
    """False when words are missing."""


@dataclass(frozen=True, slots=True)
class ContextDone:
    """The vendor has sent all audio of a context: its text has ended, or it expired."""

    context_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A context failed; without a context id, the vendor does not say which."""

    context_id: str | None
    error: ProviderError


Answer = AudioChunk | WordTimestamps | ContextDone


def parse_answer(message: str | bytes) -> Answer | Failure | None:
    """Read one message; None when it contains nothing that we need.

    An unreadable message affects only the context that it names, and only the part that was lost: word times, or, if
    audio was lost, the whole context. Raises Unreadable when it names no context.
    """
    fields = readable(lambda: read_object(message))
    if fields is None:
        return _remains_of(message)
    match fields.get("type"):
        case "chunk":
            return _chunk(cast(ChunkMessage, fields))
        case "timestamps":
            return _timestamps(cast(TimestampsMessage, fields))
        case "done":
            return ContextDone(_context_id(cast(DoneMessage, fields)))
        case "error":
            return _failure(cast(ErrorMessage, fields))
        case str():
            return None
        case _:
            raise Unreadable("the message has no type")


def _context_id(fields: Message) -> str:
    return as_text(fields.get("context_id"), "context_id", longest=_NAME_MAX)


def _chunk(fields: ChunkMessage) -> AudioChunk | Failure | None:
    context_id, data = _context_id(fields), fields.get("data")
    if not data:
        return None  # no audio in it
    try:
        audio = binascii.a2b_base64(as_text(data, "data", longest=_BASE64_MAX), strict_mode=True)
    except ValueError:  # Unreadable and binascii.Error are ValueErrors; so is the error for non-ASCII text
        return Failure(context_id, ProviderProtocolError(PROVIDER, "sound that cannot be read", request_id=context_id))
    return AudioChunk(context_id, audio)


def _timestamps(fields: TimestampsMessage) -> WordTimestamps:
    context_id = _context_id(fields)
    try:
        times = cast(WordTimes, as_object(fields.get("word_timestamps") or {}, "word_timestamps"))
        texts = [as_text(word, "a word") for word in as_list(times.get("words") or [], "words")]
    except Unreadable:
        return WordTimestamps(context_id, (), is_whole=False)
    starts, ends = _seconds(times.get("start"), len(texts)), _seconds(times.get("end"), len(texts))
    words: list[SpokenWord] = []
    for text, start, end in zip(texts, starts, ends, strict=True):
        if start is None:
            before = words[-1].end if words else None
            after = next((known for known in starts[len(words) :] if known is not None), None)
            moment = before if before is not None else after
            words.append(SpokenWord(text, moment or 0.0, moment or 0.0, is_exact=False))
        else:
            words.append(SpokenWord(text, start, max(start, end if end is not None else start)))
    return WordTimestamps(context_id, tuple(words))


def _seconds(column: object, length: int) -> list[float | None]:
    """A list of times; None for each that cannot be read, and for all when there are not as many as words."""
    if not isinstance(column, list) or len(column) != length:
        return [None] * length
    return [readable(partial(as_number, value, "a time", least=0, most=_SECONDS_MAX)) for value in column]


def _failure(fields: ErrorMessage) -> Failure:
    return Failure(
        readable(lambda: _context_id(fields)),
        error_for_status(
            readable(lambda: as_whole(fields.get("status_code"), "status_code", least=100, most=599)),
            code=readable(lambda: as_text(fields.get("error_code"), "error_code")),
            request_id=readable(lambda: as_text(fields.get("request_id"), "request_id", longest=_NAME_MAX)),
        ),
    )


def _remains_of(message: str | bytes) -> Answer | Failure | None:
    """The consequence of a message that is not JSON for the context it names. Raises Unreadable when it names none."""
    text = message if isinstance(message, str) else message.decode(errors="ignore")
    kind, named = _TYPE.search(text), _CONTEXT_ID.search(text)
    if named is None:
        raise Unreadable("the message is no JSON object")
    context_id = named.group(1)
    match kind.group(1) if kind is not None else "":
        case "timestamps":
            return WordTimestamps(context_id, (), is_whole=False)
        case "done":
            return ContextDone(context_id)
        case "chunk" | "error" | "":
            error = ProviderProtocolError(PROVIDER, "an unreadable message", request_id=context_id)
            return Failure(context_id, error)
        case _:
            return None


def error_for_status(
    status: int | None, *, code: str | None = None, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """Map an HTTP-like status and the vendor's ``error_code`` to our error, without the vendor's message."""
    code = code if code is not None and _ERROR_CODE.fullmatch(code) else None
    message = f"status {status}" + (f", {code}" if code else "")
    if code in _REFUSED_FOR_GOOD:
        return ProviderRejected(PROVIDER, message, status=status, request_id=request_id)
    if status == 429:
        return ProviderRateLimited(PROVIDER, message, retry_after=retry_after, request_id=request_id)
    if status in (408, 504):
        return ProviderTimeout(PROVIDER, message, request_id=request_id)
    if status in _REFUSED_CONTENT:
        return ContentRejected(PROVIDER, message, status=status, request_id=request_id)
    if status is not None and 400 <= status < 500:
        return ProviderRejected(PROVIDER, message, status=status, request_id=request_id)
    return ProviderUnavailable(PROVIDER, message, request_id=request_id)
