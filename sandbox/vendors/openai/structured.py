"""Answers by a JSON schema, worked out from the words of a transcript by simple rules.

A request for structured output gets JSON that fits its schema. The transcript is the lines of the last user message
that look like ``[3] caller: On Friday, please.`` Nothing is made up: a value is a part of a line, or null.

https://platform.openai.com/docs/guides/structured-outputs
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

_LINE = re.compile(r"^\[(\d+)\] (caller|agent): (.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\b(\d{1,2})[:.](\d\d)\b")
_NOW = re.compile(r"Now: \w+, (\d{4})-(\d\d)-(\d\d)")
_NAME = re.compile(r"(?i:меня зовут|моя фамилия|my name is|this is|it's for)\s+([\w-]+(?:\s+[A-ZА-ЯЁ][\w-]+)?)")
_YES = re.compile(r"\b(да|верно|правильно|конечно|yes|yeah|correct|right|sure)\b", re.IGNORECASE)
_NO = re.compile(r"\b(нет|не|no|not)\b", re.IGNORECASE)
_NUMBER_WORDS = (
    "ноль zero", "один одна одного one", "два две двух двое двоих two", "три трёх трое троих three",
    "четыре четверых четверо four", "пять five", "шесть six", "семь seven", "восемь eight", "девять nine",
    "десять ten", "одиннадцать eleven", "двенадцать twelve",
)  # fmt: skip
_NUMERALS = {word: number for number, words in enumerate(_NUMBER_WORDS) for word in words.split()}
_WEEKDAYS = (
    "понедельник monday", "вторник tuesday", "сред wednesday", "четверг thursday", "пятниц friday", "суббот saturday",
    "воскресень sunday",
)  # fmt: skip
_CHOICES = {"first": ("перв",), "follow-up": ("повторн",)}
"""How Russian callers name the choices of an enumeration in English."""
_KEYS = "[keypad]"
"""Begins a line of keys that the caller pressed."""
_SUMMARY_LETTERS = 200


@dataclass(frozen=True, slots=True)
class _Said:
    turn: int
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any
    said: _Said
    quote: str
    """The words of the line that are the value, or the whole line."""


def schema_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that a request asks its answer to fit, of either API; None if it asks for text."""
    of_chat = (body.get("response_format") or {}).get("json_schema")
    of_responses = (body.get("text") or {}).get("format")
    asked = of_chat if isinstance(of_chat, dict) else of_responses
    schema = asked.get("schema") if isinstance(asked, dict) else None
    return schema if isinstance(schema, dict) else None


def structured_answer(schema: dict[str, Any], text: str) -> str:
    """JSON that fits the schema, from the words in the text."""
    said = [_Said(int(turn), who, words) for turn, who, words in _LINE.findall(text)]
    return json.dumps(_Reading(said, text).object(schema), ensure_ascii=False)


class _Reading:
    """A transcript that is being read."""

    def __init__(self, said: list[_Said], text: str) -> None:
        self._said = said
        self._caller = [line for line in said if line.who == "caller"]
        now = _NOW.search(text)
        self._today = date(*map(int, now.groups())) if now else None
        self._has_found = False

    def object(self, schema: dict[str, Any]) -> dict[str, Any]:
        """An object with every property."""
        return {name: self._value(name, each) for name, each in (schema.get("properties") or {}).items()}

    def _value(self, name: str, schema: dict[str, Any]) -> Any:
        properties = schema.get("properties") or {}
        match name:
            case _ if {"value", "quote", "turn"} <= properties.keys():
                return self._with_quote(name, properties)
            case "summary":
                return " ".join(self._spoken())[:_SUMMARY_LETTERS] or "Nothing was said."
            case "success":
                return self._has_found
            case "reason":
                return "What was asked for is known." if self._has_found else "Nothing of what was asked for is known."
            case _ if properties:
                return self.object(schema)
            case _:
                found = self._find(name, schema)
                return None if found is None else found.value

    def _spoken(self) -> Iterator[str]:
        return (line.text for line in self._caller if not line.text.startswith(_KEYS))

    def _with_quote(self, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        wanted = next(iter(properties["value"].get("anyOf") or [properties["value"]]))
        found = self._find(name, wanted)
        if found is None:
            return dict.fromkeys(properties)
        self._has_found = True
        answer = {"value": found.value, "quote": found.quote, "turn": found.said.turn}
        return {**answer, "confirmed_turn": self._confirmed(found)}

    def _confirmed(self, found: _Found) -> int | None:
        """The first yes of the caller after the agent has said something later than the quote."""
        later = self._said[self._said.index(found.said) + 1 :]
        for before, line in pairwise(later):
            if before.who == "agent" and line.who == "caller" and _YES.search(line.text) and not _NO.search(line.text):
                return line.turn
        return None

    def _find(self, name: str, schema: dict[str, Any]) -> _Found | None:
        """The last thing that the caller said which is such a value."""
        found = [each for line in self._caller for each in self._values(name, schema, line)]
        return found[-1] if found else None

    def _values(self, name: str, schema: dict[str, Any], line: _Said) -> Iterator[_Found]:
        text = line.text
        match schema:
            case {"enum": [*choices]}:
                values: Iterator[Any] = (each for each in choices if _is_chosen(str(each).casefold(), text.casefold()))
            case {"type": "boolean"}:
                values = (not _NO.search(text) for _ in [0] if _YES.search(text) or _NO.search(text))
            case {"type": "integer" | "number" as kind}:
                values = (int(number) if kind == "integer" else number for number in _numbers(text))
            case {"format": "date"}:
                yield from (_Found(day, line, quote) for day, quote in self._days(text))
                return
            case {"format": "time"}:
                clocks = _CLOCK.finditer(text)
                yield from (_Found(f"{int(each[1]):02}:{each[2]}", line, each[0]) for each in clocks)
                return
            case {"type": "string"} if "name" in name or "patient" in name:
                values = iter(_NAME.findall(text))
            case {"type": "string"} if "phone" in name or "number" in name:
                digits = "".join(filter(str.isdecimal, text))
                values = iter([digits] if len(digits) > 2 else [])
            case {"type": "string"}:
                about = set(re.findall(r"\w{4,}", f"{name} {schema.get('description', '')}".casefold()))
                values = iter([text] if any(word[:5] in text.casefold() for word in about) else [])
            case _:
                values = iter(())
        yield from (_Found(value, line, text) for value in values)

    def _days(self, text: str) -> Iterator[tuple[str, str]]:
        """Days and the words that name them."""
        yield from ((day, day) for day in _DAY.findall(text))
        if self._today is None:
            return
        for word, days in (("сегодня", 0), ("today", 0), ("послезавтра", 2), ("завтра", 1), ("tomorrow", 1)):
            if found := re.search(rf"\b{word}\w*", text, re.IGNORECASE):
                yield (self._today + timedelta(days=days)).isoformat(), found[0]
                break
        for weekday, names in enumerate(_WEEKDAYS):
            if found := re.search(rf"(?:{'|'.join(names.split())})\w*", text, re.IGNORECASE):
                days = (weekday - self._today.weekday() - 1) % 7 + 1
                yield (self._today + timedelta(days=days)).isoformat(), found[0]


def _is_chosen(choice: str, words: str) -> bool:
    return any(name in words for name in (choice, *_CHOICES.get(choice, ())))


def _numbers(text: str) -> Iterator[float]:
    for word in re.findall(r"\d+(?:[.,]\d+)?|\w+", text.casefold()):
        if _NUMBER.fullmatch(word):
            yield float(word.replace(",", "."))
        elif word in _NUMERALS:
            yield _NUMERALS[word]
