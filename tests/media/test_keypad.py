"""Keys of a telephone."""

import pytest

from media.keypad import KEYS, event_code


@pytest.mark.parametrize(("key", "code"), [("0", 0), ("9", 9), ("*", 10), ("#", 11), ("A", 12), ("D", 15)])
def test_each_key_has_its_event_of_the_standard(key: str, code: int) -> None:
    assert event_code(key) == code


def test_there_are_sixteen_keys() -> None:
    assert len(set(KEYS)) == 16
