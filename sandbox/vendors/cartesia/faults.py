"""What Cartesia's stand-in can get wrong in the content of its answers, by name."""

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
    "null_data": "One chunk has null for its sound.",
    "other_types": "One chunk has a list for its sound.",
    "broken_base64": "The sound of one chunk is not base64.",
    "no_context_id": "One chunk names no context.",
    "unknown_context": "Sound comes for a context that nobody has opened.",
    "unknown_type": "One message is of a type that nobody knows.",
    "binary_frame": "One message is binary and holds bytes that are no text.",
    "half_message": "One chunk breaks off in the middle of its sound.",
    "deep_nesting": "One message is nested a hundred thousand lists deep.",
    "long_number": "One message has a number of five thousand digits.",
    "early_done": "The speech ends after 2 s of sound, as if that were all.",
    "riff_header": "The sound has a WAV header before it.",
    "error_as_sound": "The sound is the text of an error.",
    "wrong_rate": "The sound has 24 kHz and 16 bits, whatever was asked for.",
    "wrong_encoding": "The sound has 16 bits where mu-law was asked for.",
    "error_without_context": "An error with `status` (400 by default) names no context, which says nothing more.",
    "refused_content": "The text is refused for its content: 400.",
    "socket_reset": "The socket of all calls is reset after three messages.",
}
"""Kind of the fault to one sentence that says what happens."""

WRONG_RATE: Final = 24_000
EARLY_SECONDS: Final = 2.0
_RESET_AFTER = 3
_ERROR: Final = json.dumps(
    {"error": {"code": "internal_error", "message": "something broke while speaking " * 300}}
).encode()

Message = dict[str, Any]
Sent = Message | str | bytes


class Reset(Exception):
    """The socket is to be reset."""


class Twist:
    """Turns the messages of one context into what the fault makes of them; ``kind`` None leaves them alone."""

    def __init__(self, kind: str | None, *, status: int = 400) -> None:
        self._kind = kind
        self._status = status
        self._is_spent = False
        self._messages = 0

    def of(self, message: Message) -> list[Sent]:
        """What is sent instead of a message. Raises Reset."""
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
        """A piece of the sound of an HTTP answer."""
        return _ERROR if self._kind == "error_as_sound" else audio

    def error(self, context_id: str) -> Message | None:
        """The error that the context ends with before it has said anything, if it does."""
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
        """Seconds of sound that are spoken."""
        return EARLY_SECONDS if self._kind == "early_done" else math.inf

    @property
    def rate(self) -> int | None:
        """The rate the sound has instead of the one that was asked for, with 16 bits."""
        return WRONG_RATE if self._kind == "wrong_rate" else None

    @property
    def is_linear(self) -> bool:
        """Whether the sound has 16 bits, whatever was asked for."""
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
"""What is sent instead of one chunk."""
