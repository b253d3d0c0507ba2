"""What kind of answer the agent's question expects: yes or no, a number, a name, an address.

The rules look at the last sentence only, and know Russian and English in every call, like those of
:mod:`app.conversation.questions`. They are tested on ``tests/conversation/expected_answers_russian.txt`` and
``expected_answers_english.txt``.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from app.conversation.questions import Asked, last_sentence, what_was_asked


class AnswerKind(StrEnum):
    """What the caller was asked for."""

    NOTHING = "nothing"
    YES_NO = "yes_no"
    NUMBER = "number"
    """A number that people say digit by digit or in groups: of a telephone, a card, an order, a code."""
    NAME = "name"
    ADDRESS = "address"
    """Where somebody lives, or an e-mail address."""
    ANYTHING = "anything"
    """A question of none of these kinds."""


@dataclass(frozen=True, slots=True)
class ExpectedAnswer:
    """The kind of answer."""

    kind: AnswerKind
    digits: tuple[int, ...] = ()
    """How many digits the number may have; empty when nobody can tell."""
    most_digits: int | None = None
    """How many digits the longest numbers of this kind have, though others are shorter."""
    is_email: bool = False
    is_full_name: bool = False
    """Whether a first name alone is not enough."""


NO_ANSWER = ExpectedAnswer(AnswerKind.NOTHING)


@lru_cache(maxsize=256)
def expected_answer(text: str) -> ExpectedAnswer:
    """The answer that the last sentence of ``text`` expects."""
    asked = what_was_asked(text)
    if asked is Asked.NOTHING:
        return NO_ANSWER
    sentence = last_sentence(text).lower().replace("ё", "е").replace("’", "'")
    if _TELLS.search(sentence) and not _CONFIRMS.search(sentence):
        for kind, pattern in _THINGS:
            if pattern.search(sentence):
                digits, is_email = _digits(sentence, kind), bool(_EMAIL.search(sentence))
                is_code = kind is AnswerKind.NUMBER and not digits and _CODE_SENT.search(sentence)
                is_full_name = kind is AnswerKind.NAME and bool(_FULL_NAME.search(sentence))
                return ExpectedAnswer(kind, digits, _CODE_DIGITS if is_code else None, is_email, is_full_name)
        return ExpectedAnswer(AnswerKind.ANYTHING)
    if _CONFIRMS.search(sentence) or (asked is Asked.QUESTION and not _CHOICE.search(sentence)):
        return ExpectedAnswer(AnswerKind.YES_NO)
    return ExpectedAnswer(AnswerKind.ANYTHING)


def asks_to_repeat(text: str) -> bool:
    """Whether the last sentence of ``text`` asks the caller to say something again."""
    return bool(_AGAIN.search(last_sentence(text).lower().replace("ё", "е")))


def _digits(sentence: str, kind: AnswerKind) -> tuple[int, ...]:
    if kind is not AnswerKind.NUMBER:
        return ()
    counted = _COUNTED.search(sentence)
    if counted:
        return (next(count for count, pattern in _COUNTS.items() if pattern.fullmatch(counted[1])),)
    return next((lengths for lengths, pattern in _LENGTHS if pattern.search(sentence)), ())


_CONFIRMS = re.compile(
    r"\b(?:подтверд\w+|правильно ли|верно ли|\w+ ли|верно|правильно|или нет|да или нет)\b"
    r"|\b(?:confirm|whether|yes or no|or not|is that (?:right|correct)|right|correct)\b(?!\s+(?:number|address|name))"
    r"|\b(?:tell|let) (?:me|us) (?:know )?if\b|\bsay yes\b"
)
"""The answer is yes or no, whatever else the sentence names."""
_TELLS = re.compile(
    r"\b(?:назови|скажи|подскажи|продиктуй|диктуй|сообщи|укажи|уточни|повтори|напомни|произнеси|введи|набери|выбери"
    r"|опиши|расскажи|дай)(?:те)?\b|\bпредставь(?:тесь|ся)\b|\b(?:мне|нам) (?:еще |только )?нуж\w+|\bнуж\w+ ваш\w*"
    r"|\b(?:можете|могли бы|можно|могу|прошу|попрошу|хотелось бы|осталось|осталась)\b.*"
    r"\b(?:сказать|назвать|подсказать|продиктовать|уточнить|повторить|узнать|услышать|сообщить|указать)\b"
    r"|\b(?:как|каков\w*|какой|какая|какое|какие|какого|какую|какому|каким|каком|когда|где|куда|откуда|сколько|кто|кого"
    r"|кому|что|чем|почему|зачем)\b"
    r"|(?:^|[,.:;] |\b(?:please|just|now|then|and|so|(?:could|can|would|will) you(?: please)?) )"
    r"(?:tell|give|spell|say|state|enter|type|share|provide|dictate|repeat|read|name|describe|explain)\b"
    r"|\b(?:(?:can|could|may) (?:i|we) (?:have|get|take|ask)|i(?:'ll)? need|we need|i'd like|missing is|need is)\b"
    r"|\b(?:what|what's|which|who|who's|whose|when|where|why|how)\b"
)
"""The sentence asks the caller to name something, not to agree or disagree."""
_AGAIN = re.compile(r"\b(?:повтор\w+|еще раз\w*)\b|\b(?:repeat|again|once more|one more time)\b")
_CHOICE = re.compile(r"\b(?:или|либо|or)\b")
_EMAIL = re.compile(r"\b(?:e-?mail\w*|имейл\w*|мейл\w*|мэйл\w*|электронн\w+)\b|\bпочт(?:а|у|ы)\b")
_THINGS = (
    (
        AnswerKind.ADDRESS,
        re.compile(
            _EMAIL.pattern + r"|\b(?:адрес\w*|улиц\w*|куда (?:вам )?(?:доставить|привезти|приехать)|где вы живете)\b"
            r"|\b(?:address|street|where (?:do you live|should (?:we|i) (?:deliver|send)))\b"
        ),
    ),
    (
        AnswerKind.NUMBER,
        re.compile(
            r"\b(?:номер\w*|телефон\w*|код\w*|пин\w*|цифр\w*|индекс\w*|инн|снилс\w*|паспорт\w*|карты|карту|счета?"
            r"|дат[ауы] рождения|артикул\w*)\b"
            r"|\b(?:numbers?|code|pin|digits?|zip|postcode|date of birth|birth ?date|passport|account|extension)\b"
        ),
    ),
    (
        AnswerKind.NAME,
        re.compile(
            r"\b(?:зовут|имя|имени|фамили\w+|отчеств\w+|представ\w+|по буквам|к вам обращаться)\b"
            r"|\b(?:names?|surname|spell|who(?: is|'s| am i)? (?:calling|speaking)|speaking with)\b"
        ),
    ),
)
_COUNTS = {
    3: re.compile(r"три|трех|three|3"),
    4: re.compile(r"четыре|четырех|four|4"),
    5: re.compile(r"пять|пяти|five|5"),
    6: re.compile(r"шесть|шести|six|6"),
    8: re.compile(r"восемь|восьми|eight|8"),
    10: re.compile(r"десять|десяти|ten|10"),
    16: re.compile(r"шестнадцать|шестнадцати|sixteen|16"),
}
_COUNTED = re.compile(
    rf"\b({'|'.join(pattern.pattern for pattern in _COUNTS.values())})[ -]?"
    r"(?:последни\w+ )?(?:цифр\w*|значн\w+|digits?)\b"
)
_FULL_NAME = re.compile(
    r"\b(?:имя|имени|фамили\w+|отчеств\w+)(?:,| и) (?:ваш\w+ )?(?:имя|имени|фамили\w+|отчеств\w+)\b"
    r"|\b(?:full name|first (?:name )?and last name|name and surname)\b"
)
_CODE_SENT = re.compile(r"\bкод\w* .*\b(?:сообщени\w+|смс|sms)\b|\bcode\b.*\b(?:message|text|sms|sent)\b")
_CODE_DIGITS = 6
TELEPHONE_DIGITS = (10, 11)
_LENGTHS = (
    ((16,), re.compile(r"\bномер\w* (?:банковской |вашей )?карт\w+|\bcard number\b")),
    (TELEPHONE_DIGITS, re.compile(r"\bтелефон\w*\b|\bномер для связи\b|\b(?:phone|telephone|mobile|cell|reach you)\b")),
    ((6,), re.compile(r"\bпочтовый индекс\b")),
    ((5,), re.compile(r"\bzip\b")),
)
