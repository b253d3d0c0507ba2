"""Which rows of a journal this version can read; an older or newer version may have written some of them."""

import types
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from app.conversation.events import EVENT_TYPES
from app.models import JournalRow

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a row may raise that another program wrote: the value within a field may be anything."""
_LONGEST_SECONDS = 1e8
"""Three years: no call lasts as long."""
_LARGEST = 1e15
"""No number of a row is larger."""
_Shape = tuple[tuple[str, tuple[type, ...], bool], ...]
"""Name, JSON types and whether it must be there, of each field."""


def readable(rows: Iterable[JournalRow]) -> Iterator[JournalRow]:
    """The rows that this version can read, with defaults for the fields that older versions did not write.

    Rows of unknown types pass as they are.
    """
    return (_completed(row) for row in rows if is_readable(row))


def is_readable(row: JournalRow) -> bool:
    """Whether the row's columns can be read, it has every required field of its type, and each has its JSON type."""
    return _has_columns(row) and (row.type not in EVENT_TYPES or _has_fields(row))


def _has_columns(row: JournalRow) -> bool:
    """SQLite keeps any value in any column, whatever its type, so another program may have written anything."""
    is_timed = isinstance(row.t, int | float) and 0 <= row.t <= _LONGEST_SECONDS
    return is_timed and isinstance(row.type, str) and isinstance(row.turn, int | None)


def _has_fields(row: JournalRow) -> bool:
    return all(
        _is_of(row.data[name], kinds) if name in row.data else not is_required
        for name, kinds, is_required in _shape(row.type)
    )


def _is_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (type(value) not in (int, float) or abs(value) < _LARGEST)  # type: ignore[arg-type]  # both have an absolute value


def _completed(row: JournalRow) -> JournalRow:
    if row.type not in EVENT_TYPES:
        return row
    missing = {name: value for name, value in _defaults(row.type) if name not in row.data}
    return replace(row, data={**row.data, **missing}) if missing else row


@cache
def _defaults(kind: str) -> tuple[tuple[str, Any], ...]:
    return tuple((item.name, item.default) for item in fields(EVENT_TYPES[kind]) if item.default is not MISSING)


@cache
def _shape(kind: str) -> _Shape:
    event = EVENT_TYPES[kind]
    hints = get_type_hints(event)
    return tuple(
        (item.name, tuple(_kinds(hints[item.name])), item.default is MISSING and item.default_factory is MISSING)
        for item in fields(event)
        if item.name != "turn"  # which has a column of its own
    )


def _kinds(hint: Any) -> Iterator[type]:
    """The JSON types of a type hint."""
    origin = get_origin(hint)
    if hint is Any:
        yield object
    elif origin is Literal:
        yield from {type(value) for value in get_args(hint)}
    elif origin in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _kinds(part)
    elif (origin or hint) is float:
        yield from (float, int)
    elif (origin or hint) in (tuple, list):
        yield from (list, tuple)
    else:
        yield origin or hint
