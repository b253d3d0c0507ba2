"""Telephone numbers: one spelling for each, and the time of day where it is. Google's libphonenumber knows both."""

from datetime import tzinfo
from zoneinfo import ZoneInfo

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    is_possible_number,
    parse,
    region_code_for_number,
)

_UNKNOWN = "Etc/Unknown"


def same_spelling(number: str, home: str | None) -> str | None:
    """The number in E.164, such as ``+74951234567``; None if it is no telephone number.

    A number without its country's code is in the country of ``home``, one of our own numbers. Carriers also leave out
    the ``+``.
    """
    read = _read(number, _region(home)) or _read(f"+{number.lstrip('+')}", None)
    return None if read is None else format_number(read, PhoneNumberFormat.E164)


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
    read = _read(home, None) if home is not None else None
    return None if read is None else region_code_for_number(read)
