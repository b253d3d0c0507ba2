"""Answers to callers without a script: a small clinic's receptionist, in Russian and English, by simple rules."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.vendors.stage import Reply, ScriptedToolCall

_LOOKS = "find_free_times"
"""A tool whose answer is told, and before which nothing is said."""
_TIME = re.compile(r"\b\d{1,2}:\d\d\b")
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rule:
    heard: re.Pattern[str]
    russian: str
    english: str
    tool: str | None = None
    """A tool to call as well, if it is offered."""


def _rule(heard: str, russian: str, english: str, tool: str | None = None) -> _Rule:
    return _Rule(re.compile(heard, re.IGNORECASE), russian, english, tool)


_RULES = (
    _rule(
        r"до свидания|всего (доброго|хорошего)|\bпока\b|goodbye|\bbye\b",
        "Спасибо за звонок. До свидания!",
        "Thank you for calling. Goodbye!",
        "end_call",
    ),
    _rule(
        r"оператор|администратор|с человеком|operator|a human|real person",
        "Хорошо, соединяю вас с администратором.",
        "Of course, I am putting you through to a colleague.",
        "transfer",
    ),
    _rule(
        r"сколько стоит|цен[аыу]|стоимость|price|how much|cost",
        "Первичный приём стоит две тысячи рублей, повторный — полторы тысячи. Записать вас?",
        "A first visit costs fifty dollars, and a follow-up thirty. Shall I book you in?",
    ),
    _rule(
        r"запис|приём|прием|appointment|\bbook|schedule a",
        "С удовольствием запишу вас. На какой день и какое время вам удобно?",
        "I would be happy to book you in. Which day and time would suit you?",
    ),
    _rule(
        r"понедельник|вторник|сред[уа]|четверг|пятниц|суббот|завтра|monday|tuesday|wednesday|thursday|friday|tomorrow",
        "Записала вас, утром есть свободное время в десять часов. Подойдёт?",
        "I have you down for ten o'clock in the morning. Does that work for you?",
        "find_free_times",
    ),
    _rule(
        r"работаете|график|часы работы|открыты|opening|open|hours|close",
        "Мы работаем каждый день с девяти утра до восьми вечера. Чем ещё могу помочь?",
        "We are open every day from nine in the morning to eight in the evening. What else can I do for you?",
    ),
    _rule(
        r"где вы|адрес|находитесь|address|where are you|located",
        "Мы на улице Садовой, дом пять, рядом с метро. Подсказать, как пройти?",
        "We are at five Garden Street, next to the station. Shall I tell you the way?",
    ),
    _rule(
        r"спасибо|благодарю|thank",
        "Пожалуйста! Могу ли я ещё чем-нибудь помочь?",
        "You are welcome! Is there anything else I can help with?",
    ),
    _rule(
        r"подойд|устра|удобно|that works|works for me|sounds good",
        "Отлично, ждём вас. Могу ли я ещё чем-нибудь помочь?",
        "Great, we look forward to seeing you. Is there anything else?",
    ),
    _rule(
        r"здравствуй|добр(ый|ое)|привет|алло|hello|\bhi\b|good (morning|afternoon|evening)",
        "Здравствуйте! Клиника «Здоровье». Чем могу помочь?",
        "Hello! This is the Garden Street clinic. How can I help you?",
    ),
)
_OTHERWISE = _rule(
    "",
    "Понимаю вас. Расскажите, пожалуйста, подробнее: чем именно я могу помочь?",
    "I see. Could you tell me a little more about what you need?",
)
_AFTER_TOOL = _rule("", "Готово. Чем ещё могу помочь?", "That is done. What else can I do for you?")


def talk(heard: str, tools: Mapping[str, Any], *, found: str | None) -> Reply:
    """Answer what the caller said; ``tools`` maps the offered tools to the JSON schemas of their arguments.

    ``found`` is what a tool has just answered.
    """
    if found is not None:
        return Reply(_told(found, heard))
    rule = next((rule for rule in _RULES if rule.heard.search(heard)), _OTHERWISE)
    if rule.tool is None or rule.tool not in tools:
        return Reply(_in_language(rule, heard))
    said = "" if rule.tool == _LOOKS else _in_language(rule, heard)
    words = rule.heard.search(heard)
    arguments = _arguments(tools[rule.tool], day=words[0] if words else "")
    return Reply(said, (ScriptedToolCall(rule.tool, json.dumps(arguments, ensure_ascii=False)),))


def _told(found: str, heard: str) -> str:
    """What a tool answered, as far as it names times."""
    times = _TIME.findall(found)
    if not times:
        return _in_language(_AFTER_TOOL, heard)
    is_russian = bool(_CYRILLIC.search(heard))
    both = (" или " if is_russian else " or ").join(times)
    return f"Свободно {both}. Что вам подходит?" if is_russian else f"There is time at {both}. Which suits you?"


def _in_language(rule: _Rule, heard: str) -> str:
    return rule.russian if _CYRILLIC.search(heard) else rule.english


def _arguments(schema: Any, *, day: str) -> dict[str, Any]:
    """The required arguments, each with the first value that its schema allows; ``day`` as the caller named it."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    required: Iterable[str] = schema.get("required", ())
    values = {name: _value(properties.get(name, {})) for name in required}
    return {**values, **({"day": day} if "day" in values else {})}


def _value(schema: Mapping[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    plain: dict[str, Any] = {
        "string": "по просьбе",
        "integer": 1,
        "number": 1,
        "boolean": True,
        "array": [],
        "object": {},
    }
    kind = schema.get("type", "string")
    return plain.get(kind[0] if isinstance(kind, list) else kind)
