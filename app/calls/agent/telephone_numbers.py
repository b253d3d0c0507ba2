"""Telephone numbers: one spelling for each, and the time of day where it is. Google's libphonenumber knows both."""

import re
from collections.abc import Iterable
from datetime import tzinfo
from zoneinfo import ZoneInfo

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    is_possible_number,
    parse,
    region_code_for_number,
)

_UNKNOWN = "Etc/Unknown"
_CODE_DIGITS_MAX = 3


def same_spelling(number: str, home: str | None) -> str | None:
    """The number in E.164, such as ``+74951234567``; None if it is no telephone number.

    A number without its country's code is in the country of ``home``, one of our own numbers or the beginning of some.
    Carriers also leave out the ``+``.
    """
    read = _read(number, _region(home)) or _read(f"+{number.lstrip('+')}", None)
    return None if read is None else format_number(read, PhoneNumberFormat.E164)


def same_beginning(written: str, home: str | None) -> str:
    """The first digits of numbers, with the country's code first: ``7495`` for ``+7 495``, and for ``8 495`` in Russia.

    ``home`` is as above. A beginning that carriers may have meant either way stays as it is written.
    """
    digits = "".join(filter(str.isdecimal, written))
    region = _region(home)
    country = PhoneMetadata.metadata_for_region(region) if region is not None else None
    if written.lstrip().startswith("+") or country is None:
        return digits
    code, abroad, at_home = str(country.country_code), country.international_prefix, country.national_prefix
    if abroad and (found := re.match(abroad, digits)):
        return digits[found.end() :]
    if at_home and digits.startswith(at_home) and not digits.startswith(code):
        return code + digits[len(at_home) :]
    return digits


def common_home(own_number: str | None, numbers: Iterable[str]) -> str | None:
    """A number of the country in which numbers without a country's code are.

    That is ``own_number``, else any of the numbers or beginnings written with ``+`` if all of those are in one country.
    """
    if own_number is not None:
        return own_number
    by_region = {_region(number): number for number in numbers if number.startswith("+")}
    return next(iter(by_region.values())) if len(by_region) == 1 else None


def time_zones(number: str) -> list[tzinfo]:
    """Every time zone that a number in E.164 may be in: all of a country's for a mobile number. Empty if unknown."""
    from phonenumbers.timezone import time_zones_for_number  # slow, because it reads a large table

    read = _read(number, None)
    names = time_zones_for_number(read) if read is not None else ()
    return [ZoneInfo(name) for name in names if name != _UNKNOWN]


def _read(number: str, region: str | None) -> PhoneNumber | None:
    try:
        read = parse(number, region)
    except NumberParseException:
        return None
    return read if is_possible_number(read) else None


def _region(home: str | None) -> str | None:
    if home is None:
        return None
    if (read := _read(home, None)) is not None:
        return region_code_for_number(read)
    digits = "".join(filter(str.isdecimal, home)) if home.startswith("+") else ""
    codes = (int(digits[:length]) for length in range(1, min(len(digits), _CODE_DIGITS_MAX) + 1))
    return next((regions[0] for code in codes if (regions := COUNTRY_CODE_TO_REGION_CODE.get(code))), None)
