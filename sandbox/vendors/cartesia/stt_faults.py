"""Content faults of the stand-in for Cartesia's speech recognition, by name."""

import json
from collections.abc import Callable
from typing import Any, Final

NAMED: Final[dict[str, str]] = {
    "stt_side_fields_null": "Speech recognition: every field is null, but the type, the text and what is final.",
    "stt_side_fields_listed": "Speech recognition: the same fields are lists.",
    "stt_words_not_objects": "Speech recognition: the words are texts, numbers and null instead of objects.",
    "stt_no_text": "Speech recognition: before each piece of a transcript comes one whose text is null.",
    "stt_unknown_type": "Speech recognition: a message of an unknown type comes before each of the others.",
    "stt_half_message": "Speech recognition: half of each message comes before it.",
    "stt_binary_frame": "Speech recognition: before each message comes a binary one whose bytes are no text.",
    "stt_deep_nesting": "Speech recognition: a message nested a hundred thousand lists deep comes before each other.",
    "stt_never_final": "Speech recognition: `finalize` is never answered.",
}
"""The kind of each fault, and one sentence that says what happens."""

Message = dict[str, Any]
Sent = Message | str | bytes

_TOLD: Final = frozenset({"type", "text", "is_final"})


def twisted(kind: str | None, message: Message) -> list[Sent]:
    """What is sent instead of a message; kind None leaves it alone."""
    change = _CHANGES.get(kind or "")
    if change is not None:
        return [change(message)]
    before = _BEFORE.get(kind or "")
    return [message] if before is None else [*before(message), message]


def _with_side_fields(value: Any) -> Callable[[Message], Message]:
    return lambda message: {name: old if name in _TOLD else value for name, old in message.items()}


_CHANGES: Final[dict[str, Callable[[Message], Message]]] = {
    "stt_side_fields_null": _with_side_fields(None),
    "stt_side_fields_listed": _with_side_fields([[1], {"a": []}]),
    "stt_words_not_objects": lambda message: {
        **message,
        **({"words": ["word", 7, None]} if "words" in message else {}),
    },
}


def _half(message: Message) -> list[Sent]:
    text = json.dumps(message)
    return [text[: len(text) // 2]]


_BEFORE: Final[dict[str, Callable[[Message], list[Sent]]]] = {
    "stt_no_text": lambda message: [{**message, "text": None}] if "text" in message else [],
    "stt_unknown_type": lambda message: [{**message, "type": "something_new"}],
    "stt_half_message": _half,
    "stt_binary_frame": lambda _message: [b"\x00\xff\xfe\x01"],
    "stt_deep_nesting": lambda _message: ['{"type": "transcript", "words": ' + "[" * 100_000],
}
"""What is sent before each message."""
