"""Content faults of the stand-in for Cartesia, by name."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any, Final

NAMED: Final[dict[str, str]] = {
    "word_times_unequal": "One message has two words, one start and two ends.",
    "word_times_null": "The words, starts and ends of one message are null.",
    "word_times_huge": "The times of one message are 1e308, NaN, Infinity and numbers of 400 digits.",
    "no_word_times": "No word times are sent.",
    "null_data": "The sound of one chunk is null.",
    "other_types": "The sound of one chunk is a list.",
    "broken_base64": "The sound of one chunk is not base64.",
    "no_context_id": "One chunk names no context.",
    "unknown_context": "Sound comes for a context that the client has not opened.",
    "unknown_type": "One message has an unknown type.",
    "binary_frame": "One message is binary, and its bytes are not text.",
    "half_message": "One chunk breaks off in the middle of its sound.",
    "deep_nesting": "One message is nested a hundred thousand lists deep.",
    "long_number": "One message has a number of five thousand digits.",
    "early_done": "The context reports `done` after 2 s of sound, before the text is spoken.",
    "riff_header": "The sound has a WAV header before it.",
    "error_as_sound": "The sound is the text of an error.",
    "wrong_rate": "The sound is 24 kHz and 16 bits, whatever the client asked for.",
    "wrong_encoding": "The sound is 16 bits where the client asked for mu-law.",
    "error_without_context": "An error with `status` (400 by default) names no context, and the context falls silent.",
    "refused_content": "The vendor refuses the text for its content: 400.",
    "socket_reset": "The vendor resets the socket of all calls after three messages.",
}
"""The kind of each fault, and one sentence that says what happens."""

WRONG_RATE: Final = 24_000
EARLY_SECONDS: Final = 2.0
_RESET_AFTER = 3
_ERROR: Final = json.dumps(
    {"error": {"code": "internal_error", "message": "something broke while speaking " * 300}}
).encode()

Message = dict[str, Any]
Sent = Message | str | bytes


class Reset(Exception):
    """Reset the socket."""


class Twist:
    """Applies a content fault to the messages of one context; ``kind`` None changes nothing."""

    def __init__(self, kind: str | None, *, status: int = 400) -> None:
        self._kind = kind
        self._status = status
        self._is_spent = False
        self._messages = 0

    def of(self, message: Message) -> list[Sent]:
        """The messages to send instead of this one. Raises Reset."""
        self._messages += 1
        kind, is_chunk = self._kind, message["type"] == "chunk"
        if kind == "socket_reset" and self._messages > _RESET_AFTER:
            raise Reset
        if kind == "no_word_times" and message["type"] == "timestamps":
            return []
        if kind == "error_as_sound" and is_chunk:
            return [{**message, "data": base64.b64encode(_ERROR).decode()}]
        one_of = _WORD_TIMES.get(kind or "")
        if one_of is not None and message["type"] == "timestamps" and not self._is_spent:
            self._is_spent = True
            return [{**message, "word_timestamps": one_of}]
        damage = _DAMAGE.get(kind or "")
        if damage is not None and is_chunk and not self._is_spent:
            self._is_spent = True
            return damage(message)
        return [message]

    def instead_of(self, audio: bytes) -> bytes:
        """The bytes to send instead of a piece of an HTTP answer's sound."""
        return _ERROR if self._kind == "error_as_sound" else audio

    def error(self, context_id: str) -> Message | None:
        """The error with which the context ends before any sound; None without such a fault."""
        status = {"error_without_context": self._status, "refused_content": 400}.get(self._kind or "")
        if status is None:
            return None
        named = {"context_id": context_id} if self._kind == "refused_content" else {}
        prose = {"title": "Error", "message": "the request cannot be answered", "error_code": "sandbox_error"}
        return {"type": "error", **named, "done": True, "status_code": status, **prose, "request_id": "sandbox"}

    @property
    def has_header(self) -> bool:
        """Whether the sound begins with a WAV header."""
        return self._kind == "riff_header"

    @property
    def ends_after(self) -> float:
        """After how many seconds of sound the context ends."""
        return EARLY_SECONDS if self._kind == "early_done" else math.inf

    @property
    def rate(self) -> int | None:
        """The sample rate to use, with 16 bits, instead of the requested one."""
        return WRONG_RATE if self._kind == "wrong_rate" else None

    @property
    def is_linear(self) -> bool:
        """Whether the sound has 16 bits, regardless of the requested encoding."""
        return self._kind in ("wrong_rate", "wrong_encoding")


_WORD_TIMES: Final[dict[str, dict[str, Any]]] = {
    "word_times_unequal": {"words": ["a", "b"], "start": [0], "end": [0.2, 0.4]},
    "word_times_null": {"words": None, "start": None, "end": None},
    "word_times_huge": {
        "words": ["a", "b", "c", "d"],
        "start": [1e308, math.nan, math.inf, 10**400],
        "end": [10**400, 1e308, math.nan, -math.inf],
    },
}


def _broken(message: Message) -> list[Sent]:
    text = json.dumps(message)
    return [text[: len(text) // 2]]


_DAMAGE: Final[dict[str, Callable[[Message], list[Sent]]]] = {
    "null_data": lambda message: [{**message, "data": None}],
    "other_types": lambda message: [{**message, "data": [message["data"]]}],
    "broken_base64": lambda message: [{**message, "data": "not*base64"}],
    "no_context_id": lambda message: [{key: value for key, value in message.items() if key != "context_id"}, message],
    "unknown_context": lambda message: [{**message, "context_id": "nobody"}, message],
    "unknown_type": lambda message: [{**message, "type": "something_new"}, message],
    "binary_frame": lambda message: [b"\x00\xff\xfe\x01", message],
    "half_message": _broken,
    "deep_nesting": lambda message: ['{"type": "chunk", "x": ' + "[" * 100_000, message],
    "long_number": lambda message: [f'{{"type": "progress", "step": {"9" * 5000}}}', message],
}
"""What each fault sends instead of one chunk."""
