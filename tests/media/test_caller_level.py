"""Is this sound as loud as the caller, or does somebody speak behind them?"""

import pytest

from media.caller_level import CallerLevel

SYLLABLE = 10


def spoke(level: CallerLevel, power: float) -> None:
    level.sound_started()
    level.hear([power] * SYLLABLE, SYLLABLE, is_callers=True)
    level.turn_ended()


def sound(level: CallerLevel, power: float) -> CallerLevel:
    level.sound_started()
    level.hear([power] * SYLLABLE, SYLLABLE, is_callers=False)
    return level


def down(decibels: float) -> float:
    return 1e6 * 10 ** (-decibels / 10)


def test_before_the_first_turn_of_the_caller_no_sound_is_faint() -> None:
    level = sound(CallerLevel(), 1.0)

    assert not level.is_faint
    assert not level.is_barely_heard


@pytest.mark.parametrize(
    ("decibels", "faint", "barely_heard"), [(0, False, False), (9, False, False), (12, True, False), (14, True, True)]
)
def test_a_sound_is_measured_against_the_callers_own_voice(decibels: float, faint: bool, barely_heard: bool) -> None:
    level = CallerLevel()
    spoke(level, down(0))

    assert sound(level, down(decibels)).is_faint is faint
    assert level.is_barely_heard is barely_heard


def test_a_quiet_turn_does_not_lower_the_callers_level_at_once() -> None:
    level = CallerLevel()
    spoke(level, down(0))
    spoke(level, down(20))
    assert sound(level, down(20)).is_faint

    spoke(level, down(20))
    spoke(level, down(20))
    assert not sound(level, down(20)).is_faint


def test_a_sound_that_grows_is_as_loud_as_its_loudest_syllable() -> None:
    level = CallerLevel()
    spoke(level, down(0))
    sound(level, down(20)).hear([down(20), *[down(0)] * 5], 5, is_callers=False)

    assert not level.is_faint


def test_a_turn_without_a_sound_changes_nothing() -> None:
    level = CallerLevel()
    spoke(level, down(0))
    for _ in range(5):
        level.turn_ended()

    assert sound(level, down(20)).is_faint
