"""Backchannels and stop words of a caller."""

import re

from app.conversation.echo_text import heard_words

_MOST_PHRASES = 3
_DRAWN_OUT = re.compile(r"(.)\1+")

_Phrases = frozenset[tuple[str, ...]]


def _squeezed(text: str) -> tuple[str, ...]:
    """The words, with drawn-out letters and repeated words reduced to one: "да-даааа" is "да"."""
    words = [_DRAWN_OUT.sub(r"\1", word) for word in heard_words(text)]
    return tuple(word for index, word in enumerate(words) if index == 0 or words[index - 1] != word)


def _phrases(listed: str) -> _Phrases:
    return frozenset(_squeezed(phrase) for phrase in listed.split(","))


_BACKCHANNELS = _phrases(
    "угу, ага, да, так, хорошо, ок, окей, понятно, понял, поняла, ясно, мм, хм, мгм, эм, конечно, ладно, верно, точно,"
    "правильно, отлично, здорово, вижу, слышу, слушаю, всё понятно, всё ясно, я понял, я поняла, ну да, а-а, э-э, о-о,"
    "yes, yeah, yep, yup, aha, uh, uh-huh, ah, oh, mhm, mm-hmm, hmm, right, okay, ok, sure, alright, great, fine, cool,"
    "good, indeed, exactly, true, gotcha, got it, i see, all right, of course, sounds good, that's right, i understand,"
    "makes sense"
)
_BACKCHANNELS_OF = {
    "de": _phrases("ja, genau, stimmt, klar, gut, alles klar"),
    "es": _phrases("sí, si, vale, claro, bueno, ajá, exacto, entiendo, de acuerdo"),
    "fr": _phrases("oui, ouais, d'accord, bien, exact, voilà"),
    "it": _phrases("sì, si, certo, esatto, capito, va bene, d'accordo"),
    "pt": _phrases("sim, certo, tá, claro, entendi, está bem"),
    "uk": _phrases("так, добре, зрозуміло, гаразд"),
    "kk": _phrases("иә, жақсы, түсінікті"),
}
_ANSWERS = _phrases(
    "да, ну да, конечно, верно, точно, правильно, yes, yeah, yep, yup, sure, right, exactly, indeed, true, of course,"
    "that's right, ja, genau, sí, si, claro, oui, certo, sim, так, иә"
)
_HELLOS = _phrases(
    "алло, алё, да, слушаю, слушаю вас, здравствуйте, здравствуй, здрасте, привет, добрый день, доброе утро,"
    "добрый вечер, доброго дня, приветствую, говорите, hello, hello there, hi, hi there, hey, yes, yeah, good morning,"
    "good afternoon, good evening, good day, speaking, ja, hallo, guten tag, guten morgen, hola, dígame, diga,"
    "buenos días, buenas tardes, bonjour, bonsoir, oui, pronto, ciao, buongiorno, olá, alô, bom dia, boa tarde, вітаю,"
    "добридень, сәлем, сәлеметсіз бе"
)
_STOPS = _phrases(
    "стоп, подожди, подождите, погоди, погодите, постой, постойте, хватит, остановись, остановитесь, замолчи,"
    "замолчите, помолчи, помолчите, тихо, прервись, прервитесь, минуту, минутку, минуточку, секунду, секундочку,"
    "одну минуту, одну минутку, одну минуточку, одну секунду, одну секундочку,"
    "stop, wait, pause, enough, hold on, hang on, shut up, be quiet, one moment, one second, one minute, just a moment,"
    "just a second, just a minute"
)
_BEFORE_A_STOP = _phrases(
    "эй, так, ну, нет, да, ой, ок, окей, всё, пожалуйста, hey, no, oh, yes, ok, okay, please, well"
)


def _consists_of(text: str, phrases: _Phrases, *, most: int) -> bool:
    """Whether the text is one of these phrases or a few of them, and nothing else."""
    words = _squeezed(text)
    count = 0
    while words:
        length = next((size for size in (3, 2, 1) if words[:size] in phrases), 0)
        if not length:
            return False
        words = words[length:]
        count += 1
    return 0 < count <= most


def _begins(text: str, phrases: _Phrases) -> bool:
    """Whether the text ends with the beginning of one of these phrases, and has only such phrases before it."""
    words = _squeezed(text)
    for start in range(len(words)):
        rest = words[start:]
        open_end = any(len(rest) <= len(phrase) and _is_beginning(rest, phrase) for phrase in phrases)
        if open_end and (start == 0 or _consists_of(" ".join(words[:start]), phrases, most=_MOST_PHRASES)):
            return True
    return False


def _is_beginning(words: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    last = len(words) - 1
    return words != phrase and words[:last] == phrase[:last] and phrase[last].startswith(words[last])


def _backchannels(language: str | None) -> _Phrases:
    return _BACKCHANNELS | _BACKCHANNELS_OF.get((language or "").lower()[:2], frozenset())


def is_backchannel(text: str, language: str | None) -> bool:
    """Whether the caller only signals that they are listening: "угу", "да-да", "хорошо, понятно", "uh-huh", "got it".

    The text may be up to three such words or phrases and nothing else; a repeated one counts once. The words may be
    Russian or English in every call, or in ``language`` (a code such as ``de`` or ``de-DE``). "Нет", "да, но ..." and
    commands are not backchannels.
    """
    return _consists_of(text, _backchannels(language), most=_MOST_PHRASES)


def may_become_backchannel(text: str, language: str | None) -> bool:
    """Whether the words so far may begin a longer backchannel: "I" of "I see", "всё" of "всё понятно"."""
    return _begins(text, _backchannels(language))


def may_become_hello(text: str) -> bool:
    """Whether the words so far may begin a hello of several words: "добрый"."""
    return _begins(text, _HELLOS)


def is_hello(text: str) -> bool:
    """Whether the caller only greets, or shows that they are there: "алло", "да, здравствуйте", "hello"."""
    return _consists_of(text, _HELLOS | _BACKCHANNELS, most=2)


def is_yes(text: str) -> bool:
    """Whether a backchannel clearly answers a question: "да", "yes, sure". "Угу" and "понятно" may not."""
    words = _squeezed(text)
    return any(words[:size] in _ANSWERS for size in (2, 1))


def is_stop_word(text: str) -> bool:
    """Whether the caller tells the agent to stop talking: "стоп", "да подождите вы", "wait", "hold on a second".

    Only the beginning counts, after a word like "да" or "please": "не могу подождать" and "I can't wait" do not.
    """
    words = _squeezed(text)
    while words and words[:1] in _BEFORE_A_STOP:
        words = words[1:]
    return any(words[:size] in _STOPS for size in (3, 2, 1))
