"""Whatever a vendor sends, a field is read as what it should be, or refused in words that do not repeat it."""

import json
import math
from typing import Any

import pytest

from app.clients.messages import (
    Unreadable,
    as_list,
    as_number,
    as_object,
    as_text,
    as_whole,
    read_object,
    readable,
)

OTHER_TYPES: list[Any] = [None, True, 1, 1.5, "1", [], {}]


def test_a_message_is_a_json_object() -> None:
    assert read_object(b'{"a": 1, "b": "\xd0\x96"}') == {"a": 1, "b": "Ж"}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "тайна",
        '{"type": "тайна',
        "[1]",
        "null",
        b"\xff\xfe\x00",
        b"\x00\x01",
        '{"a":' + "[" * 200_000 + "]" * 200_000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
    ],
    ids=["empty", "text", "half", "list", "null", "no UTF-8", "binary", "deep lists", "deep objects"],
)
def test_anything_else_is_unreadable_and_not_repeated(message: str | bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        read_object(message)
    assert str(caught.value) == "the message is no JSON object"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "9" * 5000, "1e308", "1e999", "NaN", "Infinity"])
def test_a_number_outside_reason_costs_its_field_and_not_the_message(number: str) -> None:
    fields = read_object(f'{{"huge": {number}, "fine": 1}}')
    assert as_number(fields["fine"], least=0, most=10) == 1
    with pytest.raises(Unreadable):
        as_number(fields["huge"], least=-1e6, most=1e6)
    with pytest.raises(Unreadable):
        as_whole(fields["huge"], least=-1000, most=1000)


@pytest.mark.parametrize(
    ("read", "right"),
    [
        (as_object, [{}]),
        (as_list, [[]]),
        (as_text, ["1"]),
        (lambda value: as_number(value, least=0, most=2), [1, 1.5]),
        (lambda value: as_whole(value, least=0, most=2), [1]),
    ],
)
def test_each_reader_takes_its_own_type_alone(read: Any, right: list[Any]) -> None:
    for value in OTHER_TYPES:
        if any(type(value) is type(each) and value == each for each in right):
            assert read(value) == value
        else:
            with pytest.raises(Unreadable):
                read(value)


def test_sizes_are_bounded() -> None:
    for read in (lambda: as_text("abc", longest=2), lambda: as_list([1, 2, 3], longest=2)):
        with pytest.raises(Unreadable):
            read()
    for value in (-0.1, 1.1, math.nan, math.inf, 10**400):
        with pytest.raises(Unreadable):
            as_number(value, least=0, most=1)
    assert as_whole(3.0, least=0, most=3) == 3


def test_half_a_surrogate_pair_is_not_text() -> None:
    with pytest.raises(Unreadable):
        as_text(json.loads(r'"\ud83d"'))
    assert as_text(json.loads(r'"\ud83d\ude00"')) == "😀"


def test_a_field_that_can_be_done_without_is_none() -> None:
    assert readable(lambda: as_number(None, least=0, most=1)) is None
    assert readable(lambda: as_number(0.5, least=0, most=1)) == 0.5


def test_the_complaint_names_the_field() -> None:
    with pytest.raises(Unreadable, match=r"^start is not a number from 0 to 10$"):
        as_number("тайна", "start", least=0, most=10)
