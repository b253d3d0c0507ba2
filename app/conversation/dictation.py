"""What a caller dictates, as speech to text writes it: digits in words or figures, letters, e-mail addresses."""

import re
from dataclasses import dataclass

from app.conversation.echo_text import heard_words
from app.spoken_digits import digit_groups


def _words(*listed: str) -> frozenset[str]:
    return frozenset(word for words in listed for word in words.split())


_SKIPPED = _words("плюс plus эм э мм ну um uh er so и and")
_LETTERS = _words(
    "а бэ вэ гэ дэ е жэ зэ й ка эль эм эн о пэ эр эс тэ у эф ха цэ че ша ща э ю я бе ве ге де же зе те це",
    "эйч джей кей дабл икс уай зет",
)
_MONTH = re.compile(
    r"\b(?:января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря"
    r"|january|february|march|april|may|june|july|august|september|october|november|december)\b"
)
_MONTH_LAST = re.compile(_MONTH.pattern + r"(?:,? (?:the )?\w*(?:st|nd|rd|th|first|second|third))?\W*$")
_DIGITS_OF_A_YEAR = 4
_FLAT = re.compile(r"\b(?:квартира|кв|офис|apartment|apt|flat|suite|unit)\b")
_DIGITS_OF_A_FLAT = 4
_TELEPHONE = re.compile(r"\b(?:телефон|мой номер|phone|my number)\b")
_EMAIL = re.compile(
    r"\S+@\S+\.\w{2,}|\b(?:собака|at|эт)\b.*\b(?:точка|dot)\s+(?:ру|ком|нет|рф|орг|ru|com|net|org|edu|gov|io|uk|co|de)\b"
    r"|\b(?:собака|at|эт)\b.*\w\.(?:ru|com|net|org|edu|gov|io|uk|de)\b"
)
_EMAIL_BEGUN = re.compile(r"@|(?:почта|e-?mail|имейл|мейл)\b.*\b(?:собака|точка|at|dot)\b")


@dataclass(frozen=True, slots=True)
class Digits:
    """The digits that a text ends with."""

    count: int
    groups: int
    """How many numbers the caller said them in: "девятьсот шестнадцать, пять" has two."""
    first: str
    """The word or figure that contains the first of them."""


def digits_at_end(text: str) -> Digits:
    """The digits that the text ends with, in words or in figures."""
    count = groups = 0
    first, end = "", len(text)
    for group in reversed(digit_groups(text)):
        if not _SKIPPED.issuperset(heard_words(text[group.end : end].replace("+", " "))):
            break
        count, groups, end = count + len(group.digits), groups + 1, group.start
        first = heard_words(text[group.start : group.end])[0]
    return Digits(count, groups, first)


def letters_at_end(text: str) -> int:
    """How many single letters the text ends with: "И вэ а", "J O H" and "J-O-H" have three."""
    words = heard_words(text)
    are_letters = [(len(word) == 1 and not word.isdecimal()) or word in _LETTERS for word in reversed(words)]
    return are_letters.index(False) if False in are_letters else len(words)


def has_email(text: str) -> bool:
    """Whether the text contains a whole e-mail address, written or spoken."""
    return bool(_EMAIL.search(text.lower()))


def has_begun_email(text: str) -> bool:
    """Whether the text announces an e-mail address and contains an at sign or a dot of it."""
    return bool(_EMAIL_BEGUN.search(text.lower()))


def is_date_with_year(text: str, digits: Digits) -> bool:
    """Whether the text ends in a month and a year: "the fifth of May nineteen eighty-two", "5 мая 1982"."""
    return digits.count == _DIGITS_OF_A_YEAR and bool(_MONTH.search(text.lower()))


def ends_in_a_month(text: str) -> bool:
    """Whether the text ends in the month of a date, or in its day after the month: the year follows."""
    return bool(_MONTH_LAST.search(text.lower()))


def is_flat(text: str, digits: Digits) -> bool:
    """Whether the text ends in the number of a flat, the last part of an address."""
    return 0 < digits.count <= _DIGITS_OF_A_FLAT and bool(_FLAT.search(text.lower()))


def announces_telephone(text: str) -> bool:
    """Whether the caller says that a telephone number follows."""
    return bool(_TELEPHONE.search(text.lower()))
