"""Numbers and dates as they are read aloud in languages other than Russian and English: num2words' and CLDR's rules.

What these do not know stays as it is written, and the voice reads it by its own rules. So does a number beside a sign
such as € or %, and one before a full stop: it may be an ordinal, as in German.
"""

import re
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import NumberFormatError, parse_decimal
from num2words import num2words

from app.speech_text.mapped_text import Rule

_DATE = re.compile(r"(?<![\w.,:/+-])(\d{4})-(\d{2})-(\d{2})(?![\w:/+-]|[.,]\d)")
_NUMBER = re.compile(
    r"(?<![\w.,:/+€$£#№-])(?<![\d€$£#№]\s)(?:\d{1,3}(?:[\s\u00a0\u202f]\d{3})+(?:,\d{1,3})?|\d{1,15}(?:[.,]\d{1,3}){0,5})"
    r"(?![\w:/+-]|[.,]\d|\.\s|\s\d|\s?[%‰°€$£₽])"
)
_GAP = re.compile(r"[\s\u00a0\u202f]")
_NO_NUMBER = re.compile(r"0\d")


@cache
def rules(language: str) -> tuple[Rule, ...]:
    """The rules for that language code; none if it is not known."""
    try:
        Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return ()
    return (
        (_DATE, lambda found: _date(found[0], language)),
        (_NUMBER, lambda found: _number(found[0], language)),
    )


@lru_cache(4096)
def _number(written: str, language: str) -> str:
    if _NO_NUMBER.match(written):  # a code or a telephone number
        return written
    try:
        number = parse_decimal(_GAP.sub("", written), locale=language, strict=not _GAP.search(written))
        return str(num2words(_plain(number), lang=language))
    except (NumberFormatError, NotImplementedError, OverflowError, ValueError, TypeError, KeyError, IndexError):
        return written


def _plain(number: Decimal) -> Decimal | int:
    return int(number) if number == number.to_integral_value() else number


def _date(written: str, language: str) -> str:
    try:
        return format_date(date.fromisoformat(written), "long", locale=language)
    except ValueError:
        return written
