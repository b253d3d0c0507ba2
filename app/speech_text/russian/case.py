"""In which case and gender a Russian number stands, judged by its neighbours.

The preposition before it and the ending of the noun after it tell in most sentences of a telephone call. Without either
the nominative is taken.
"""

import re

from app.speech_text.mapped_text import listed
from app.speech_text.russian.numbers import ACCUSATIVE, DATIVE, GENITIVE, INSTRUMENTAL, NOMINATIVE, PREPOSITIONAL
from app.speech_text.russian.units import PLACE_UNITS

MONTHS = (
    "января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября",
    "декабря",
)  # fmt: skip

_GOVERNMENT = {
    **dict.fromkeys(
        listed(
            "с со от до из без для около после более менее больше меньше свыше порядка кроме позднее позже раньше "
            "ранее течение размере количестве возрасте у вместо среди нет"
        ),
        GENITIVE,
    ),
    **dict.fromkeys(["к", "ко"], DATIVE),
    **dict.fromkeys(
        listed(
            "в во на через за по про стоит стоят стоить стоила займёт займет занимает длится заплатить заплатите "
            "оплатить подождите подождать"
        ),
        ACCUSATIVE,
    ),
    **dict.fromkeys(["между", "перед"], INSTRUMENTAL),
    **dict.fromkeys(["о", "об", "при"], PREPOSITIONAL),
}
_DATE_NAMED_AFTER = listed("это сегодня завтра вчера послезавтра дата число")
_NO_NOUNS = listed(
    "и или ли если при три эти почти они мы вы мои свои быть есть это либо плюс минус раз перед после через около до "
    "по утра вечера ночи не ни"
).union(MONTHS)
_MASCULINE = listed("мужчина папа дедушка коллега")
_SOFT_FEMININE = re.compile(r"(?:ночь|дверь|часть|площадь|очередь|запись|сеть|модель|степень|кровать|[ое]сть|знь)\Z")
_INDECLINED_TWO = re.compile(r"(?:мени|пути)\Z")
_ON_A_WEEKDAY = re.compile(
    r"\bна (?:понедельник|вторник|среду|четверг|пятницу|субботу|воскресенье),? \Z", re.IGNORECASE
)
_LAST_WORD = re.compile(r"(?:\A|[^а-яё-])([а-яё]+)[ «\"(]*\Z")
_NEXT_WORDS = re.compile(r"\A[ -]?([а-яё]+)(?: ([а-яё]+))?")
_CHAIN = re.compile(r"(?:\d[\d.:]{0,12}(?:-?(?:го|е))? ?(?:,|и|или) ?){1,4}\Z")
"""Numbers that stand in the same case: "между 5 и 10", "до 12 или 13 марта"."""


def governed_case(text_before: str, text_after: str = "", unit: str | None = None) -> str | None:
    """The case that the neighbours of a number demand; None when nothing demands one.

    ``unit`` is the unit written as a sign, which has no ending to look at.
    """
    noun = "" if unit else counted_noun(text_after)
    if noun.endswith(("ами", "ями")):
        return INSTRUMENTAL
    if noun.endswith(("ах", "ях")):
        return PREPOSITIONAL
    if len(noun) > 4 and noun.endswith(("ам", "ям")):
        return DATIVE
    word = last_word(_CHAIN.sub("", text_before))
    if word == "в" and unit in PLACE_UNITS:
        return PREPOSITIONAL
    if word == "по" and noun.endswith(("е", "у", "ю")):
        return DATIVE
    return _GOVERNMENT.get(word)


def last_word(text_before: str) -> str:
    """The word right before, in small letters; empty when a mark stands between."""
    found = _LAST_WORD.search(text_before.lower())
    return found.group(1) if found else ""


def counted_noun(text_after: str) -> str:
    """The noun that is counted, over an adjective; empty when the next word is none."""
    found = _NEXT_WORDS.match(text_after.lower())
    if not found or len(found.group(1)) < 3 or found.group(1) in _NO_NOUNS:
        return ""
    word, second = found.groups()
    return second if second and word.endswith(("ых", "их", "ые", "ие", "ого", "его")) else word


def counted_gender(number: int, text_after: str, case: str) -> str:
    """The gender that the noun after a number asks of it; only ones and twos have one."""
    noun, last = counted_noun(text_after), number % 10
    if last not in (1, 2) or number % 100 in (11, 12) or not noun:
        return "m"
    if case not in (NOMINATIVE, ACCUSATIVE):
        feminine = ("е", "и") if case == DATIVE else ("ы", "и", "ой", "ей")
        return "f" if last == 1 and noun.endswith(feminine) else "m"
    if last == 2:
        return "f" if noun.endswith(("ы", "и")) and not _INDECLINED_TWO.search(noun) else "m"
    return _gender_of_one(noun, case)


def _gender_of_one(noun: str, case: str) -> str:
    if noun.endswith(("о", "е", "мя")) and noun != "кофе":
        return "n"
    feminine = noun.endswith(("а", "я", "ую", "юю")) and noun not in _MASCULINE
    accusative = case == ACCUSATIVE and noun.endswith(("у", "ю"))
    return "f" if feminine or accusative or _SOFT_FEMININE.search(noun) else "m"


def date_case(text_before: str, text_after: str) -> str:
    """The case of a day of the month.

    A preposition decides. Else a date by itself, or named ("сегодня", "это", after a colon or before a dash), is in the
    nominative; inside a sentence it answers "when" and is in the genitive.
    """
    chain = _CHAIN.sub("", text_before)
    word = last_word(chain)
    governed = _GOVERNMENT.get(word)
    if governed:
        return NOMINATIVE if governed == ACCUSATIVE else governed
    if word in _DATE_NAMED_AFTER or _ON_A_WEEKDAY.search(chain) or chain.rstrip().endswith((":", "—", "–")):
        return NOMINATIVE
    if text_after.lstrip()[:1] in {"—", "–"}:
        return NOMINATIVE
    return GENITIVE if re.search(r"\w", chain + text_after) else NOMINATIVE
