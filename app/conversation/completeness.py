"""How complete a caller's words are: whether they may be the whole answer, or stop in the middle.

The rules judge the words alone, not the voice, and know Russian and English in every call. They are tested on
``tests/conversation/completeness_russian.txt`` and ``completeness_english.txt``.
"""

from collections.abc import Collection
from enum import StrEnum

from app.conversation.dictation import (
    Digits,
    announces_telephone,
    digits_at_end,
    ends_in_a_month,
    has_begun_email,
    has_email,
    is_date_with_year,
    is_flat,
    letters_at_end,
)
from app.conversation.echo_text import heard_words
from app.conversation.expected_answers import (
    TELEPHONE_DIGITS,
    AnswerKind,
    ExpectedAnswer,
    asks_to_repeat,
    expected_answer,
)

_FEWEST_DICTATED = 3
"""This many numbers or letters at the end count as dictated, even if nobody asked for them; "в 10:30" has two."""
_LONG_NUMBER = 5
"""A number with this many digits counts as dictated, too."""
_WORDS_OF_A_BARE_ANSWER = 5
_WORDS_OF_A_NAME = 5
_PHRASE_WORDS = 5
_PREFIXES = frozenset({"8", "7", "1", "0", "восемь", "семь", "one", "zero", "oh"})
"""A telephone number with this beginning has one digit more."""


class Completeness(StrEnum):
    """What may follow the words."""

    WHOLE = "whole"
    """Nothing: this is all that was asked for."""
    LIKELY = "likely"
    """Nothing in particular: the words may be all."""
    DICTATING = "dictating"
    """More of a number, a name or an address of unknown length."""
    UNFINISHED = "unfinished"
    """The rest of the sentence, number or address: people do not stop here."""


def completeness(text: str, expected: ExpectedAnswer) -> Completeness:
    """How complete the words are as an answer to what was asked."""
    is_asked_to_spell = expected.kind in (AnswerKind.NAME, AnswerKind.ADDRESS)
    if letters_at_end(text) >= (2 if is_asked_to_spell else _FEWEST_DICTATED):
        return Completeness.DICTATING
    if expected.kind is AnswerKind.YES_NO and is_bare_answer(text):
        return Completeness.WHOLE
    if _ends_open(text):
        return Completeness.UNFINISHED
    if expected.is_email or has_begun_email(text):
        return Completeness.WHOLE if has_email(text) else Completeness.UNFINISHED
    digits = digits_at_end(text)
    return _known_number(text, digits, expected) or _number_or_address(digits, expected)


def is_what_was_asked_for(text: str, said: str) -> bool:
    """Whether the words give the number, name or address that the agent asked for with ``said``, or asked to repeat."""
    expected = expected_answer(said)
    digits, letters = digits_at_end(text).count, letters_at_end(text)
    is_short = 0 < len(heard_words(text)) <= _WORDS_OF_A_NAME
    match expected.kind:
        case AnswerKind.NUMBER:
            return digits > 0
        case AnswerKind.NAME:
            return is_short or letters > 1
        case AnswerKind.ADDRESS:
            return is_short or digits > 0 or has_email(text)
        case _:
            is_dictated = digits >= _FEWEST_DICTATED or letters >= _FEWEST_DICTATED or has_email(text)
            return is_dictated and asks_to_repeat(said)


def is_bare_answer(text: str) -> bool:
    """Whether the text is yes or no and nothing else: "да, конечно", "нет, спасибо", "yes please"."""
    words = heard_words(text)
    if len(words) > _WORDS_OF_A_BARE_ANSWER:
        return False
    rest = tuple(words)
    while rest:
        size = next((size for size in range(_PHRASE_WORDS, 0, -1) if rest[:size] in _ANSWERS), 0)
        if not size:
            return False
        rest = rest[size:]
    return bool(words)


def _known_number(text: str, digits: Digits, expected: ExpectedAnswer) -> Completeness | None:
    """How complete a number is whose end the caller's own words show; None for any other."""
    if expected.digits:
        return None
    if digits.count and announces_telephone(text):
        return Completeness.WHOLE if _are_enough(digits, TELEPHONE_DIGITS) else Completeness.DICTATING
    if expected.kind is AnswerKind.NUMBER and ends_in_a_month(text):
        return Completeness.DICTATING
    if expected.is_full_name and len(heard_words(text)) == 1:
        return Completeness.DICTATING
    is_longest = expected.most_digits is not None and digits.count >= expected.most_digits
    return Completeness.LIKELY if is_longest or is_date_with_year(text, digits) or is_flat(text, digits) else None


def _number_or_address(digits: Digits, expected: ExpectedAnswer) -> Completeness:
    if expected.digits and digits.count:
        if _are_enough(digits, expected.digits):
            return Completeness.WHOLE
        return Completeness.DICTATING if digits.count >= min(expected.digits) else Completeness.UNFINISHED
    is_number = digits.count > 0 and expected.kind is AnswerKind.NUMBER
    is_long = digits.groups >= _FEWEST_DICTATED or digits.count >= _LONG_NUMBER * digits.groups > 0
    if is_number or is_long or expected.kind is AnswerKind.ADDRESS:
        return Completeness.DICTATING
    return Completeness.LIKELY


def _are_enough(digits: Digits, lengths: Collection[int]) -> bool:
    """Whether the digits are as many as such a number has."""
    has_prefix = digits.first in _PREFIXES or (digits.first.isdecimal() and digits.first[0] in _PREFIXES)
    return digits.count >= (max if has_prefix else min)(lengths)


def _ends_open(text: str) -> bool:
    """Whether the last words cannot end a sentence: a conjunction, a preposition, a sound of hesitation."""
    stripped = text.rstrip()
    if not stripped or stripped.endswith(("?", "!")):
        return False
    if stripped.endswith((",", "…", "...", "-", "–", "—", ":")):
        return True
    words = tuple(heard_words(stripped))
    if any(words[-size:] in _CLOSED for size in range(1, _PHRASE_WORDS + 1)):
        return False
    if len(words) > 1 and words[-2] in _PRONOUNS and words[-1] in _AFTER_A_PRONOUN:
        return False
    if _asks_how_it_would_be(words):
        return False
    has_begun = len(words) > _WORDS_OF_A_QUESTION_BACK and words[-2] in _CONJUNCTIONS and words[-1] in _SUBJECTS
    return has_begun or any(words[-size:] in _OPEN for size in range(1, _PHRASE_WORDS + 1))


def _asks_how_it_would_be(words: tuple[str, ...]) -> bool:
    """Whether the words end in an indirect question such as "how much that would be"; "it would be" goes on."""
    *before, pronoun, modal, verb = ("", "", "", *words)[-_INDIRECT_WORDS:]
    return verb == "be" and modal in _MODALS and pronoun in _PRONOUNS and not _ASKING.isdisjoint(before)


def _phrases(*listed: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(heard_words(phrase)) for phrases in listed for phrase in phrases.split(","))


_ANSWERS = _phrases(
    "мой, моя, моё, мои, наш, наша",
    "да, ага, угу, так, верно, правильно, точно, именно, конечно, разумеется, хорошо, ладно, ок, окей, давайте,"
    "давай, согласен, согласна, подходит, подойдёт, устраивает, удобно, можно, пожалуйста, спасибо, всё верно,"
    "всё правильно, нет, не надо, не нужно, не подходит, не согласен, не согласна, не устраивает, не удобно,"
    "неудобно, неверно, не верно, неправильно, не хочу, не буду, подтверждаю, не подтверждаю, хочу, буду, есть,"
    "ну да, нет конечно",
    "yes, yeah, yep, yup, yes please, yes i do, yes it is, yes that's right, uh huh, mhm, sure, of course,"
    "correct, right, that's right, that's correct, exactly, absolutely, definitely, okay, ok, fine, great,"
    "perfect, please, sounds good, that works, it does, it is, i do, go ahead, no, nope, nah, no thanks,"
    "no thank you, thanks, thank you, not really, not yet, i don't, it isn't, it doesn't, i'm not, wrong, sir,"
    "ma'am",
)
_OPEN = _phrases(
    # Russian: conjunctions, prepositions, sounds of hesitation, beginnings
    "и, а, но, или, либо, да и, ни, чтобы, если, потому что, так как, то есть, поскольку, хотя, который,"
    "которая, которое, которые, которую, которого, а также, а ещё, или же, как",
    "в, во, на, с, со, к, ко, о, об, от, до, по, из, за, у, для, при, про, без, через, под, над, перед, между,"
    "около, кроме, насчёт, вместо, из-за",
    "эм, э, ээ, эээ, м, мм, ммм, ну, ну вот, как бы, это самое, так сказать, в общем, короче, значит, типа,"
    "скажем, например, скажите, подскажите, скажите пожалуйста, подскажите пожалуйста, понимаете, видите ли,"
    "дело в том, дело в том что, нет это, сейчас скажу, минутку, секунду, дайте подумать, как его, как её, в смысле",
    "мой, моя, моё, мои, мою, моего, моей, наш, наша, меня зовут, зовут, хотел бы, хотела бы, я бы, мне бы,"
    "я хочу, мне нужно, мне надо, мне нужен, мне нужна, я могу, можно мне, не, точка, тире, дефис,"
    "подчёркивание, плюс",
    # English: the same
    "and, or, but, so, because, if, unless, although, though, which, whether, than, as, until, and then,so that, also",
    "to, of, in, on, at, for, with, from, by, about, into, between, during, without, near",
    "um, uh, er, erm, em, hmm, hm, well, let me see, let's see, let me think, kind of, sort of, i mean, i guess,"
    "can you tell me, could you tell me, the thing is, something like, hang on, hold on, one second, what's it called",
    "the, a, an, my, our, your, is, are, was, were, am, be, i'm, it's, i'd, i'll, we're, we'd, i'd like,"
    "i would like, we'd like, i have, i want, we want, i need, my name's, dot, dash, underscore, hyphen, slash, plus",
)
"""Words that no sentence ends with."""
_CLOSED = _phrases(
    "это мой, это моя, это моё, это мои, это наш, это наша, да мой, да моя",
    "нет ну, ну и ну, да я хочу, да я могу, да мне нужно, да мне надо, что мне нужно, что мне надо",
    "me in, us in, it in, it on",
    "log in, sign in, check in, come in, fill in, move in, call in, stop by, come by, later on, come on, go on,"
    "turn on, from now on, early on, i think so, i hope so, i guess so, even so, or so, if so, yes i'd like to,"
    "yes i have, no i have,"
    "what for, all i need, what i need, what i want, think about, worry about",
)
"""Endings that look open and are not."""
_PRONOUNS = frozenset({"it", "they", "he", "she", "we", "you", "i", "that", "this", "there", "what", "who", "which"})
_CONJUNCTIONS = frozenset({"and", "but", "because", "и", "а", "но"})
_SUBJECTS = frozenset({"it", "they", "he", "she", "we", "i", "он", "она", "оно", "они", "мы", "вы", "я"})
_WORDS_OF_A_QUESTION_BACK = 2
"""As in "а вы?", to which the recogniser does not always put its question mark."""
_AFTER_A_PRONOUN = frozenset({"is", "are", "was", "were", "am"})
_MODALS = frozenset({"would", "will", "could", "can", "should", "might", "may", "must", "ll", "d"})
_ASKING = frozenset({"how", "what", "when", "where", "who", "why", "which"})
_INDIRECT_WORDS = 7
