"""Every fact becomes a row and comes back from it, in this version and in others."""

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.conversation import events as ev
from app.models import JournalRow

_EXAMPLES: dict[str, Any] = {
    "str": st.text(max_size=5),
    "str | None": st.none() | st.text(max_size=5),
    "int": st.integers(-3, 10**6),
    "int | None": st.none() | st.integers(0, 9),
    "float": st.floats(0, 1e6),
    "float | None": st.none() | st.floats(0, 1e6),
    "bool": st.booleans(),
    "tuple[dict[str, Any], ...]": st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5)), max_size=2).map(
        tuple
    ),
    "tuple[str, ...]": st.lists(st.text(max_size=5), max_size=2).map(tuple),
    "dict[str, float]": st.dictionaries(st.text(max_size=3), st.floats(0, 9), max_size=2),
    "dict[str, Any]": st.dictionaries(st.text(max_size=3), st.integers() | st.none() | st.lists(st.text()), max_size=2),
}


def type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and "[" not in str(annotation) else str(annotation)


def example_of(cls: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    values = {item.name: _EXAMPLES[type_name(item.type).replace("typing.", "")] for item in fields(cls)}
    return st.builds(cls, **values)


def row_of(event: ev.Event, **extra: Any) -> JournalRow:
    data = json.loads(json.dumps({**ev.row_data(event), **extra}))
    return JournalRow(1, "2026-11-22T10:00:00.000Z", 0.0, event.type, getattr(event, "turn", None), ev.VERSION, data)


@pytest.mark.parametrize("cls", ev.EVENT_TYPES.values(), ids=ev.EVENT_TYPES)
@settings(max_examples=10)
@given(data=st.data())
def test_every_fact_comes_back_from_its_row(cls: type[ev.Event], data: st.DataObject) -> None:
    event = data.draw(example_of(cls))

    assert ev.from_row(row_of(event)) == event


@pytest.mark.parametrize("cls", ev.EVENT_TYPES.values(), ids=ev.EVENT_TYPES)
@settings(max_examples=10)
@given(data=st.data())
def test_what_a_newer_version_adds_is_left_out(cls: type[ev.Event], data: st.DataObject) -> None:
    event = data.draw(example_of(cls))

    assert ev.from_row(row_of(event, added_in_version_nine=[1])) == event


@pytest.mark.parametrize("cls", ev.EVENT_TYPES.values(), ids=ev.EVENT_TYPES)
def test_what_an_older_version_did_not_know_has_its_default(cls: type[ev.Event]) -> None:
    optional = {
        item.name
        for item in fields(cls)
        if (item.default is not MISSING or item.default_factory is not MISSING) and item.name != "turn"
    }
    required: dict[str, Any] = {item.name: 1 for item in fields(cls) if item.name not in optional}
    event = cls(**required)
    row = row_of(event)
    old = {name: value for name, value in row.data.items() if name not in optional}

    assert ev.from_row(JournalRow(1, row.at, 0.0, row.type, row.turn, 1, old)) == event


def test_a_row_of_an_unknown_type_is_not_an_event() -> None:
    assert ev.from_row(JournalRow(1, "2026-11-22T10:00:00.000Z", 0.0, "caller.sneezed", 2, 7, {"loud": True})) is None


def test_the_turn_has_a_column_of_its_own() -> None:
    event = ev.AgentFinished(turn=4, speech=5, heard="Gladly.", generated="Gladly.")

    assert "turn" not in ev.row_data(event)
    assert row_of(event).turn == 4


def test_types_are_named_once_each_with_a_noun_and_a_verb() -> None:
    assert len(ev.EVENT_TYPES) == len({cls.__name__ for cls in ev.EVENT_TYPES.values()})
    assert all(name.count(".") == 1 and name == name.lower() for name in ev.EVENT_TYPES)


def test_facts_are_values() -> None:
    with pytest.raises(AttributeError):
        ev.CallerWords("hello").text = "goodbye"  # type: ignore[misc]
