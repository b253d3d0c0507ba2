"""How an English voice reads numbers, money, dates, times, telephone numbers, units and signs."""

import re
from functools import lru_cache

from num2words import num2words

from app.speech_text.mapped_text import (
    DIGITS,
    UNSPOKEN,
    AddressWords,
    Part,
    Rule,
    address_rules,
    after,
    always,
    apart,
    before,
    comparison_rules,
    in_groups,
    one_of,
    slash_rules,
    stop_of,
)

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHORT_MONTHS = {month[:3]: month for month in _MONTHS} | {"Sept": "September"}
_CURRENCIES: dict[str, tuple[str, str, tuple[str, str] | None]] = {
    "$": ("dollar", "dollars", ("cent", "cents")),
    "€": ("euro", "euros", ("cent", "cents")),
    "£": ("pound", "pounds", ("penny", "pence")),
    "¥": ("yen", "yen", None),
    "₽": ("ruble", "rubles", ("kopeck", "kopecks")),
    "₸": ("tenge", "tenge", None),
}
_CURRENCY_NAMES = {"USD": "$", "EUR": "€", "GBP": "£", "RUB": "₽"} | {sign: sign for sign in _CURRENCIES}
_SCALES = {
    "k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion", "thousand": "thousand",
    "million": "million", "billion": "billion",
}  # fmt: skip
_UNITS: dict[str, tuple[str, str]] = {
    "%": ("percent", "percent"), "°": ("degree", "degrees"), "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"), "kg": ("kilogram", "kilograms"), "g": ("gram", "grams"),
    "mg": ("milligram", "milligrams"), "km/h": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"), "km": ("kilometer", "kilometers"), "m": ("meter", "meters"),
    "cm": ("centimeter", "centimeters"), "mm": ("millimeter", "millimeters"), "mi": ("mile", "miles"),
    "ft": ("foot", "feet"), "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"),
    "ml": ("milliliter", "milliliters"), "l": ("liter", "liters"), "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"), "sec": ("second", "seconds"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"),
    "h": ("hour", "hours"), "GB": ("gigabyte", "gigabytes"), "MB": ("megabyte", "megabytes"),
    "Mbps": ("megabit per second", "megabits per second"), "kW": ("kilowatt", "kilowatts"), "W": ("watt", "watts"),
    "¢": ("cent", "cents"), "m2": ("square meter", "square meters"), "sq ft": ("square foot", "square feet"),
}  # fmt: skip
_UNIT_ALIASES = {"℃": "°C", "℉": "°F", "° C": "°C", "° F": "°F"}
_PER = {
    "month": "month", "mo": "month", "year": "year", "yr": "year", "day": "day", "week": "week", "wk": "week",
    "hour": "hour", "hr": "hour", "h": "hour", "min": "minute", "minute": "minute", "person": "person",
    "kg": "kilogram", "km": "kilometer", "m": "meter", "unit": "unit", "user": "user", "night": "night",
}  # fmt: skip
_ABBREVIATIONS = {
    "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus", "approx.": "approximately",
    "ext.": "extension", "ref.": "reference", "vol.": "volume", "fig.": "figure", "n/a": "not available",
    "w/o": "without",
}  # fmt: skip
_BEFORE_A_YEAR = re.compile(
    r"\b(?:in|since|by|until|till|from|of|year|before|after|around|circa|q[1-4]|(?:from|between) \d{4} (?:to|and)) \Z",
    re.IGNORECASE,
)
_LONGEST_NUMBER_DIGITS = 15
_SHORT_AMOUNT_DIGITS = 2
"""Up to this many digits of dollars need no "and" before the cents: "three dollars fifty cents"."""
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


@lru_cache(4096)
def cardinal(number: int) -> str:
    """ "One thousand five hundred", without the commas that would be pauses."""
    return str(num2words(number, lang="en")).replace(",", "")


@lru_cache(4096)
def ordinal(number: int) -> str:
    """ "Twenty-second"."""
    return str(num2words(number, lang="en", to="ordinal")).replace(",", "")


@lru_cache(512)
def year_words(number: int) -> str:
    """ "Twenty twenty-six", "two thousand and five"."""
    return str(num2words(number, lang="en", to="year"))


def digit_by_digit(digits: str) -> str:
    """ "Five five five"."""
    return " ".join(cardinal(int(digit)) for digit in digits)


def grouped_digits(digits: str) -> str:
    """Digits one by one, in threes with the last four together, as a telephone number is read."""
    return ", ".join(map(digit_by_digit, groups_of(digits)))


def groups_of(digits: str) -> list[str]:
    """Threes, and the last four together."""
    parts = []
    while len(digits) > 4:
        parts.append(digits[:3])
        digits = digits[3:]
    return [*parts, digits]


def number_words(number: str) -> str:
    """A written number, grouped or with a decimal part, as words: "1,500" or "3.5"; too long ones digit by digit."""
    whole, _, fraction = re.sub(r"[\s,]", "", number).partition(".")
    if len(whole) > _LONGEST_NUMBER_DIGITS or (whole[0] == "0" and whole != "0"):
        words = grouped_digits(whole)
    else:
        words = cardinal(int(whole))
    return f"{words} point {digit_by_digit(fraction)}" if fraction else words


def _abbreviation(match: re.Match[str]) -> str:
    words = _ABBREVIATIONS[match.group().lower()]
    return words + (stop_of(match) if words == "et cetera" else "")


_WEEKDAYS = {
    **dict.fromkeys(["Mon"], "Monday"), **dict.fromkeys(["Tue", "Tues"], "Tuesday"), "Wed": "Wednesday",
    **dict.fromkeys(["Thu", "Thur", "Thurs"], "Thursday"), "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
_ALSO_WORDS = ("Sat", "Sun")
"""Days only beside another day, a time, or a mark of a list."""
_DAY_FOLLOWS = re.compile(
    rf"\A(?:[:)]|\.?,? ?(?:[-–—/&]|and|or|to|at|from|through) ?(?:\d|{one_of(_WEEKDAYS)})"
    rf"|\.?,? (?:\d|(?:{one_of(_WEEKDAYS)})\b)|\.? (?:morning|afternoon|evening|night)\b)"
)
_DAY_BEFORE = re.compile(
    rf"(?:\b(?:{one_of(_WEEKDAYS)}|{one_of(_WEEKDAYS.values())})\.?(?:, ?| ?[-–—/&] ?| (?:and|or|to|through) )"
    r"|\b(?:on|every|each|next|last|this|until|till|by|open|closed) )\Z",
    re.IGNORECASE,
)


def _weekdays(match: re.Match[str]) -> str:
    return f"{_WEEKDAYS[match.group(1)]} to {_WEEKDAYS[match.group(2)]}"


def _weekday(match: re.Match[str]) -> str:
    name = match.group(1)
    if name in _ALSO_WORDS and not _DAY_FOLLOWS.match(after(match)) and not _DAY_BEFORE.search(before(match)):
        return match.group()
    return _WEEKDAYS[name] + stop_of(match)


# Telephone numbers and codes


def _phone(match: re.Match[str]) -> str | list[Part]:
    groups = re.findall(r"\d+", match.group())
    digits = "".join(groups)
    if len(digits) < 7:
        return match.group()
    if len(groups) == 1 and len(digits) == 11:
        groups = [digits[0], digits[1:]]
    parts = [part for group in groups for part in groups_of(group)]
    return in_groups(match, parts, digit_by_digit, sign="plus " if match.group().startswith("+") else "")


def _long_number(match: re.Match[str]) -> str | list[Part]:
    digits = match.group()
    return digits if digits.endswith("000") else _code(match)


def _code(match: re.Match[str]) -> list[Part]:
    return in_groups(match, [part for group in match.group().split() for part in groups_of(group)], digit_by_digit)


_AFTER_CODE_WORD = re.compile(
    r"\b(?:(?:code|pin|zip|cvv|cvc|passcode|password|otp|account number|postcode)(?: code)?(?: is|:)?"
    r"|ending (?:in|with)|last four(?: digits)?) \Z",
    re.IGNORECASE,
)


def _digits_of_code(match: re.Match[str]) -> str | list[Part]:
    """Digits after a word such as "code" are no amount; nor are those of "A-1045"."""
    text = before(match)
    return _code(match) if _AFTER_CODE_WORD.search(text) or _LETTER_CODE.search(text) else match.group()


_LETTER_CODE = re.compile(
    r"(?<![\w'’])[B-HJ-Z] \Z|(?<![\w'’-])(?:order|ticket|case|code|number|reference|room|gate|seat) [A-Z] \Z",
    re.IGNORECASE,
)


def _feet(match: re.Match[str]) -> str:
    feet, inches = match.groups()
    return f"{cardinal(int(feet))} {'foot' if feet == '1' else 'feet'} {cardinal(int(inches))}"


def _dotted(match: re.Match[str]) -> str:
    return apart(match, " point ".join(number_words(part) for part in match.group().split(".")))


# Dates and times


def _month(name: str) -> str:
    return _SHORT_MONTHS.get(name[:3].title(), name)


def _month_day(match: re.Match[str]) -> str:
    """ "March 12, 2026" and "March 12th"."""
    month, day, year = match.groups()
    if not 1 <= int(day) <= 31:
        return match.group()
    return f"{_month(month)} {ordinal(int(day))}" + (f", {year_words(int(year))}" if year else "")


def _day_month(match: re.Match[str]) -> str:
    """ "12 March 2026" and "the 12th of March"."""
    day, month, year = match.groups()
    if not 1 <= int(day) <= 31:
        return match.group()
    article = "" if before(match).lower().endswith("the ") else "the "
    return f"{article}{ordinal(int(day))} of {_month(month)}" + (f", {year_words(int(year))}" if year else "")


def _numeric_date(match: re.Match[str]) -> str:
    """Year first, day.month.year, and month/day/year (day/month where that cannot be)."""
    parts = match.groupdict()
    day, month, year = int(parts["d"]), int(parts["m"]), int(parts["y"])
    if month > 12 >= day:
        day, month = month, day
    if not (1 <= day <= 31 and 1 <= month <= 12 and year):
        return match.group()
    year += 2000 if year < 100 else 0
    return f"{_MONTHS[month - 1]} {ordinal(day)}, {year_words(year)}"


def _year(match: re.Match[str]) -> str:
    return year_words(int(match.group())) if _BEFORE_A_YEAR.search(before(match)) else match.group()


def _decade(match: re.Match[str]) -> str:
    number = int(match.group(1))
    words = year_words(number) if number > 99 else cardinal(number)
    return words.removesuffix("y") + "ies" if words.endswith("y") else words + "s"


def _clock(hour: str, minute: str | None, half: str | None) -> str:
    """ "Ten thirty", "ten oh five", "ten o'clock", "eighteen hundred", "five p.m."."""
    suffix = {"a": " a.m.", "p": " p.m."}.get((half or "").lower()[:1], "")
    number, minutes = int(hour), int(minute or 0)
    if minutes:
        return f"{cardinal(number)} {'oh ' if minutes < 10 else ''}{cardinal(minutes)}{suffix}"
    if suffix:
        return cardinal(number) + suffix
    if number == 0:
        return "midnight"
    return cardinal(number) + (" hundred" if number > 12 else " o'clock")


def _before_a_stop(match: re.Match[str], words: str) -> str:
    """One full stop where "p.m." ends the sentence."""
    return words[:-1] if words.endswith(".") and after(match).startswith(".") else words


def _time(match: re.Match[str]) -> str:
    hour, minute, half = match.groups()
    return _before_a_stop(match, _clock(hour, minute, half))


def _times(match: re.Match[str]) -> str:
    first_hour, first_minute, first_half, hour, minute, half = match.groups()
    words = f"{_clock(first_hour, first_minute, first_half or half)} to {_clock(hour, minute, half)}"
    return _before_a_stop(match, words)


# Numbers with what they count


def _fraction(match: re.Match[str]) -> str:
    upper, lower = int(match.group(1)), int(match.group(2))
    if (upper, lower) == (24, 7):
        return "twenty-four seven"
    if not 0 < upper < lower <= 10:
        return f"{number_words(match.group(1))} slash {number_words(match.group(2))}"
    one, many = _DENOMINATORS.get(lower, (ordinal(lower), ordinal(lower) + "s"))
    return f"{cardinal(upper)} {one if upper == 1 else many}"


def _ordinal(match: re.Match[str]) -> str:
    return apart(match, ordinal(int(match.group(1))))


def _money(number: str, currency: str) -> str | None:
    """Units and hundredths; None when the number has not one or two decimals."""
    one, many, hundredth = _CURRENCIES[currency]
    whole, _, decimals = number.partition(".")
    if hundredth is None or len(decimals) not in (1, 2):
        return None
    units = f"{number_words(whole)} {one if whole == '1' else many}"
    cents = int(decimals.ljust(2, "0"))
    if not cents:
        return units
    hundredths = f"{cardinal(cents)} {hundredth[0] if cents == 1 else hundredth[1]}"
    if whole == "0":
        return hundredths
    return f"{units}{' and' if len(whole) > _SHORT_AMOUNT_DIGITS else ''} {hundredths}"


def _amount(low: str, high: str | None, scale: str, currency: str | None, unit: str | None) -> str:
    if currency and not (high or scale) and (money := _money(low, currency)):
        return money
    forms = _CURRENCIES[currency][:2] if currency else _UNITS.get(unit or "", ("", ""))
    single = low == "1" and not (high or scale)
    words = number_words(low) + (f" to {number_words(high)}" if high else "")
    return " ".join(filter(None, [words, scale, forms[0] if single else forms[1]]))


def _quantity(match: re.Match[str]) -> str:
    """A number or a range with its sign, scale, currency or unit."""
    parts = match.groupdict()
    unit = parts["unit"]
    currency = _CURRENCY_NAMES.get((parts["mark"] or unit or "").strip())
    unit = _UNIT_ALIASES.get(unit, unit)
    words = _amount(parts["low"], parts["high"], _SCALES.get(parts["scale"] or "", ""), currency, unit)
    minus = "minus " if parts["sign"] else ""
    per = " per " + _PER[parts["per"]] if parts["per"] else ""
    return apart(match, minus + words + per + stop_of(match))


_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d+(?!\.?\d))?"
_MONTH = one_of([*_MONTHS, *_SHORT_MONTHS])
_SIGNS = one_of([*_CURRENCIES, "USD", "EUR", "GBP", "RUB"])
_UNIT = one_of([*_UNITS, *_UNIT_ALIASES, *_CURRENCY_NAMES])
_HALF = r"(?: ?([ap]\.m\.|[ap]m)(?!\w))"
_HOUR, _MINUTE = r"([01]?\d|2[0-3])", r"([0-5]\d)"

_SCALE = r"thousand|million|billion|(?(mark)(?:bn|[kKMB])|(?!))"
"""A letter is a scale only in money: "$10k", but "B2B"."""

_QUANTITY = re.compile(
    rf"(?P<sign>(?<![\w)])[-−])?(?P<mark>(?:{_SIGNS}) ?)?(?P<low>{_NUMBER})"
    rf"(?: ?[-–—] ?(?:{_SIGNS})?(?P<high>{_NUMBER})(?!-\d))?(?: ?(?P<scale>{_SCALE})(?!\w))?"
    rf"(?: ?(?P<unit>{_UNIT})(?!\w)\.?)?(?:/(?P<per>{one_of(_PER)})(?!\w))?"
)

_ADDRESS_WORDS = AddressWords(
    at="at",
    dot="dot",
    slash="slash",
    dash="dash",
    underscore="underscore",
    plus="plus",
    number=digit_by_digit,
    domains={},
)

RULES: tuple[Rule, ...] = (
    DIGITS,
    *address_rules(_ADDRESS_WORDS),
    (re.compile(rf"(?<![\w.-])(?:{one_of(_ABBREVIATIONS)})(?!\w)", re.IGNORECASE), _abbreviation),
    (re.compile(rf"\b({one_of(_WEEKDAYS)})\.? ?[-–—] ?({one_of(_WEEKDAYS)})\b"), _weekdays),
    (re.compile(rf"(?<![\w'’-])({one_of(_WEEKDAYS)})(?![\w'’-])\.?"), _weekday),
    (re.compile(r"(?:№|#|\bNo\.) ?(?=\d)"), always("number ")),
    (re.compile(r"[~≈] ?(?=\d)"), always("about ")),
    (re.compile(r"± ?"), always("plus or minus ")),
    *comparison_rules(
        {"<": "is less than", ">": "is greater than", "≤": "is at most", "≥": "is at least", "≠": "is not equal to"}
    ),
    (re.compile(r"(?<=\d) ?[*×x] ?(?=\d)"), always(" by ")),
    (re.compile(r"\+\d[\d ()-]{5,20}\d(?!\d)"), _phone),
    (re.compile(r"(?<![\w.,-])(?:1[ -])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])"), _phone),
    (re.compile(r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])"), _phone),
    (re.compile(r"(?<![\w.,-])\d{4}(?: \d{4}){2,4}(?![\d.,]\d)"), _phone),
    (re.compile(r"(?<=\b[A-Z])-(?=\d{4,}(?![\w-]|[.,]\d))"), always(" ")),
    (re.compile(r"(?<![\w.,-])\d{3,}(?: \d{3,4})*(?![\w-]|[.,]\d)"), _digits_of_code),
    (re.compile(r"(?<![\w.,])(\d)['’′](\d{1,2})(?:[\"”″]|['’′]{2})(?!\w)"), _feet),
    (re.compile(r"(?<![\w.,-])(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?![\d-])"), _numeric_date),
    (re.compile(r"(?<![\d.,/-])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4}|\d{2})(?!\d|\.\d)"), _numeric_date),
    (re.compile(r"(?<![\d.,/-])(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4}|\d{2})(?![\d/])"), _numeric_date),
    (
        re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?:,? (\d{{4}})(?![\d:]))?(?![\w:]|[.,]\d)"),
        _month_day,
    ),
    (
        re.compile(rf"(?<![\w.,:-])(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b(?:,? (\d{{4}})(?![\d:]))?"),
        _day_month,
    ),
    (re.compile(r"(?<![\w.,:/$€£-])[12]\d{3}(?![\w:/%-]|[.,]\d)"), _year),
    (re.compile(r"(?<![\w.,])'?((?:1[1-9]|20)?[1-9]0|1[1-9]00)s\b"), _decade),
    (
        re.compile(
            rf"(?<![\w:.,]){_HOUR}:{_MINUTE}{_HALF}? ?[-–—] ?{_HOUR}:{_MINUTE}(?!\d){_HALF}?(?![:\d])", re.IGNORECASE
        ),
        _times,
    ),
    (
        re.compile(rf"(?<![\w:.,]){_HOUR}(?::{_MINUTE})?{_HALF}? ?[-–—] ?{_HOUR}(?::{_MINUTE})?{_HALF}", re.IGNORECASE),
        _times,
    ),
    (re.compile(rf"(?<![\w:.,]){_HOUR}:{_MINUTE}(?![\d:]){_HALF}?", re.IGNORECASE), _time),
    (re.compile(rf"(?<![\w:.,]){_HOUR}(?::{_MINUTE})?{_HALF}", re.IGNORECASE), _time),
    (re.compile(r"(?<![\d/.,])(\d{1,4})/(\d{1,4})(?![\d/]|[.,]\d)"), _fraction),
    (re.compile(r"(?<![\d.])\d{1,6}(?:\.\d{1,6}){2,}(?!\d|\.\d)"), _dotted),
    (re.compile(r"(?<![\d.,])(\d{1,6})(?:st|nd|rd|th)\b", re.IGNORECASE), _ordinal),
    (re.compile(r"(?<![\d.,-])(?<!\d )\d{7,}(?![\d.,]\d)(?! ?(?:" + _UNIT + r")(?!\w))"), _long_number),
    (_QUANTITY, _quantity),
    (re.compile(r"\d+"), lambda match: apart(match, number_words(match.group()))),
    *slash_rules(either="or", slash="slash"),
    (re.compile(r"№"), always("number")),
    (re.compile(r"&"), always(" and ")),
    (re.compile(r"@"), always(" at ")),
    (re.compile(r"="), always(" equals ")),
    (re.compile(r"\+"), always(" plus ")),
    (re.compile(r"%"), always(" percent ")),
    UNSPOKEN,
)
"""In this order: what has a shape of its own first, single numbers last."""
