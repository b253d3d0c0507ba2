"""Groups of digits in a text: in figures, or in Russian or English words as they are dictated.

::

    "card 4276, сорок два double five"  -->  "4276"  "42"  "55", each with its place
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


def words(listed: str) -> frozenset[str]:
    """The words of a list with spaces between them."""
    return frozenset(listed.split())


def _counted(listed: str, first: int = 1, step: int = 1) -> dict[str, int]:
    """The numbers of words: one after the other, or several forms of the same number joined by ``/``."""
    numbered = enumerate(listed.split())
    return {form: first + index * step for index, forms in numbered for form in forms.split("/")}


_ZEROS = words("ноль нуль ноля нуля нолей нулей zero zeros oh o nought")
_REPEATED_ZEROS = words("ноля нуля нолей нулей zeros")
"""After a small number they are repeated: "два нуля", "three zeros"."""
_UNITS: Mapping[str, int] = {
    **_counted("один/одна/одну/одно/единица два/две/двойка три/тройка четыре пять шесть семь восемь девять"),
    **_counted("one two three four five six seven eight nine"),
}
_TEENS: Mapping[str, int] = {
    **_counted(
        "десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать "
        "девятнадцать",
        10,
    ),
    **_counted("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10),
}
_TENS: Mapping[str, int] = {
    **_counted("двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто", 20, 10),
    **_counted("twenty thirty forty/fourty fifty sixty seventy eighty ninety", 20, 10),
}
_HUNDREDS: Mapping[str, int] = _counted(
    "сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот", 100, 100
)
_HUNDRED = "hundred"
_THOUSAND = words("тысяча тысячи тысяч тысячу thousand")
_REPEATS: Mapping[str, int] = {"double": 2, "triple": 3, "дважды": 2, "трижды": 3}

NUMBER_WORDS = frozenset(
    {*_ZEROS, *_UNITS, *_TEENS, *_TENS, *_HUNDREDS, _HUNDRED, *_THOUSAND, *_REPEATS} - {"o", "oh", "единица"}
)
_READ = NUMBER_WORDS | _ZEROS | _UNITS.keys() | {"and"}
_A_MOMENT = re.compile(r"(?:one|одну|один) (?:moment|second|sec|minute|момент|секунд|минут)", re.IGNORECASE)
_CERTAIN = 13
"""So many figures are a number whatever they touch: no card has fewer."""
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_BETWEEN_WORDS = re.compile(r"[\s-]*")
"""Within one number there is no comma: "сорок, два" are two."""


@dataclass(frozen=True, slots=True)
class DigitGroup:
    """Digits that were said or written as one number, and their place in the text."""

    start: int
    end: int
    digits: str
    is_written: bool
    """In figures, not in words."""


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    word: str
    """In lower case."""


def digit_groups(text: str) -> list[DigitGroup]:
    """The groups in their order. Figures within a word, as in ``a1b2``, are none."""
    tokens = [
        _Token(found.start(), found.end(), word)
        for found in _TOKEN.finditer(text)
        if (word := found[0].lower()) in _READ or word.isdecimal()
    ]
    return _Reader(text, tokens).groups() if tokens else []


class _Reader:
    """Goes once through the words of a text that are of numbers."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text, self._tokens = text, tokens
        self._first = 0
        """The first word of the number that is read."""

    def groups(self) -> list[DigitGroup]:
        found: list[DigitGroup] = []
        index = 0
        while index < len(self._tokens):
            token = self._tokens[index]
            if token.word[0].isdecimal():
                if self._stands_alone(token):
                    digits = "".join(str(int(letter)) for letter in token.word)
                    found.append(DigitGroup(token.start, token.end, digits, is_written=True))
                index += 1
            else:
                digits, after = self._spoken(index)
                if digits and self._stands_alone(token):
                    found.append(DigitGroup(token.start, self._tokens[after - 1].end, digits, is_written=False))
                index = after
        return found

    def _stands_alone(self, token: _Token) -> bool:
        """Whether no letter touches it, as in a hash or a name: ``x42``, ``42nd``. Of so many figures it may."""
        before, after = self._text[token.start - 1 : token.start], self._text[token.end : token.end + 1]
        if token.end - token.start >= _CERTAIN:
            return True
        return not (before.isalnum() or after.isalnum() or _A_MOMENT.match(self._text, token.start))

    def _spoken(self, index: int) -> tuple[str, int]:
        """The digits of the number whose first word is at ``index``, and where the next one begins."""
        self._first = index
        word = self._word(index)
        if word in _REPEATS:
            repeated = self._single_digit(index + 1)
            return (repeated * _REPEATS[word], index + 2) if repeated else ("", index + 1)
        if word in _ZEROS:
            return "0", index + 1
        if word in _UNITS and self._word(index + 1) in _REPEATED_ZEROS:
            return "0" * _UNITS[word], index + 2
        value, after = self._below_thousand(index)
        if self._word(after) in _THOUSAND and after > index:
            rest, end = self._below_thousand(after + 1)
            return str(value * 1000 + rest), end
        if word in _THOUSAND:
            rest, end = self._below_thousand(index + 1)
            return str(1000 + rest), end
        return (str(value), after) if after > index else ("", index + 1)

    def _below_thousand(self, index: int) -> tuple[int, int]:
        """A number from 1 to 999; 0, and the same place, when there is none."""
        word = self._word(index)
        if word in _HUNDREDS:
            rest, after = self._below_hundred(index + 1)
            return _HUNDREDS[word] + rest, after
        value, after = self._below_hundred(index)
        if value and self._word(after) == _HUNDRED:
            after += 1
            rest, end = self._below_hundred(after + (self._word(after) == "and"))
            return (value * 100 + rest, end) if rest else (value * 100, after)
        return value, after

    def _below_hundred(self, index: int) -> tuple[int, int]:
        word = self._word(index)
        if word in _TENS:
            unit = _UNITS.get(self._word(index + 1), 0)
            if self._word(index + 2) in _REPEATED_ZEROS:  # "сорок два нуля" is 40 00
                unit = 0
            return _TENS[word] + unit, index + (2 if unit else 1)
        value = _TEENS.get(word) or _UNITS.get(word, 0)
        return value, index + (1 if value else 0)

    def _single_digit(self, index: int) -> str:
        word = self._word(index)
        if word in _ZEROS:
            return "0"
        return str(_UNITS[word]) if word in _UNITS else word if len(word) == 1 and word.isdecimal() else ""

    def _word(self, index: int) -> str:
        """The word there, if it is the first one or only a space or a hyphen is before it; else empty."""
        if index >= len(self._tokens):
            return ""
        token = self._tokens[index]
        if index == self._first:
            return token.word
        return token.word if _BETWEEN_WORDS.fullmatch(self._text[self._tokens[index - 1].end : token.start]) else ""
