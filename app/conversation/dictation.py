"""What a caller dictates, as speech to text writes it: digits in words or figures, letters, e-mail addresses."""

import re
from dataclasses import dataclass

from app.conversation.echo_text import heard_words


def _words(*listed: str) -> frozenset[str]:
    return frozenset(word for words in listed for word in words.split())


_ZEROS = _words("ноль нуль zero oh")
_UNITS = _words(
    "один одна одну два две три четыре пять шесть семь восемь девять",
    "one two three four five six seven eight nine",
)
_TEENS = _words(
    "десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать",
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
)
_TENS = _words(
    "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
    "twenty thirty forty fifty sixty seventy eighty ninety",
)
_HUNDREDS = _words("сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот")
_SIZES = {
    **dict.fromkeys(_ZEROS | _UNITS, 1),
    **dict.fromkeys(_TEENS | _TENS, 2),
    **dict.fromkeys(_HUNDREDS, 3),
}
"""How many digits a word stands for, by itself."""
_REPEATS = {"double": 2, "triple": 3, "дважды": 2, "трижды": 3}
_SKIPPED = {"плюс", "plus", "эм", "э", "мм", "ну", "um", "uh", "er", "so", "и", "and"}
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
    first = ""
    words = heard_words(text.replace("+", " "))
    while words and words[-1] in _SKIPPED:
        words.pop()
    for index in range(len(words) - 1, -1, -1):
        size = _size(words, index)
        if size is None:
            break
        if size:
            count, first = count + size, words[index]
            groups += index == 0 or not _belong_together(words[index - 1], words[index])
    return Digits(count, groups, first)


def _size(words: list[str], index: int) -> int | None:
    """How many digits a word adds to those after it; None when it is not part of a number."""
    word, after = words[index], words[index + 1] if index + 1 < len(words) else ""
    if word.isdecimal():
        return len(word)
    if word in _REPEATS:
        return _REPEATS[word] - 1 if after in _ZEROS | _UNITS else None
    if word in _SKIPPED:
        return 0
    size = _SIZES.get(word)
    return size - _SIZES[after] if size and _belong_together(word, after) else size


def _belong_together(word: str, after: str) -> bool:
    """Whether two words are one number: "двадцать пять", but not "десять пять" or "двадцать ноль"."""
    if word in _TENS:
        return after in _UNITS
    return word in _HUNDREDS and after in _UNITS | _TEENS | _TENS


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
