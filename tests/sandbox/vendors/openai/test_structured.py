"""JSON by a schema, from the words of a call."""

import json
from typing import Any

import pytest

from sandbox.vendors.openai.structured import schema_of, structured_answer

TALK = """\
The agent's instructions:
- Now: Monday, 2026-11-30 10:00, time zone Europe/Moscow (UTC+03:00).

The transcript:
[1] caller: Здравствуйте, меня зовут Анна Петрова, запишите меня на пятницу.
[1] agent: На пятницу, верно?
[2] caller: Да, верно, и нас будет двое.
[3] caller: My number is 8 912 345, at 10:30, an urgent visit.
"""
NULL = {"type": "null"}


def fields(**schemas: Any) -> dict[str, Any]:
    properties = {
        name: {
            "type": "object",
            "properties": {"value": {"anyOf": [schema, NULL]}, "quote": {}, "turn": {}, "confirmed_turn": {}},
        }
        for name, schema in schemas.items()
    }
    return {
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "fields": {"type": "object", "properties": properties},
            "success": {"type": ["boolean", "null"]},
            "reason": {"type": ["string", "null"]},
        },
    }


def found(text: str = TALK, **schemas: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(structured_answer(fields(**schemas), text))
    return answer


@pytest.mark.parametrize(
    ("name", "schema", "value", "turn"),
    [
        ("day", {"type": "string", "format": "date"}, "2026-12-04", 1),
        ("patient", {"type": "string"}, "Анна Петрова", 1),
        ("guests", {"type": "integer"}, 2, 2),
        ("agreed", {"type": "boolean"}, True, 2),
        ("phone", {"type": "string"}, "89123451030", 3),
        ("at", {"type": "string", "format": "time"}, "10:30", 3),
        ("kind", {"type": "string", "enum": ["urgent", "planned"]}, "urgent", 3),
        ("visit", {"type": "string", "enum": ["first", "follow-up"]}, None, None),
        ("colour", {"type": "string"}, None, None),
        ("list", {"type": "array"}, None, None),
    ],
)
def test_a_value_is_what_the_caller_said_or_null(name: str, schema: Any, value: Any, turn: Any) -> None:
    field = found(TALK.partition("[3]")[0] if name == "guests" else TALK, **{name: schema})["fields"][name]

    assert (field["value"], field["turn"]) == (value, turn)
    assert field["quote"] is None or field["quote"] in TALK.splitlines()[3 + turn + (turn > 1)]


@pytest.mark.parametrize(
    ("line", "name", "schema", "value", "quote"),
    [
        ("На пятницу, к 9:30.", "day", {"type": "string", "format": "date"}, "2026-12-04", "пятницу"),
        ("Friday at 9:30", "time", {"type": "string", "format": "time"}, "09:30", "9:30"),
        ("Завтрашний первый приём", "day", {"type": "string", "format": "date"}, "2026-12-01", "Завтрашний"),
        ("Первый приём", "visit", {"type": "string", "enum": ["first", "follow-up"]}, "first", "Первый приём"),
        ("[keypad] 79990000001", "telephone", {"type": "string"}, "79990000001", "[keypad] 79990000001"),
    ],
)
def test_the_quote_is_the_words_that_name_the_value(
    line: str, name: str, schema: dict[str, Any], value: str, quote: str
) -> None:
    field = found(f"{TALK.partition('[1]')[0]}[1] caller: {line}", **{name: schema})["fields"][name]

    assert (field["value"], field["quote"], field["turn"]) == (value, quote, 1)


def test_pressed_keys_are_no_part_of_the_summary() -> None:
    assert found("[1] caller: [keypad] 1\n[2] caller: A visit, please.")["summary"] == "A visit, please."


def test_a_yes_after_the_agent_has_spoken_confirms() -> None:
    field = found(day={"type": "string", "format": "date"})["fields"]["day"]

    assert field["confirmed_turn"] == 2


def test_success_is_that_something_is_known() -> None:
    assert found(day={"type": "string", "format": "date"})["success"] is True
    nothing = found("", day={"type": "string", "format": "date"})
    assert (nothing["success"], nothing["summary"]) == (False, "Nothing was said.")


def test_both_apis_ask_in_their_own_way() -> None:
    schema = {"type": "object"}
    assert schema_of({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}) == schema
    assert schema_of({"text": {"format": {"type": "json_schema", "schema": schema}}}) == schema
    assert schema_of({"text": {"verbosity": "low"}}) is None
    assert schema_of({"response_format": {"type": "json_object"}}) is None
