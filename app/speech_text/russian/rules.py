"""How a Russian voice reads numbers, money, telephone numbers, units and signs; dates have a file of their own."""

import re

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
from app.speech_text.russian.case import counted_gender, counted_noun, governed_case, last_word
from app.speech_text.russian.dates import DATE_AND_TIME_RULES
from app.speech_text.russian.numbers import (
    ACCUSATIVE,
    DATIVE,
    GENITIVE,
    INSTRUMENTAL,
    NOMINATIVE,
    PREPOSITIONAL,
    Noun,
    cardinal,
    group_words,
    groups_of,
    number_words,
    ordinal,
)
from app.speech_text.russian.units import (
    ABBREVIATIONS,
    ABBREVIATIONS_BEFORE_NUMBER,
    CURRENCIES,
    CURRENCY_NAMES,
    PER,
    SCALES,
    UNIT_ALIASES,
    UNITS,
)

# Abbreviations and signs that do not count

_ENDS_OF_LISTS = frozenset({"так далее", "тому подобное"})


def _abbreviation(match: re.Match[str]) -> str:
    words = ABBREVIATIONS[match.group().lower()]
    return words + (stop_of(match) if words in _ENDS_OF_LISTS else "")


_WEEKDAYS = {
    "пн": Noun("m", "понедельник", "понедельника", "понедельников"),
    "вт": Noun("m", "вторник", "вторника", "вторников"), "ср": Noun("f", "среда", "среды", "сред"),
    "чт": Noun("m", "четверг", "четверга", "четвергов"), "пт": Noun("f", "пятница", "пятницы", "пятниц"),
    "сб": Noun("f", "суббота", "субботы", "суббот"),
    "вс": Noun("n", "воскресенье", "воскресенья", "воскресений"),
}  # fmt: skip
_WEEKDAY_CHAIN = re.compile(rf"(?:(?:{one_of(_WEEKDAYS)})\.?(?:, ?| и | или |/))+\Z", re.IGNORECASE)
_FROM_A_WEEKDAY = re.compile(rf"\bсо? (?:{one_of(_WEEKDAYS)})\.? по \Z", re.IGNORECASE)
_ACRONYMS = ("СБ", "ВС", "СР")
"""In capitals they are days only beside a time or a mark of a list."""
_TIME_OR_LIST_FOLLOWS = re.compile(r"\A(?:[:.]|,? ?[-–—/]? ?\d)")


def _weekdays(match: re.Match[str]) -> str:
    """ "Пн-пт" is "с понедельника по пятницу"."""
    first, last = (_WEEKDAYS[day.lower()] for day in match.groups())
    return f"с{'о' if first.one[:2] == 'вт' else ''} {first.few} по {last.beside(1, ACCUSATIVE)}"


def _weekday(match: re.Match[str]) -> str:
    """In the case that the preposition asks for, also further on in a list: "в ср и пт"."""
    name = match.group(1)
    if name in _ACRONYMS and not _TIME_OR_LIST_FOLLOWS.match(after(match)):
        return match.group()
    day = _WEEKDAYS[name.lower()]
    preposition = last_word(_WEEKDAY_CHAIN.sub("", before(match)))
    if preposition == "по" and not _FROM_A_WEEKDAY.search(before(match)):
        return day.beside(5, DATIVE) + stop_of(match)
    case = governed_case(f"{preposition} ") if preposition else None
    said = day.few if case == GENITIVE else day.beside(1, case or NOMINATIVE)
    return said + stop_of(match)


def _town(match: re.Match[str]) -> str:
    word = last_word(before(match))
    return {"в": "городе", "из": "города", "до": "города", "от": "города"}.get(word, "город")


def _before_number(match: re.Match[str]) -> str:
    return ABBREVIATIONS_BEFORE_NUMBER[match.group().lower()]


# Telephone numbers and codes


def _digits(match: re.Match[str], groups: list[str]) -> list[Part]:
    return in_groups(match, groups, group_words, sign="плюс " if match.group().startswith("+") else "")


def _phone_of_eleven(match: re.Match[str]) -> list[Part]:
    digits = re.sub(r"\D", "", match.group())
    return _digits(match, [digits[0], digits[1:4], digits[4:7], digits[7:9], digits[9:]])


def _phone(match: re.Match[str]) -> str | list[Part]:
    groups = re.findall(r"\d+", match.group())
    parts = [part for group in groups for part in groups_of(group)]
    return _digits(match, parts) if sum(map(len, groups)) >= 6 else match.group()


def _long_number(match: re.Match[str]) -> str | list[Part]:
    digits = match.group()
    return digits if digits.endswith("000") else _code(match)


def _code(match: re.Match[str]) -> list[Part]:
    return _digits(match, [part for group in match.group().split() for part in groups_of(group)])


_AFTER_CODE_WORD = re.compile(
    r"\b(?:(?:пин-?)?код(?:а|у|ом|е)?|pin|cvc|cvv|парол[ья]|индекс|инн|снилс|артикул|подтверждения"
    r"|(?:о|за)канчивается на|последние (?:четыре )?цифры)(?: (?:подтверждения|из смс|доступа|товара))?(?: —| –|:)? \Z",
    re.IGNORECASE,
)


def _digits_of_code(match: re.Match[str]) -> str | list[Part]:
    """Digits after a word such as "код" are no amount."""
    return _code(match) if _AFTER_CODE_WORD.search(before(match)) else match.group()


def _digits_of_letter_code(match: re.Match[str]) -> str | list[Part]:
    """ "A-1045" is a code, "Я 1000 раз" is not."""
    letter = before(match)[-2:-1]
    return _code(match) if letter.isupper() and letter != "Я" else match.group()


def _dotted(match: re.Match[str]) -> str:
    return apart(match, " точка ".join(number_words(part) for part in match.group().split(".")))


# Numbers with what they count


def _fraction(match: re.Match[str]) -> str:
    upper, lower = int(match.group(1)), int(match.group(2))
    if (upper, lower) == (24, 7):
        return "двадцать четыре на семь"
    if not 0 < upper < lower <= 10 or last_word(before(match)) in {"дом", "корпус", "строение", "квартира", "офис"}:
        return f"{number_words(match.group(1))} дробь {number_words(match.group(2))}"
    single = upper == 1
    return f"{cardinal(upper, 'f')} {ordinal(lower, 'f', NOMINATIVE if single else GENITIVE, plural=not single)}"


_ORDINALS = {
    **dict.fromkeys(["й", "ый", "ий", "ой"], ("m", NOMINATIVE, False)),
    **dict.fromkeys(["я", "ая", "ья"], ("f", NOMINATIVE, False)),
    **dict.fromkeys(["е", "ое", "ье"], ("n", NOMINATIVE, False)),
    **dict.fromkeys(["го", "ого"], ("m", GENITIVE, False)),
    **dict.fromkeys(["му", "ому"], ("m", DATIVE, False)),
    **dict.fromkeys(["ю", "ую"], ("f", ACCUSATIVE, False)),
    **dict.fromkeys(["м", "ом"], ("m", PREPOSITIONAL, False)),
    **dict.fromkeys(["ым", "им"], ("m", INSTRUMENTAL, False)),
    **dict.fromkeys(["х", "ых", "их"], ("m", GENITIVE, True)),
    **dict.fromkeys(["ые", "ие"], ("m", NOMINATIVE, True)),
    "ми": ("m", INSTRUMENTAL, True),
    "ей": ("f", GENITIVE, False),
}
_CARDINAL_SUFFIXES = {"ти": GENITIVE, "мя": INSTRUMENTAL, "тью": INSTRUMENTAL}


def _suffixed(match: re.Match[str]) -> str:
    number, suffix = int(match.group(1)), match.group(2).lower()
    if suffix in _CARDINAL_SUFFIXES or (suffix in {"х", "ми"} and 2 <= number <= 4):
        return cardinal(number, "m", _CARDINAL_SUFFIXES.get(suffix, GENITIVE))
    gender, case, plural = _ORDINALS[suffix]
    decade = suffix == "е" and number >= 20 and number % 10 == 0
    return ordinal(number, gender, case, plural=plural or decade)


def _compound(match: re.Match[str]) -> str:
    number = int(match.group(1))
    stem = {1: "одно", 90: "девяносто", 100: "сто", 1000: "тысяче"}.get(number) or cardinal(number, "m", GENITIVE)
    return stem.replace(" ", "")


def _place(match: re.Match[str]) -> str:
    return ordinal(int(match.group(1)), "m", PREPOSITIONAL if match.group(2) == "е" else NOMINATIVE)


def _beside(noun: Noun, number: str, case: str) -> str:
    if re.search(r"[.,]\d", number):
        return noun.few
    return noun.beside(_last_digits(number), case)


def _last_digits(number: str) -> int:
    return int(re.sub(r"\D", "", number)[-2:])


def _counted(number: str, case: str, noun: Noun | None, rest: str, *, beside: str | None = None) -> str:
    """A number in the gender of what it counts, without the noun; the noun agrees with ``beside`` if that is given."""
    if number in ("1,5", "1.5") and case in (NOMINATIVE, ACCUSATIVE):
        if noun:
            return "полторы" if noun.gender == "f" else "полтора"
        if counted_noun(rest):
            return "полторы" if counted_gender(2, rest, case) == "f" else "полтора"
    gender = noun.gender if noun else counted_gender(_last_digits(beside or number), rest, case)
    return number_words(number, gender, case)


def _money(number: str, currency: str, case: str) -> str | None:
    """Units and hundredths; None when the number has not one or two decimals."""
    noun, hundredth = CURRENCIES[currency]
    found = _WITH_HUNDREDTHS.fullmatch(number)
    if hundredth is None or found is None:
        return None
    whole, cents = found.group(1), int(found.group(2).ljust(2, "0"))
    units = f"{number_words(whole, noun.gender, case)} {_beside(noun, whole, case)}"
    if not cents:
        return units
    hundredths = f"{cardinal(cents, hundredth.gender, case)} {hundredth.beside(cents, case)}"
    return hundredths if whole == "0" else f"{units} {hundredths}"


_WITH_HUNDREDTHS = re.compile(r"(.*\d)[.,](\d{1,2})")


def _range(low: str, high: str, case: str | None, noun: Noun | None, rest: str) -> tuple[str, str]:
    """A range without its noun, and the case in which the noun follows."""
    if case is None and (noun or not counted_noun(rest)):
        words = [_counted(number, GENITIVE, noun, rest) for number in (low, high)]
        return f"от {words[0]} до {words[1]}", GENITIVE
    case = case or NOMINATIVE
    words = [_counted(low, case, noun, rest, beside="2"), _counted(high, case, noun, rest)]
    return (" — " if " " in "".join(words) else "-").join(words), case


def _quantity(match: re.Match[str]) -> str:
    """A number or a range with its sign, scale, currency or unit."""
    parts = match.groupdict()
    low, high, scale, unit = parts["low"], parts["high"], SCALES.get(parts["scale"] or ""), parts["unit"]
    currency = CURRENCY_NAMES.get((parts["mark"] or unit or "").strip())
    unit = UNIT_ALIASES.get(unit, unit)
    noun = CURRENCIES[currency][0] if currency else UNITS.get(unit or "")
    rest = after(match)
    case = governed_case(before(match), rest, unit or parts["mark"])
    first = scale or noun
    if high:
        words, noun_case = _range(low, high, case, first, rest)
    elif currency and not scale and (money := _money(low, currency, case or NOMINATIVE)):
        words, first, noun, noun_case = money, None, None, NOMINATIVE
    else:
        noun_case = case or NOMINATIVE
        words = _counted(low, noun_case, first, rest)
    said = [words, _beside(first, high or low, noun_case) if first else "", noun.many if scale and noun else ""]
    minus = "минус " if parts["sign"] else ""
    per = " " + PER[parts["per"]] if parts["per"] else ""
    return apart(match, minus + " ".join(filter(None, said)) + per + stop_of(match))


_NUMBER = r"(?:\d{1,3}(?: \d{3})+(?!\d)|\d{1,3}(?:,\d{3}){2,}(?!\d)|\d+)(?:[.,]\d+(?![.,]?\d))?"
_SIGNS = one_of(set(CURRENCIES))
_UNIT = one_of([*UNITS, *UNIT_ALIASES, *CURRENCY_NAMES])

_QUANTITY = re.compile(
    rf"(?P<sign>(?<![\w)])[-−])?(?P<mark>(?:{_SIGNS}) ?)?(?P<low>{_NUMBER})"
    rf"(?: ?[-–—] ?(?P<high>{_NUMBER})(?!-\d))?(?: ?(?P<scale>{one_of(SCALES)})(?!\w)\.?)?"
    rf"(?: ?(?P<unit>{_UNIT})(?!\w)\.?)?(?:/(?P<per>{one_of(PER)})(?!\w)\.?)?"
)

_ADDRESS_WORDS = AddressWords(
    at="собака", dot="точка", slash="слэш", dash="дефис", underscore="подчёркивание", plus="плюс",
    domains={"ru": "ру", "com": "ком", "org": "орг", "net": "нет", "рф": "рф"}, number=number_words,
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    DIGITS,
    *address_rules(_ADDRESS_WORDS),
    (re.compile(rf"(?<![\w.-])(?:{one_of(ABBREVIATIONS)})(?!\w)", re.IGNORECASE), _abbreviation),
    (re.compile(rf"(?<![\w.-])(?:{one_of(ABBREVIATIONS_BEFORE_NUMBER)})(?= ?\d)", re.IGNORECASE), _before_number),
    (re.compile(r"(?<![\w.-])(?<!\d )г\.(?= ?[А-ЯЁ])"), _town),
    (re.compile(rf"\b({one_of(_WEEKDAYS)})\.? ?[-–—] ?({one_of(_WEEKDAYS)})\b\.?", re.IGNORECASE), _weekdays),
    (re.compile(rf"(?<![\w-])({one_of(_WEEKDAYS)})(?![\w-])\.?", re.IGNORECASE), _weekday),
    (re.compile(r"(?:№|#) ?(?=\d)"), always("номер ")),
    (re.compile(r"[~≈] ?(?=\d)"), always("примерно ")),
    (re.compile(r"± ?"), always("плюс-минус ")),
    *comparison_rules({"<": "меньше", ">": "больше", "≤": "не больше", "≥": "не меньше", "≠": "не равно"}),
    (re.compile(r"(?<=\d) ?[*×xх] ?(?=\d)"), always(" на ")),
    (re.compile(r"(?<![\w.,])(?:\+?7|8)[ -]?\(?\d{3}\)?[ -]?\d{3}[ -]?\d{2}[ -]?\d{2}(?!\d)"), _phone_of_eleven),
    (re.compile(r"\+\d[\d ()-]{5,20}\d(?!\d)"), _phone),
    (re.compile(r"(?<![\w.,-])(?:\(\d{3,5}\) ?)?\d{2,3}-\d{2}-\d{2}(?![\d-])"), _phone),
    (re.compile(r"(?<![\w.,-])\d{4}(?: \d{4}){2,4}(?![\d.,]\d)"), _phone),
    (re.compile(r"(?<![\w.,-])\d{3,}(?: \d{3,4})*(?![\w-]|[.,]\d)"), _digits_of_code),
    (re.compile(r"(?<=[^\W\d_])-(?=\d{4,}(?![\d.,]\d))"), always(" ")),
    (re.compile(r"(?<=[^\W\d_] )(?<=\b\w )\d{4,}(?![\w-]|[.,]\d)"), _digits_of_letter_code),
    *DATE_AND_TIME_RULES,
    (re.compile(r"(?<![\d/.,])(\d{1,4})/(\d{1,4})(?![\d/]|[.,]\d)"), _fraction),
    (re.compile(r"(?<![\d.])\d{1,6}(?:\.\d{1,6}){2,}(?!\d|\.\d)"), _dotted),
    (re.compile(rf"(?<![\d.,])(\d{{1,4}})[-‑](\b(?:{one_of([*_ORDINALS, *_CARDINAL_SUFFIXES])}))(?!\w)"), _suffixed),
    (re.compile(r"(?<![\d.,-])(\d{1,4})[-‑](?=[а-яё]{4})"), _compound),
    (
        re.compile(r"(?<![\d.,-])(\d{1,3})(?= (?:этаж|подъезд|класс|курс|кабинет|корпус|зал|терминал)(е)?(?!\w))"),
        _place,
    ),
    (re.compile(r"(?<![\d.,-])(?<!\d )\d{7,}(?![\d.,]\d)(?! ?(?:" + _UNIT + r")(?!\w))"), _long_number),
    (_QUANTITY, _quantity),
    (re.compile(r"\d+"), lambda match: apart(match, number_words(match.group()))),
    *slash_rules(either="или", slash="дробь"),
    (re.compile(r"№"), always("номер")),
    (re.compile(r"&"), always(" и ")),
    (re.compile(r"@"), always(" собака ")),
    (re.compile(r"="), always(" равно ")),
    (re.compile(r"\+"), always(" плюс ")),
    (re.compile(r"%"), always(" процентов ")),
    UNSPOKEN,
)
"""In this order: what has a shape of its own first, single numbers last."""
