"""Recognises goodbyes by their words, in Russian and English, and counts how often both sides have said one.

The rules are tested on the sentences of ``tests/conversation/farewells_russian.txt`` and ``farewells_english.txt``. A
farewell that is not recognised costs little: the model answers it. So the rules are strict about words that go on:
"пока не знаю" and "bye, but one more question" are not farewells.
"""

import re
from dataclasses import dataclass

from app.conversation.echo_text import heard_words
from app.conversation.questions import sentences

AGENT, CALLER = "agent", "caller"


@dataclass(slots=True)
class Farewells:
    """The goodbyes of a call since the conversation last went on."""

    exchanges: int = 0
    """How often both sides have said goodbye."""
    unanswered_side: str | None = None
    """The side that has said goodbye and has not had one in return."""
    interrupted: str | None = None
    """What the caller heard of an interrupted goodbye after which the agent meant to hang up."""
    last_turn: int | None = None
    """After the answer to this turn the agent hangs up, unless it asks something."""
    callers_turn: int | None = None
    """The caller's last turn, if it says goodbye: when its answer is lost, a prepared goodbye takes its place."""
    _last_utterance: int = 0
    """The agent's last utterance with a goodbye."""

    @property
    def are_due(self) -> bool:
        """Whether a silence now means that the call is over."""
        return self.exchanges > 0 or self.unanswered_side == AGENT or self.interrupted is not None

    def note_agent(self, utterance: int, said: str) -> None:
        """Note what the agent has said in the utterance of that number. Each utterance counts once."""
        if utterance != self._last_utterance and says_farewell(said):
            self._last_utterance = utterance
            self._note(AGENT)

    def note_caller(self) -> None:
        """Note that the caller says goodbye."""
        self._note(CALLER)

    def _note(self, side: str) -> None:
        if self.unanswered_side in (None, side):
            self.unanswered_side = side
        else:
            self.exchanges, self.unanswered_side = self.exchanges + 1, None

    def forget(self) -> None:
        """Forget the goodbyes: the conversation goes on."""
        self.exchanges, self.unanswered_side, self.interrupted, self.last_turn = 0, None, None, None


def is_farewell(text: str) -> bool:
    """Whether the caller says goodbye and wants nothing more: "спасибо, до свидания", "ага, пока", "thanks, bye"."""
    words = _words_of(text)
    only_closing = _only_of(words, _CLOSING)
    found = _last_match(_FAREWELL, words)
    if found is None:
        return only_closing and _last_match(_SHORT, words) is not None
    if only_closing:
        return True
    return "?" not in text and _GOES_ON.search(words) is None and _is_near_end(found, words, more=1)


def is_thanks(text: str) -> bool:
    """Whether the caller only thanks or agrees: "спасибо большое", "да, хорошо", "okay, thank you so much"."""
    words = _words_of(text)
    return bool(words) and _only_of(words, _CLOSING)


def says_farewell(text: str) -> bool:
    """Whether the agent's utterance ends with a goodbye; a short sentence may follow it."""
    last = [_words_of(sentence) for sentence in sentences(text) if any(map(str.isalnum, sentence))][-2:]
    return any(map(_closes, last))


def _closes(words: str) -> bool:
    found = _last_match(_FAREWELL, words)
    if found is not None:
        return _is_near_end(found, words, more=2)
    return _only_of(words, _CLOSING) and _last_match(_SHORT, words) is not None


def _is_near_end(found: re.Match[str], words: str, *, more: int) -> bool:
    """Whether only a few words follow, such as a name, or words that want nothing more."""
    rest = words[found.end() :]
    return len(rest.split()) <= more or _only_of(rest, _CLOSING)


def _words_of(text: str) -> str:
    """The words in the form of the patterns below: an apostrophe also separates words."""
    return " ".join(heard_words(text)).replace("ё", "е")


def _last_match(pattern: re.Pattern[str], words: str) -> re.Match[str] | None:
    return next(reversed(list(pattern.finditer(words))), None)


def _only_of(words: str, phrases: re.Pattern[str]) -> bool:
    return not phrases.sub("", words).strip()


def _any_of(*listed: str) -> str:
    return "|".join(phrase.strip() for part in listed for phrase in part.split(","))


# --- Russian ---------------------------------------------------------------------------------------------------------

_RU_FAREWELL = _any_of(
    "до свидания, до свиданья, досвидания, до встречи, до скорого, до скорой встречи, до связи,"
    "всего (?:вам |тебе )?(?:самого )?(?:доброго|хорошего|наилучшего), всех благ, будьте здоровы, прощайте, прощай,"
    "(?:хорошего|доброго|приятного|удачного|отличного|прекрасного)"
    " (?:вам |тебе |и вам |вам всем )?(?:дня|вечера|утра|выходного),"
    "(?:хороших|приятных|отличных) (?:вам |тебе )?выходных, (?:доброй|спокойной) (?:вам |тебе )?ночи"
)
_RU_SHORT = _any_of(
    "(?:давай(?:те)? )?(?<!нет )пока(?: пока)*(?! нет| не| все| что), счастливо, удачи(?: вам)?, бывайте,"
    "чао, увидимся, до завтра, до вечера, до (?:понедельника|вторника|среды|четверга|пятницы|субботы|воскресенья)"
)
_RU_CLOSING = _any_of(
    "(?:большое|огромное)(?: человеческое)? спасибо, спасибо(?: вам| тебе)?(?: огромное| большое)?(?: за \\w+)?,"
    "благодарю(?: вас)?(?: за \\w+)?, еще раз, вы (?:мне )?очень помогли, очень помогли, и вам(?: тоже)?, вам тоже,"
    "и вас, вас тоже, взаимно, вам того же, это все, у меня все, больше ничего(?: не нужно| не надо)?, нет, да, ага,"
    "угу, ну, все, вот и все, хорошо, ладно, окей, ок, понятно, ясно, понял, поняла, отлично, замечательно, прекрасно,"
    "супер, договорились, тогда, и, ой, пожалуйста, конечно"
)
_RU_GOES_ON = _any_of(
    "подожди\\w*, погоди\\w*, постой\\w*, стой\\w*, стоп, секунд\\w+, минут\\w+, еще(?! раз (?:спасибо|благодарю)),"
    "но, кстати, забыл\\w*, вопрос\\w*, скажи\\w*, подскажи\\w*, хотел\\w*, хочу, сколько, когда, почему, зачем,"
    "можно, можете, только, рано, прежде, перед тем, не понял\\w*, не расслыш\\w*"
)

# --- English ---------------------------------------------------------------------------------------------------------

_EN_FAREWELL = _any_of(
    "bye(?: bye)*(?: now| then)?, good ?bye, goodnight, good night, farewell, cheerio,"
    "have (?:yourself )?an? (?:very |really )?(?:good|nice|great|lovely|wonderful|pleasant|blessed|fantastic|awesome)"
    " (?:day|evening|night|afternoon|morning|weekend|week|one|time|rest of (?:your|the) (?:day|week|evening)),"
    "enjoy (?:your|the)(?: rest of (?:your|the))? (?:day|evening|weekend|week),"
    "see you(?: (?:soon|later|then|tomorrow|around|there|next (?:week|time)))?, see ya,"
    "(?:talk|speak) (?:to you )?(?:soon|later|then), catch you later, (?:until|till) next time"
)
_EN_SHORT = _any_of("take care, so long, later, ciao, see you (?:on )?\\w+day")
_EN_CLOSING = _any_of(
    "thank you(?: very much| so much| kindly| again| a lot)?(?: for (?:your|the|all) ?(?:the |your )?\\w+)?,"
    "thank you for (?:calling|that|everything|helping), many thanks,"
    "thanks(?: a lot| so much| again| a million| very much)?(?: for (?:your|the|all) ?(?:the |your )?\\w+)?,"
    "i (?:really )?appreciate (?:it|that|your help), you(?: ve| have)? (?:been|were) (?:very |so |really )?helpful,"
    "you too, same to you, likewise, and you, you as well, that s (?:all|it|everything|great|fine|perfect),"
    "thats (?:all|it|everything|great|fine|perfect), that is (?:all|it|everything), that will be all, that ll be all,"
    "nothing else, no, nope, yes, yeah, yep, ok, okay, alright, all right, right, sure, great, perfect, good, lovely,"
    "wonderful, awesome, excellent, fine, cool, got it, sounds good, oh, well, then, so, and, now, please, i m good,"
    "i m all set, all set, very much, cheers, mhm, uh huh"
)
_EN_GOES_ON = _any_of(
    "wait, hold on, hang on, one more, another, actually, before, forgot, question, but, what, when, where, how much,"
    "how many, why, can (?:i|you), could (?:i|you), by the way, one (?:second|moment|minute|sec), just a \\w+, also,"
    "let me, i need, i want, i don t understand"
)

_FAREWELL = re.compile(rf"\b(?:{_RU_FAREWELL}|{_EN_FAREWELL})\b")
_SHORT = re.compile(rf"\b(?:{_RU_SHORT}|{_EN_SHORT})\b")
_CLOSING = re.compile(rf"\b(?:{_RU_SHORT}|{_EN_SHORT}|{_RU_FAREWELL}|{_EN_FAREWELL}|{_RU_CLOSING}|{_EN_CLOSING})\b")
"""Words that want nothing more."""
_GOES_ON = re.compile(rf"\b(?:{_RU_GOES_ON}|{_EN_GOES_ON})\b")
"""Words that want more, whatever the other words are."""
