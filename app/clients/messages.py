"""Readers for what a vendor sends: each returns a value of the right type and size, or raises Unreadable.

A vendor's JSON may hold anything: a null, a list for a number, ``NaN``, a number of five thousand digits. Whoever reads
a field goes through one of these, so that a wrong value is refused where it comes in and never becomes a bug of ours.

Describe a message as a ``TypedDict`` and name it in a table ``MESSAGES`` of its module, so that mypy refuses to read a
field that is not described, and a test can try wrong values for every field there is.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

ValueT = TypeVar("ValueT")

_DIGITS_MAX = 32
"""A whole number of more digits is read as infinite, and so refused by whoever wants it."""
_TEXT_MAX = 65_536
_ITEMS_MAX = 10_000


class Unreadable(ValueError):
    """A message, or a field of it, is not what the protocol says. The text names the field and never quotes it."""


def read_object(message: str | bytes) -> Mapping[str, object]:
    """The JSON object in a message. Raises Unreadable."""
    try:
        return as_object(json.loads(message, parse_int=_whole_number), "the message")
    except (
        ValueError,
        RecursionError,
    ):  # UnicodeDecodeError and JSONDecodeError are ValueErrors, and quote the message
        raise Unreadable("the message is no JSON object") from None


def as_object(value: object, name: str = "a field") -> Mapping[str, object]:
    """A JSON object. Raises Unreadable."""
    if not isinstance(value, dict):
        raise Unreadable(f"{name} is no object")
    return value


def as_list(value: object, name: str = "a field", *, longest: int = _ITEMS_MAX) -> list[object]:
    """A JSON array of at most so many items. Raises Unreadable."""
    if not isinstance(value, list) or len(value) > longest:
        raise Unreadable(f"{name} is no list of at most {longest} items")
    return value


def as_text(value: object, name: str = "a field", *, longest: int = _TEXT_MAX) -> str:
    """Text of at most so many characters that can be written as UTF-8. Raises Unreadable."""
    if not isinstance(value, str) or len(value) > longest:
        raise Unreadable(f"{name} is no text of at most {longest} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair: it cannot be stored, nor sent on
            raise Unreadable(f"{name} is no valid Unicode") from None
    return value


def as_number(value: object, name: str = "a field", *, least: float, most: float) -> float:
    """A number between the two. Raises Unreadable."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Unreadable(f"{name} is no number from {least:g} to {most:g}")
    return float(value)


def as_whole(value: object, name: str = "a field", *, least: int, most: int) -> int:
    """A whole number between the two; ``3.0`` is one. Raises Unreadable."""
    number = as_number(value, name, least=least, most=most)
    if number != int(number):
        raise Unreadable(f"{name} is no whole number")
    return int(number)


def as_flag(value: object, name: str = "a field") -> bool:
    """``true`` or ``false``. Raises Unreadable."""
    if not isinstance(value, bool):
        raise Unreadable(f"{name} is neither true nor false")
    return value


def readable(read: Callable[[], ValueT]) -> ValueT | None:
    """What ``read`` returns, or None when it is Unreadable: for a field that the message can do without."""
    try:
        return read()
    except Unreadable:
        return None


def _whole_number(digits: str) -> int | float:
    """Python itself raises ValueError for more than 4300 digits, which would cost the message."""
    return int(digits) if len(digits) <= _DIGITS_MAX else math.copysign(math.inf, -1 if digits[0] == "-" else 1)
