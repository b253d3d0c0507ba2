"""How a Russian voice reads dates, years and times."""

import re

from app.speech_text.mapped_text import Rule, after, always, before, stop_of
from app.speech_text.russian.case import MONTHS, date_case, governed_case, last_word
from app.speech_text.russian.numbers import (
    ACCUSATIVE,
    DATIVE,
    GENITIVE,
    INSTRUMENTAL,
    NOMINATIVE,
    PREPOSITIONAL,
    cardinal,
    ordinal,
)
from app.speech_text.russian.units import HOUR

_MONTH = "|".join(MONTHS)
_HOURS, _MINUTES = r"([01]?\d|2[0-3])", r"([0-5]\d)"
_DAY = r"\d{1,2}(?:-?(?:го|е|ое))?"


def _day(day: int, case: str) -> str:
    return ordinal(day, "n", case)


def _numeric_date(match: re.Match[str]) -> str:
    parts = match.groupdict()
    day, month, year = int(parts["d"]), int(parts["m"]), int(parts["y"])
    if not (1 <= day <= 31 and 1 <= month <= 12 and year):
        return match.group()
    year += 2000 if year < 100 else 0
    case = date_case(before(match), after(match))
    return f"{_day(day, case)} {MONTHS[month - 1]} {ordinal(year, 'm', GENITIVE)} года{stop_of(match)}"


def _days_to_days(match: re.Match[str]) -> str:
    first, last = int(match.group(1)), int(match.group(2))
    governed = governed_case(before(match))
    if not (0 < first <= 31 and 0 < last <= 31):
        return match.group()
    if governed:
        case = NOMINATIVE if governed == ACCUSATIVE else governed
        return f"{_day(first, case)} — {_day(last, case)}"
    return f"с {_day(first, GENITIVE)} по {_day(last, NOMINATIVE)}"


_DATE_NOUN = re.compile(rf"(?:{_MONTH}|числ[оауе])\b", re.IGNORECASE)


def _day_of_month(match: re.Match[str]) -> str:
    day = int(match.group(1))
    named = _DATE_NOUN.search(after(match))
    if not named or not 1 <= day <= 31:
        return match.group()
    case = date_case(before(match), after(match)[named.end() :])
    if named.group() == "числа" and case == NOMINATIVE:
        case = GENITIVE
    return _day(day, case)


def _short_date(match: re.Match[str]) -> str:
    """ "С 20.07 по 03.08": a day and a month without a year, only after a preposition."""
    day, month = int(match.group(1)), int(match.group(2))
    word = last_word(before(match))
    if word not in _BEFORE_SHORT_DATE or not (1 <= day <= 31 and 1 <= month <= 12):
        return match.group()
    return f"{_day(day, date_case(before(match), after(match)))} {MONTHS[month - 1]}"


def _dotted_time(match: re.Match[str]) -> str:
    """ "В 11.00" and "до 18.30"; what may be a date is none after "в"."""
    hour, minute = int(match.group(1)), int(match.group(2))
    word = last_word(before(match))
    if word not in ("в", "к", "с", "до") or (word != "в" and 1 <= minute <= 12):
        return match.group()
    return _clock(hour, minute, governed_case(before(match)) or NOMINATIVE)


_BEFORE_SHORT_DATE = frozenset({"с", "со", "по", "до", "от", "к", "на", "после"})
_YEAR_CASES = {
    "год": (NOMINATIVE, "год"),
    "года": (GENITIVE, "года"),
    "годе": (PREPOSITIONAL, "годе"),
    "годом": (INSTRUMENTAL, "годом"),
}


def _year(match: re.Match[str]) -> str:
    year, noun = int(match.group(1)), match.group(2)
    word = last_word(before(match))
    if noun in _YEAR_CASES:
        case, noun = _YEAR_CASES[noun]
    elif word in MONTHS:
        case, noun = GENITIVE, "года"
    elif noun is None:
        return match.group()
    elif noun == "году" or word in {"в", "во", "к", "ко"}:
        case, noun = (DATIVE if word in {"к", "ко"} else PREPOSITIONAL), "году"
    else:
        case, noun = GENITIVE, "года"
    return f"{ordinal(year, 'm', case)} {noun}{stop_of(match)}"


_YEARS_CASES = {"годы": NOMINATIVE, "годов": GENITIVE, "годам": DATIVE, "годах": PREPOSITIONAL}


def _years(match: re.Match[str]) -> str:
    """ "В 2025-2026 гг." and "2025–2026 годы"."""
    first, last, noun = match.groups()
    if noun == "гг.":
        noun = "годах" if last_word(before(match)) == "в" else "годов"
    case = _YEARS_CASES[noun]
    return f"{ordinal(int(first), 'm', case)} — {ordinal(int(last), 'm', case)} {noun}{stop_of(match)}"


def _clock(hour: int, minute: int, case: str, *, bare: bool = False) -> str:
    if minute == 0:
        return cardinal(hour, "m", case) + ("" if bare else " " + HOUR.beside(hour, case))
    zero = "ноль " if minute < 10 else ""
    return f"{cardinal(hour, 'm', case)} {zero}{cardinal(minute, 'm', NOMINATIVE if zero else case)}"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match.group(1, 2, 3)
    if second:
        return " ".join(cardinal(int(part)) for part in (hour, minute, second))
    return _clock(int(hour), int(minute), governed_case(before(match)) or NOMINATIVE)


def _times(match: re.Match[str]) -> str:
    first_hour, first_minute, hour, minute = map(int, match.groups())
    return f"с {_clock(first_hour, first_minute, GENITIVE, bare=True)} до {_clock(hour, minute, GENITIVE)}"


_NO_UNIT = r"(?! ?(?:%|₽|\$|€|(?:кг|г|км|м|см|л|млн|млрд|тыс|руб|раз|час|процент)))"
"""What follows a decimal number, and neither a date nor a time."""

DATE_AND_TIME_RULES: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w.,-])(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?![\d-])"), _numeric_date),
    (
        re.compile(
            r"(?<![\d.,/-])(?P<d>\d{1,2})([./])(?P<m>\d{1,2})\2(?P<y>\d{4}|\d{2})(?!\d|[./]\d)(?: ?(?:года|г\.))?(?!\w)"
        ),
        _numeric_date,
    ),
    (re.compile(rf"(?<![\d.,:])(\d{{1,2}}) ?[-–—] ?(\d{{1,2}})(?= (?:{_MONTH})\b)", re.IGNORECASE), _days_to_days),
    (
        re.compile(
            rf"(?<![\w.,:-])(\d{{1,2}})(?:-?(?:го|е|ое))?"
            rf"(?=(?: ?(?:,|и|или|по|до) ?{_DAY}){{0,4}} (?:{_MONTH}|числ[оауе])\b)",
            re.IGNORECASE,
        ),
        _day_of_month,
    ),
    (re.compile(r"(?<![\w.,:/-])([12]\d{3}) ?[-–—] ?([12]\d{3}) ?(гг\.|год(?:ы|ов|ам|ах))(?!\w)"), _years),
    (re.compile(r"(?<![\w.,:/-])([12]\d{3})(?: ?(год(?:а|у|ом|е)?|г\.)(?!\w))?(?![\w:/]|[.,]\d)"), _year),
    (
        re.compile(rf"(?<![\w:.,]){_HOURS}\.{_MINUTES}(?![\w:]|[.,]\d){_NO_UNIT}"),
        _dotted_time,
    ),
    (
        re.compile(r"(?<![\d.,/-])(\d{2})\.(\d{2})(?![\d/-]|[.,]\d)(?! ?(?:%|кг|г|км|м|л|млн|млрд|тыс|руб|₽|\$|€))"),
        _short_date,
    ),
    (re.compile(rf"(?<![\w:.,]){_HOURS}:{_MINUTES} ?[-–—] ?{_HOURS}:{_MINUTES}(?![\w:])"), _times),
    (re.compile(rf"(?<![\w:.,]){_HOURS}:{_MINUTES}(?::{_MINUTES})?(?![\d:])(?: ?(?:часов|часа|ч\.?)(?!\w))?"), _time),
    (re.compile(r"(?<![\w:.,])1(?= (?:дня|ночи)\b)"), always("час")),
)
