"""Content faults of the stand-in for Deepgram, by name."""

import json
import math
from collections.abc import Callable
from typing import Any, Final

NAMED: Final[dict[str, str]] = {
    "side_fields_null": "Every field is null, but the type, the text and what ends a turn.",
    "side_fields_absent": "The same fields are left out.",
    "side_fields_listed": "The same fields are lists.",
    "side_fields_huge": "The same fields are numbers of 400 digits.",
    "word_not_text": "The first word of each message is null.",
    "word_half_letter": "The first word of each message is half of a surrogate pair.",
    "words_not_objects": "The words of each message are texts, numbers and null instead of objects.",
    "word_times_huge": "The times of the words are 1e308, NaN, Infinity and -1e308.",
    "no_transcript": "The text of each message is null. Its words are there.",
    "no_end_of_turn": "The `event` of each end of a turn (Nova: each `is_final`) is null.",
    "unknown_type": "A message of a type that nobody knows comes before each of the others.",
    "no_type": "A message without a type comes before each of the others.",
    "no_object": "A list comes before each message.",
    "half_message": "Half of each message comes before it.",
    "binary_frame": "Before each message comes a binary one whose bytes are no text.",
    "deep_nesting": "A message that is nested a hundred thousand lists deep comes before each of the others.",
    "long_number": "A message with a number of five thousand digits comes before each of the others.",
}
"""The kind of each fault, and one sentence that says what happens."""

Message = dict[str, Any]
Sent = Message | str | bytes

_TOLD: Final = frozenset(
    {"type", "event", "is_final", "speech_final", "from_finalize", "transcript", "channel", "alternatives"}
)
"""Fields that say what was heard, and when a turn is over."""
_HUGE: Final = (1e308, math.nan, math.inf, -1e308)


def twisted(kind: str | None, message: Message) -> list[Sent]:
    """What is sent instead of a message; kind None leaves it alone."""
    change = _CHANGES.get(kind or "")
    if change is not None:
        return [change(message)]
    before = _BEFORE.get(kind or "")
    return [message] if before is None else [before(message), message]


def _with_side_fields(value: Any) -> Callable[[Message], Message]:
    def change(message: Message) -> Message:
        return _walk(message, lambda name, old: old if name in _TOLD else value)

    return change


def _without_side_fields(message: Message) -> Message:
    absent = object()
    return _walk(message, lambda name, old: old if name in _TOLD else absent, absent)


def _walk(message: Message, choose: Callable[[str, Any], Any], absent: object = None) -> Message:
    """The message with other values for its fields, down to the alternatives of a channel."""
    changed: Message = {}
    for name, old in message.items():
        if name == "channel" and isinstance(old, dict):
            changed[name] = _walk(old, choose, absent)
        elif name == "alternatives":
            changed[name] = [_walk(each, choose, absent) for each in old]
        else:
            value = choose(name, old)
            if absent is None or value is not absent:
                changed[name] = value
    return changed


def _with_words(change: Callable[[list[Message]], list[Any]]) -> Callable[[Message], Message]:
    return lambda message: _walk(message, lambda name, old: change(old) if name == "words" and old else old)


def _first_word(value: str | None) -> Callable[[list[Message]], list[Any]]:
    def change(words: list[Message]) -> list[Any]:
        return [{**words[0], **dict.fromkeys({"word", "punctuated_word"} & set(words[0]), value)}, *words[1:]]

    return change


def _at_huge_times(words: list[Message]) -> list[Any]:
    return [{**word, "start": _HUGE[i % 4], "end": _HUGE[(i + 1) % 4]} for i, word in enumerate(words)]


def _without_end(message: Message) -> Message:
    if message.get("event") == "EndOfTurn":
        return {**message, "event": None}
    return {**message, "is_final": None} if message.get("is_final") else message


_half_letter = _with_words(_first_word("\ud83d"))

_CHANGES: Final[dict[str, Callable[[Message], Sent]]] = {
    "side_fields_null": _with_side_fields(None),
    "side_fields_absent": _without_side_fields,
    "side_fields_listed": _with_side_fields([[1], {"a": []}]),
    "side_fields_huge": _with_side_fields(10**400),
    "word_not_text": _with_words(_first_word(None)),
    "word_half_letter": lambda message: json.dumps(_half_letter(message)),
    "words_not_objects": _with_words(lambda words: ["word", 7, None]),
    "word_times_huge": _with_words(_at_huge_times),
    "no_transcript": lambda message: _walk(message, lambda name, old: None if name == "transcript" else old),
    "no_end_of_turn": _without_end,
}
"""What is sent instead of each message."""


def _half(message: Message) -> str:
    text = json.dumps(message)
    return text[: len(text) // 2]


_BEFORE: Final[dict[str, Callable[[Message], Sent]]] = {
    "unknown_type": lambda message: {**message, "type": "SomethingNew"},
    "no_type": lambda message: {name: value for name, value in message.items() if name != "type"},
    "no_object": lambda message: json.dumps([message]),
    "half_message": _half,
    "binary_frame": lambda message: b"\x00\xff\xfe\x01",
    "deep_nesting": lambda message: f'{{"type": "{message["type"]}", "words": ' + "[" * 100_000,
    "long_number": lambda message: f'{{"type": "Metadata", "duration": {"9" * 5000}}}',
}
"""What is sent before each message."""
