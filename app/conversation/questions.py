"""What the agent has asked of the caller, judged by the words of its sentence and not by a question mark alone.

A model writes "Tell me whether Tuesday suits you." and waits for an answer as if it had asked. The rules look at the
last sentence only, and know Russian and English in every call. They are tested on the sentences of
``tests/conversation/questions_russian.txt`` and ``questions_english.txt``.
"""

import re
from enum import StrEnum
from itertools import pairwise

_QUESTION_MARKS = "?？؟"


class Asked(StrEnum):
    """What the agent wants from the caller."""

    NOTHING = "nothing"
    """It has stated something."""
    QUESTION = "question"
    """It has asked a question, with or without the mark."""
    REQUEST = "request"
    """It has told the caller to say, choose or enter something."""


def what_was_asked(text: str) -> Asked:
    """What the last sentence of ``text`` asks for. A "thank you" after that sentence does not count."""
    sentence = last_sentence(text)
    if is_question(sentence):
        return Asked.QUESTION
    plain = sentence.lower().replace("ё", "е").replace("’", "'").strip(_AROUND)
    if any(_requests(part) for part in _PARTS.split(plain)):
        return Asked.REQUEST
    return Asked.QUESTION if any(pattern.search(plain) for pattern in _QUESTIONS) else Asked.NOTHING


def is_question(text: str) -> bool:
    """Whether the text ends with a question mark; quotes, brackets, emoji, other marks and space may follow it."""
    for char in reversed(text):
        if char in _QUESTION_MARKS:
            return True
        if char.isalnum():
            return False
    return False


def sentences(text: str) -> list[str]:
    """The sentences of the text; joined, they are the text."""
    bounds = [0, *(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if end > start]


def last_sentence(text: str) -> str:
    """The last sentence with words, without a "thank you" after it."""
    spoken = [sentence for sentence in sentences(text) if any(map(str.isalnum, sentence))]
    while len(spoken) > 1 and _COURTESY.fullmatch(spoken[-1]):
        spoken.pop()
    return spoken[-1] if spoken else text


def _requests(part: str) -> bool:
    """Whether a part of a sentence, between commas, tells the caller to answer."""
    if _NOT_TO_THE_CALLER.search(part):
        return False
    return bool(_RU_REQUEST.search(part) or _EN_REQUEST.match(part) or _EN_NEED.search(part))


def _words(listed: str) -> str:
    return "|".join(listed.split())


_AROUND = " \t\n\"'«»“”‘’()[]*_`-–—.!…,;:"
_SENTENCE_END = re.compile(r"(?<!\b[dm]r\.)(?<!\b[ms][st]\.)(?<!\bmrs\.)(?<=[.!?？؟…\n])\s+", re.IGNORECASE)
_COURTESY = re.compile(
    r"\W*((большое )?спасибо( большое| вам)?|благодарю( вас)?|пожалуйста|thank you|thanks|please)\W*", re.IGNORECASE
)
_PARTS = re.compile(r"[,;:—–]|\s-\s|\s(?:and|then|и|а|но|but)\s")

# --- Russian ---------------------------------------------------------------------------------------------------------

_RU_SAY = _words(
    "скажите скажи назовите назови подскажите подскажи уточните уточни подтвердите подтверди повторите повтори "
    "продиктуйте продиктуй выберите выбери выбирайте ответьте ответь отвечайте сообщите сообщи расскажите расскажи "
    "опишите опиши укажите укажи напомните напомни представьтесь представься произнесите произнеси объясните объясни "
    "поясните поясни решайте решите определитесь говорите говори диктуйте диктуй называйте введите наберите нажмите "
    "спрашивайте оцените поделитесь"
)
_RU_TO_SAY = _words(
    "сказать назвать подсказать уточнить подтвердить повторить продиктовать выбрать ответить сообщить рассказать "
    "описать указать напомнить представиться произнести объяснить пояснить ввести набрать нажать узнать услышать знать"
)
_RU_TO_OTHERS = _words(
    "администратору врачу доктору охране охраннику сотруднику сотрудникам коллегам коллеге оператору менеджеру курьеру "
    "водителю ему ей им всем никому на там"
)
_RU_REQUEST = re.compile(
    rf"\b(?:{_RU_SAY})\b"
    r"|\b(?:прошу|попрошу|просим|просьба|осталось|остается|можете|могли бы|нужно|надо|необходимо|хотелось бы|хотел бы"
    r"|хотела бы|хочу|могу я|можно)\b"
    rf"(?: (?:вы|вас|только|мне|нам|пожалуйста|лишь|просто|ли))* (?:{_RU_TO_SAY})\b"
    r"|\b(?:нужен|нужна|нужно|нужны|понадобится|понадобятся|необходим|необходима|необходимо|жду|ждем|интересует)"
    r" (?:еще |только |будет |будут )?(?:ваш|ваша|ваше|ваши|вашего|вашей|ваших|вашу)\b"
    r"|\b(?:дайте|дай) (?:мне |нам |пожалуйста )?(?:знать|ответ|ваш\w*)\b"
    r"|^\s*(?:я )?(?:вас )?слушаю(?: вас)?\s*$"
    r"|\bдавайте (?:уточним|выберем|подтвердим|решим|сверим|определимся)\b"
    r"|^\s*(?:а |и )?(?:ваш\w? )?(?:имя|фамилия|адрес|телефон|дата рождения"
    r"|номер(?: телефона| заказа| договора)?)\s*$"
)
_RU_QUESTION_WORDS = _words(
    "как какой какая какое какие какого какую каком какому каким каких какими когда где куда откуда сколько скольки "
    "кто кого кому кем что чего чему чем почему зачем который которое которая котором чей чья чье чьи"
)
_RU_NO_QUESTION_AFTER_THEM = _words("только ни касается раз не хороший хорошая хорошо жаль приятно и")
_RU_LEAD = r"(?:а |и |так |ну |тогда |итак |хорошо )*(?:(?:в|во|на|с|со|о|об|к|до|от|по|из|для|у|за) )?"
_RU_OWN_DOUBT = _words(
    "я мы проверю проверим узнаю узнаем посмотрю посмотрим уточню уточним спрошу спросим знаю знаем уверен уверена "
    "неважно сообщу скажу выясню решит решают зависит"
)

# --- English ---------------------------------------------------------------------------------------------------------

_EN_LEAD = (
    r"(?:(?:please|so|now|then|just|okay|ok|and|kindly|first|well|alright|great|all right|go ahead and|do|feel free to"
    r"|you can|you may|if you (?:can|could|like)|when(?:ever)? you're ready|yes|sure|perfect)\s+)*"
)
_EN_SAY = _words(
    "confirm verify choose pick specify spell repeat describe explain provide select decide dictate answer state enter "
    "press type speak name"
)
_EN_REQUEST = re.compile(
    rf"\s*{_EN_LEAD}(?:(?:{_EN_SAY})\b|go ahead(?: with your question)?\W*$|let (?:me|us) (?:know|have|hear)\b"
    r"|(?:tell|give|remind|ask|show|text) (?:me|us)\b|say\b(?! (?:hello|hi|goodbye))|share (?:your|the|with)\b"
    r"|read (?:me|us|it|out|back)\b|give your\b)"
)
_EN_YOU_TO_SAY = rf"you to (?:{_EN_SAY}|tell|give|say)\b"
_EN_NEED = re.compile(
    r"\bi(?:'ll| will|'d| would)?(?: just| also| only| still)? (?:need|require|like|love|want)"
    rf" (?:to (?:know|have|hear|confirm|ask)\b|your\b|{_EN_YOU_TO_SAY})"
    rf"|\bwe(?:'ll| will|'d| would)?(?: just| also| only| still)? need (?:your\b|to know\b|{_EN_YOU_TO_SAY})"
    r"|\bgoing to need your\b|^\s*(?:and |so |now )*your (?:name|full name|first name|last name|surname|address|number"
    r"|phone number|order number|account number|date of birth|e-?mail|postcode|zip code|question)\s*$"
    r"|\b(?:need|missing|left) is your\b|\bask you (?:to|for|what|which|when|where|whether|if)\b"
    r"|\bi(?: was|'m| am)? wonder(?:ing)?\b|\bplease (?:confirm|answer|respond|reply)\b"
)
_EN_SO = r"^(?:(?:so|and|okay|ok|well|now|then|alright|great|sorry|but),? )*"
_EN_HELPERS = _words("is are was were do does did can could will would shall should may has have")

# --- both ------------------------------------------------------------------------------------------------------------

_NOT_TO_THE_CALLER = re.compile(
    rf"\b(?:не|никому|никогда) (?:{_RU_SAY})\b|\b(?:{_RU_SAY}) (?:{_RU_TO_OTHERS})\b"
    r"|\b(?:don't|do not|never|no need to)\b"
    r"|\b(?:i|we|they|he|she|it|who|that|which)(?:'ll| will| can| could)(?! (?:just|only|also|still|need)) "
)
_QUESTIONS = [
    re.compile(pattern)
    for pattern in (
        rf"^(?!.*\b(?:{_RU_OWN_DOUBT})\b.*\bли\b)(?!.*\b(?:вряд|едва|чуть|то|мало) ли\b).*\w ли\b",
        rf"^{_RU_LEAD}(?:{_RU_QUESTION_WORDS}) (?!(?:{_RU_NO_QUESTION_AFTER_THEM})\b)(?:[^,]+|.* (?:или|либо) .*)$",
        r", (?:верно|правильно|так ведь|не так|не правда ли|вы не против|вы согласны|согласны|хорошо|да)$",
        r"^(?:(?:а|так|тогда) )?(?:вы )?(?:не )?(?:могли бы вы|можете ли|хотите|хотели бы|желаете|готовы|согласны"
        r"|подтверждаете|предпочитаете|планируете) (?!мы\b)",
        r"^(?:(?:а|так|тогда) )?(?:вам |вас )?(?:удобно|подходит|подойдет|устроит|устраивает) [^,]+$",
        r"^(?:(?:а|так|тогда) )?(?:записать|перенести|отменить|забронировать|соединить|оформить)"
        r" (?:вас|вам|ее|его|запись)\b",
        rf"{_EN_SO}(?:in |on |at |for |to |by |with |from )?(?:what|when|where|which|who|whom|whose|how|why)"
        r"(?: (?!(?:i|you|we|they|he|she|it|a|an|the|matters|counts|happens)\b)[a-z']+){0,2}?"
        rf" (?:{_EN_HELPERS})\b(?:[^,]*|.*\bor\b.*)$",
        rf"{_EN_SO}(?:what|who|where|when|how)'s\b[^,]*$",
        rf"{_EN_SO}which (?!is\b|means\b)[a-z]+ [a-z]+s\b[^,]*$",
        rf"{_EN_SO}(?!should\b)(?:{_EN_HELPERS}|might|isn't|aren't|don't|won't|wouldn't)"
        r" (?:i|you|we|they|it|that|this|there|he|she|your|anyone|anybody)\b",
        rf"{_EN_SO}(?:is|are|was|were|does|did|can|could|will|would) (?!(?:not|be|do)\b)[a-z']+ [^,]+$",
        rf"{_EN_SO}should (?:i|we|that|it)\b[^,]*$",
        r", (?:right|correct|okay|ok|yes|is that (?:right|correct|okay|all right)|isn't it|aren't you"
        r"|don't you|won't you|shall we|will you"
        r"|or not|is it|do you|are you)$",
        rf"{_EN_SO}(?:how about|what about|any chance|anything else|care for)\b",
    )
]
