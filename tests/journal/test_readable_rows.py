"""Rows that another version wrote: what this one cannot read is left out, and the rest is read as ever."""

from dataclasses import fields
from typing import Any

import pytest

from app.conversation import events as ev
from app.journal.readable_rows import is_readable
from app.journal.record import call_record
from app.models import JournalRow

OF_ANOTHER_TYPE: tuple[Any, ...] = (5, "text", ["list"], {"key": "value"}, True, None)


def a_row(kind: str, data: dict[str, Any], seq: int = 1) -> JournalRow:
    return JournalRow(seq, "2026-11-22T10:00:00.000Z", float(seq), kind, 1, 1, data)


READ = [
    a_row("call.answered", {"since_t": 0.0}),
    a_row("agent.clause_started", {"speech": 1, "text": "We open at nine.", "position": 0.0}, 2),
    a_row("call.ended", {"reason": "caller_hangup", "fault": "none"}, 3),
]


def test_a_row_of_an_unknown_type_and_one_with_more_fields_can_be_read() -> None:
    assert is_readable(a_row("weather.changed", {"rain": True}))
    assert is_readable(a_row("operator.say_requested", {"text": "Hello", "voice": "loud"}))


@pytest.mark.parametrize("data", [{}, {"text": 5}, {"text": None}, {"text": ["Hello"]}, {"words": "Hello"}])
def test_a_row_without_what_it_must_have_cannot(data: dict[str, Any]) -> None:
    assert not is_readable(a_row("operator.say_requested", data))


def test_a_whole_number_is_a_number() -> None:
    assert is_readable(a_row("call.answered", {"since_t": 0}))


@pytest.mark.parametrize("kind", ev.EVENT_TYPES)
def test_no_row_of_another_shape_harms_a_record(kind: str) -> None:
    names = [item.name for item in fields(ev.EVENT_TYPES[kind])]
    expected = call_record(READ)
    for value in OF_ANOTHER_TYPE:
        for name in names:
            broken = a_row(kind, {name: value}, 4)
            if not is_readable(broken):
                assert call_record([*READ, broken]) == expected
            else:
                call_record([*READ, broken])
    assert call_record([*READ, a_row("operator.say_requested", {})]) == expected
