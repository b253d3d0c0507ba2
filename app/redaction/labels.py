"""What a number is called, by the words before it or by the question that it answers."""

import re
from collections import deque

_OTHER = (
    r"заказ|договор|заявк|обращени|полис|счет|счёт|накладн|квитанц|трек|инн\b|снилс|паспорт|брон|артикул|рожд|дат[аеуы]\b"
    r"|кадастр|серийн|абонент|индекс|order|invoice|booking|reservation|reference|tracking|parcel|contract|policy|ticket"
    r"|case\b|passport|confirmation|serial|birth|date\b|vin\b|postcode|zip\b"
)
_OURS = (
    r"карт|visa|виз[аыу]\b|mastercard|мастеркард|card|тел(?:ефон|\.)|мобильн|позвон|звон|phone|mobile|cell\b"
    r"|call (?:me|us)|reach"
)
_TELEPHONE = re.compile(r"тел|мобильн|позвон|звон|phone|mobile|cell|call|reach", re.IGNORECASE)
_NAMED = re.compile(rf"\b(?:(?P<other>{_OTHER})|(?P<ours>{_OURS}))", re.IGNORECASE)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last place where the pattern fits."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def names_other(text: str) -> bool | None:
    """Whether what the text names last is a number that is kept, such as an order's; None when it names none."""
    found = last_match(_NAMED, text)
    return None if found is None else found["other"] is not None


def names_telephone(text: str) -> bool:
    """Whether what the text names last is a telephone number."""
    found = last_match(_NAMED, text)
    return found is not None and bool(_TELEPHONE.match(found[0]))


def is_other(lead: str, asked: str) -> bool:
    """Whether a number is kept, by the words that lead to it or else by what the agent has asked for."""
    named = names_other(lead)
    return bool(names_other(asked)) if named is None else named
