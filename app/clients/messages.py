"""Readers for vendors' messages: each returns a value of the right type and size, or raises Unreadable.

A vendor's JSON may contain anything: a null, a list instead of a number, ``NaN``, a number of five thousand digits.
Read every field with one of these functions, so that a wrong value is refused at the edge and causes no bug inside.

Describe a message as a ``TypedDict`` and name it in a table ``MESSAGES`` of its module, so that mypy refuses to read a
field that is not described, and a test can try wrong values for every field there is.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

ValueT = TypeVar("ValueT")

_DIGITS_MAX = 32
"""A whole number with more digits is read as infinity, which every reader refuses."""
_TEXT_MAX = 65_536
_ITEMS_MAX = 10_000


class Unreadable(ValueError):
    """A message or a field does not follow the protocol. The text names the field and never quotes its value."""


def read_object(message: str | bytes) -> Mapping[str, object]:
    """Parse a message that is a JSON object. Raises Unreadable."""
    try:
        return as_object(json.loads(message, parse_int=_whole_number), "the message")
    except (
        ValueError,
        RecursionError,
    ):  # UnicodeDecodeError and JSONDecodeError are ValueErrors whose text quotes the message
        raise Unreadable("the message is no JSON object") from None


def as_object(value: object, name: str = "a field") -> Mapping[str, object]:
    """A JSON object. Raises Unreadable."""
    if not isinstance(value, dict):
        raise Unreadable(f"{name} is not an object")
    return value


def as_list(value: object, name: str = "a field", *, longest: int = _ITEMS_MAX) -> list[object]:
    """A JSON array of at most ``longest`` items. Raises Unreadable."""
    if not isinstance(value, list) or len(value) > longest:
        raise Unreadable(f"{name} is not a list of at most {longest} items")
    return value


def as_text(value: object, name: str = "a field", *, longest: int = _TEXT_MAX) -> str:
    """Text of at most ``longest`` characters that can be encoded as UTF-8. Raises Unreadable."""
    if not isinstance(value, str) or len(value) > longest:
        raise Unreadable(f"{name} is not a text of at most {longest} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate: it can be neither stored nor sent
            raise Unreadable(f"{name} is not valid Unicode") from None
    return value


def as_number(value: object, name: str = "a field", *, least: float, most: float) -> float:
    """A number from ``least`` to ``most``. Raises Unreadable."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Unreadable(f"{name} is not a number from {least:g} to {most:g}")
    return float(value)


def as_whole(value: object, name: str = "a field", *, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``; ``3.0`` counts as one. Raises Unreadable."""
    number = as_number(value, name, least=least, most=most)
    if number != int(number):
        raise Unreadable(f"{name} is not a whole number")
    return int(number)


def readable(read: Callable[[], ValueT]) -> ValueT | None:
    """The result of ``read``, or None when it raises Unreadable: for fields that are optional."""
    try:
        return read()
    except Unreadable:
        return None


def _whole_number(digits: str) -> int | float:
    """Parse an integer; Python itself raises ValueError beyond 4300 digits, which would lose the whole message."""
    return int(digits) if len(digits) <= _DIGITS_MAX else math.copysign(math.inf, -1 if digits[0] == "-" else 1)
