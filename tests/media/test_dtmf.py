"""Keys of a telephone."""

import pytest

from media.dtmf import KEYS, KeyBounce, event_code


@pytest.mark.parametrize(("key", "code"), [("0", 0), ("9", 9), ("*", 10), ("#", 11), ("A", 12), ("D", 15)])
def test_each_key_has_the_event_code_of_rfc_4733(key: str, code: int) -> None:
    assert event_code(key) == code


def test_there_are_sixteen_keys() -> None:
    assert len(set(KEYS)) == 16


def pressed(*keys: tuple[float, str], sound: float | None = None) -> str:
    """Those that count, of keys at these moments; with ``sound``, in pieces of so many seconds all the while."""
    bounce, counted, heard_until = KeyBounce(), "", keys[0][0]
    for at, key in keys:
        while sound is not None and heard_until + sound <= at:
            heard_until += sound
            bounce.note_audio(sound)
        counted += key if bounce.is_new(key, at) else ""
    return counted


@pytest.mark.parametrize(("apart", "counted"), [(0.0, "5"), (0.02, "5"), (0.079, "5"), (0.081, "55"), (0.18, "55")])
@pytest.mark.parametrize("sound", [None, 0.02, 0.1])
def test_the_same_key_again_at_once_is_the_same_press(apart: float, counted: str, sound: float | None) -> None:
    assert pressed((7.0, "5"), (7.0 + apart, "5"), sound=sound) == counted


def test_a_key_reported_repeatedly_while_it_is_held_is_one_press() -> None:
    assert pressed(*((1.0 + 0.05 * number, "5") for number in range(20))) == "5"


def test_other_keys_may_follow_at_once() -> None:
    assert pressed((1.0, "1"), (1.0, "2"), (1.01, "1"), (1.01, "1")) == "121"


def test_keys_that_were_held_up_with_the_sound_between_them_are_as_many_as_were_pressed() -> None:
    bounce = KeyBounce()
    assert bounce.is_new("5", 3.0)
    for _ in range(9):
        bounce.note_audio(0.02)

    assert bounce.is_new("5", 3.0)
