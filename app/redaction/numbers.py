"""Which digits are a card number or a telephone number."""

from collections.abc import Iterable
from functools import lru_cache

from phonenumbers import SUPPORTED_REGIONS, NumberParseException, is_valid_number, parse, region_code_for_number

CARD_DIGITS = range(13, 20)
PHONE_DIGITS = range(8, 16)
_RUSSIAN = 11
_REGIONS = {"ru": ("RU",), "en": ("US", "GB"), "kk": ("KZ",), "uk": ("UA",), "be": ("BY",)}
"""Where people say numbers without the code of the country, by their language."""
_KEPT = 4096
_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))
"""The sum of the digits of twice a digit."""


def is_card(digits: str) -> bool:
    """Whether a card may have this number: 13 to 19 digits with a right check digit (Luhn)."""
    if len(digits) not in CARD_DIGITS or not digits.strip("0"):
        return False
    return (sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


@lru_cache(maxsize=_KEPT)
def is_phone(digits: str, regions: tuple[str, ...], *, is_international: bool = False) -> bool:
    """Whether it is a number that may be assigned: in one of the regions, or with the code of its country."""
    if len(digits) not in PHONE_DIGITS:
        return False
    if is_international:
        return _is_valid(f"+{digits}", None)
    if len(digits) == _RUSSIAN and digits[0] in "78" and _is_valid(f"+7{digits[1:]}", None):
        return True
    with_code = len(digits) >= _RUSSIAN and _is_valid(f"+{digits}", None)
    return with_code or any(_is_valid(digits, region) for region in regions)


def regions_of(languages: Iterable[str], numbers: Iterable[str]) -> tuple[str, ...]:
    """The regions in which callers say numbers without a country's code: of the languages, and of our own numbers."""
    of_languages = [region for code in languages for region in _REGIONS.get(code, (code.upper(),))]
    of_numbers = [region for number in numbers if (region := _region(number)) is not None]
    known = tuple(region for region in dict.fromkeys([*of_numbers, *of_languages]) if region in SUPPORTED_REGIONS)
    for region in known:  # reads the tables of the region now, not during a call
        _is_valid("5550100", region)
    return known


def _region(number: str) -> str | None:
    try:
        return region_code_for_number(parse(f"+{number.strip('+* ')}", None))
    except NumberParseException:
        return None


def _is_valid(number: str, region: str | None) -> bool:
    try:
        return is_valid_number(parse(number, region))
    except NumberParseException:
        return False
