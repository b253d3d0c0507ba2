"""Russian numbers and nouns as words, in gender, number and case."""

import re
from dataclasses import dataclass
from functools import lru_cache

from num2words import num2words

NOMINATIVE, GENITIVE, DATIVE, ACCUSATIVE, INSTRUMENTAL, PREPOSITIONAL = "ngdaip"
_LONGEST_NUMBER_DIGITS = 15
_LONGEST_FRACTION_DIGITS = 4


@lru_cache(4096)
def cardinal(number: int, gender: str = "m", case: str = NOMINATIVE) -> str:
    """ "двадцать одна" for (21, "f"); the accusative is that of things, not of persons."""
    return str(num2words(number, lang="ru", gender=gender, case=case, animate=False))


@lru_cache(4096)
def ordinal(number: int, gender: str = "m", case: str = NOMINATIVE, *, plural: bool = False) -> str:
    """ "двенадцатое" for (12, "n"), "девяностых" for the plural genitive of 90."""
    return str(num2words(number, lang="ru", to="ordinal", gender=gender, case=case, plural=plural, animate=False))


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun beside a number: "одна минута, две минуты, пять минут"."""

    gender: str
    one: str
    few: str
    many: str

    def beside(self, number: int, case: str = NOMINATIVE) -> str:
        """The form of the noun beside a whole number in ``case``."""
        single = number % 10 == 1 and number % 100 != 11
        if self.one == self.few:
            return self.one
        if case in (NOMINATIVE, ACCUSATIVE):
            if single:
                return self._accusative() if case == ACCUSATIVE else self.one
            return self.few if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else self.many
        if case == GENITIVE or self.few.split(" ")[0][-1] not in "аяыи":
            return self.few if single else self.many
        return self._oblique_singular(case) if single else self._oblique_plural(case)

    def _accusative(self) -> str:
        head, *tail = self.one.split(" ")
        return " ".join([head[:-1] + {"а": "у", "я": "ю"}[head[-1]], *tail]) if self.gender == "f" else self.one

    def _oblique_plural(self, case: str) -> str:
        head, *tail = (self.one if self.gender == "f" else self.few).split(" ")
        return " ".join([head + {DATIVE: "м", INSTRUMENTAL: "ми", PREPOSITIONAL: "х"}[case], *tail])

    def _oblique_singular(self, case: str) -> str:
        if self.gender == "f":
            head, *tail = self.one.split(" ")
            instrumental = "ей" if head[-2] in "жшчщц" else "ой"
            return " ".join([head[:-1] + (instrumental if case == INSTRUMENTAL else "е"), *tail])
        head, *tail = self.few.split(" ")
        endings = {"а": ("у", "ом", "е"), "я": ("ю", "ём", "е")}[head[-1]]
        return " ".join([head[:-1] + endings[(DATIVE, INSTRUMENTAL, PREPOSITIONAL).index(case)], *tail])


def number_words(number: str, gender: str = "m", case: str = NOMINATIVE) -> str:
    """A written number, grouped or with a decimal part, as words: "1 500" or "3,5"; too long ones digit by digit."""
    whole, _, fraction = re.sub(r"\s", "", number).replace(",", ".").partition(".")
    if fraction:
        return _decimal(whole, fraction, case)
    if len(whole) > _LONGEST_NUMBER_DIGITS or (whole[0] == "0" and whole != "0"):
        return grouped_digits(whole)
    return cardinal(int(whole), gender, case)


def _decimal(whole: str, fraction: str, case: str) -> str:
    if len(fraction) > _LONGEST_FRACTION_DIGITS or len(whole) > _LONGEST_NUMBER_DIGITS:
        return f"{number_words(whole)} и {grouped_digits(fraction)} после запятой"
    case = GENITIVE if case == GENITIVE else NOMINATIVE
    number, numerator = int(whole), int(fraction)
    whole_single, single = (value % 10 == 1 and value % 100 != 11 for value in (number, numerator))
    single_integer = "целая" if case == NOMINATIVE else "целой"
    integer = single_integer if whole_single else "целых"
    share = ordinal(10 ** len(fraction), "f", case if single else GENITIVE, plural=not single)
    return f"{cardinal(number, 'f', case)} {integer} {cardinal(numerator, 'f', case)} {share}"


def grouped_digits(digits: str) -> str:
    """Digits as a telephone number is read, in groups of two and three: "девятьсот девяносто девять, ноль пять"."""
    return ", ".join(map(group_words, groups_of(digits)))


def groups_of(digits: str) -> list[str]:
    """Threes, and the last four as two and two."""
    parts = []
    while len(digits) > 4:
        parts.append(digits[:3])
        digits = digits[3:]
    return [*parts, digits[:2], digits[2:]] if len(digits) == 4 else [*parts, digits]


def group_words(part: str) -> str:
    """One group as a number, with the zeros before it: "ноль пять"."""
    zeros = len(part) - len(part.lstrip("0"))
    words = ["ноль"] * zeros + ([cardinal(int(part))] if zeros < len(part) else [])
    return " ".join(words)
