"""Wrong values for the fields of a message, and the fields that the code reads."""

import ast
import copy
import inspect
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args, get_origin, get_type_hints, is_typeddict

Field = tuple[str | int, ...]
"""Where a field is: names, and 0 for the first item of a list."""

ABSENT: Final = object()
_RAW: Final[dict[str, bytes]] = {
    "@5000 digits@": b"9" * 5000,
    "@deep lists@": b"[" * 100_000 + b"]" * 100_000,
    "@deep objects@": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "@no UTF-8@": b'"\xff\xfe"',
    "@half@": b'"\xd0',
}
"""What no JSON library writes."""
NO_JSON: Final = frozenset({"deep lists", "deep objects", "no UTF-8", "half"})
"""Ways that cost the whole message."""


def _shorter(value: Any) -> Any:
    return value[:-1] if isinstance(value, list | str) else ABSENT


def _longer(value: Any) -> Any:
    return value + value[-1:] if isinstance(value, list | str) else [value, value]


WAYS: Final[dict[str, Callable[[Any], Any]]] = {
    "absent": lambda value: ABSENT,
    "null": lambda value: None,
    "true": lambda value: True,
    "false": lambda value: False,
    "zero": lambda value: 0,
    "seven": lambda value: 7,
    "minus one": lambda value: -1,
    "text": lambda value: "раз",
    "empty text": lambda value: "",
    "empty list": lambda value: [],
    "list of null": lambda value: [None],
    "lists": lambda value: [[7], {"a": []}],
    "empty object": lambda value: {},
    "object": lambda value: {"type": 7, "words": None},
    "shorter": _shorter,
    "longer": _longer,
    "1e308": lambda value: 1e308,
    "-1e308": lambda value: -1e308,
    "NaN": lambda value: math.nan,
    "Infinity": lambda value: math.inf,
    "400 digits": lambda value: 10**400,
    "half a pair": lambda value: "\ud83d",
    "long": lambda value: "x" * 70_000,
    **{name.strip("@"): lambda value, name=name: name for name in _RAW},  # type: ignore[misc]
}


def spoilt(message: Any, field: Field, way: str) -> Any:
    """The message with a wrong value for one field."""
    if not field:
        return WAYS[way](message)
    changed = copy.deepcopy(message)
    holder = changed
    for name in field[:-1]:
        holder = holder[name]
    value = WAYS[way](holder[field[-1]])
    if value is ABSENT:
        del holder[field[-1]]
    else:
        holder[field[-1]] = value
    return changed


def encoded(message: Any) -> bytes:
    """The message as it is sent. A message that is left out altogether is empty."""
    data = b"" if message is ABSENT else json.dumps(message).encode()
    for name, raw in _RAW.items():
        data = data.replace(json.dumps(name).encode(), raw)
    return data


def fields_of(described: Any, before: Field = ()) -> Iterator[Field]:
    """The fields of a ``TypedDict``, with those of the objects within it."""
    if is_typeddict(described):
        for name, kind in get_type_hints(described).items():
            yield (*before, name)
            yield from fields_of(kind, (*before, name))
    elif get_origin(described) is list:
        yield (*before, 0)
        yield from fields_of(get_args(described)[0], (*before, 0))


def completed(described: Any, message: dict[str, Any]) -> dict[str, Any]:
    """The message with every field that its ``TypedDict`` names."""
    for name, kind in get_type_hints(described).items():
        value = message.setdefault(name, _plain(kind))
        if is_typeddict(kind):
            completed(kind, value)
        elif get_origin(kind) is list and is_typeddict(get_args(kind)[0]):
            for each in value:
                completed(get_args(kind)[0], each)
    return message


def _plain(kind: Any) -> Any:
    if is_typeddict(kind):
        return {}
    if get_origin(kind) is list:
        return [_plain(get_args(kind)[0])]
    return kind()


def fields_in(message: Any, before: Field = ()) -> Iterator[Field]:
    """The fields of a message that no ``TypedDict`` describes; of a list, those of its first item."""
    if isinstance(message, dict):
        for name, value in message.items():
            yield (*before, name)
            yield from fields_in(value, (*before, name))
    elif isinstance(message, list) and message:
        yield (*before, 0)
        yield from fields_in(message[0], (*before, 0))


def names_read(*modules: ModuleType) -> set[str]:
    """The fields that the modules read by name: ``x.get("name")`` and ``x["name"]``."""
    names: set[str] = set()
    for module in modules:
        for node in ast.walk(ast.parse(Path(inspect.getfile(module)).read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as name), *_]):
                    names.add(name)
                case ast.Subscript(slice=ast.Constant(value=str() as name), ctx=ast.Load()):
                    names.add(name)
                case _:
                    pass
    return names
