"""The digits that a caller's words end with."""

import pytest

from app.conversation.dictation import digits_at_end


@pytest.mark.parametrize(
    ("said", "count", "groups", "first"),
    [
        ("мой номер девятьсот шестнадцать, пять", 4, 2, "девятьсот"),
        ("плюс семь девятьсот шестнадцать э сорок два", 6, 3, "семь"),
        ("+7 916 42", 6, 3, "7"),
        ("четыре два нуля", 3, 2, "четыре"),
        ("в тысяча девятьсот восемьдесят втором, нет, тысяча девятьсот восемьдесят два", 4, 1, "тысяча"),
        ("two hundred five", 3, 1, "two"),
        ("double five and four", 3, 2, "double"),
        ("at twenty-five", 2, 1, "twenty"),
        ("нас двое", 0, 0, ""),
        ("5 мая", 0, 0, ""),
        ("", 0, 0, ""),
    ],
)
def test_digits_at_the_end_are_counted_in_words_and_figures(said: str, count: int, groups: int, first: str) -> None:
    digits = digits_at_end(said)
    assert (digits.count, digits.groups, digits.first) == (count, groups, first)
