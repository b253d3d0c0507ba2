"""Whether the caller agrees to be recorded. In doubt they have not agreed.

"No" wins over "yes" in one answer ("да, но не записывайте"), except in phrases that mean yes ("не против", "I don't
mind"). A word such as "можно" or "okay" means yes only by itself: it may also begin a request.
"""

from collections.abc import Iterable

from app.conversation.echo_text import heard_words

_KEYPAD = "[keypad] "
_KEYS = {"1": True, "2": False}
_WHOLE_ANSWER_WORDS = {True: 4, False: 8}
"""A longer answer asks for something, too. Refusals are wordier."""


def _words(*listed: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(heard_words(phrase)) for phrase in ",".join(listed).split(","))


_MEANS_YES = _words(
    "не против, не возражаю, нет возражений, не имею возражений, ничего не имею против, без проблем, нет проблем,"
    "i don't mind, don't mind, no problem, no problem at all, no objection, no objections, not a problem,"
    "kein problem, keine einwände, no hay problema, no me importa, pas de problème, aucun problème, nessun problema,"
    "sem problema"
)
_NO = _words(
    "нет, не, неа, без, нельзя, против, возражаю, отказываюсь, никакой,"
    "no, nope, nah, not, don't, do not, never, refuse, disagree, decline, without,"
    "nein, nicht, kein, keine, non, ne, pas, não, nao, ні, жоқ"
)
_YES = _words(
    "да, ага, угу, согласен, согласна, согласны, разрешаю, yes, yeah, yep, yup, sure, agree, agreed,"
    "i agree, i consent, of course, absolutely, certainly, you may, you can,"
    "ja, klar, gerne, einverstanden, natürlich, sí, si, claro,"
    "de acuerdo, oui, ouais, d'accord, bien sûr, sì, certo, sim, так, згоден, згодна, иә"
)
_YES_ALONE = _words(
    "можно, хорошо, ладно, давайте, давай, конечно, записывайте, пожалуйста, окей, ок, разумеется, без вопросов,"
    "okay, ok, fine, alright, all right, go ahead, that's fine, please do, that's okay, gut, in ordnung, okay dann,"
    "vale, bueno, bien, va bene, certamente, tudo bem, está bem"
)


def agrees(text: str) -> bool | None:
    """Whether a turn of the caller agrees to the recording; None if it says neither yes nor no."""
    if text.startswith(_KEYPAD):
        return _KEYS.get(text.removeprefix(_KEYPAD).strip())
    words = tuple(heard_words(text))
    if _holds(words, _MEANS_YES):
        return not _holds(_without(words, _MEANS_YES), _NO) or None
    if _holds(words, _NO):
        return False
    if _begins(words, _YES) or (words and not _without(words, _YES | _YES_ALONE)):
        return True
    return None


def asks_for_more(text: str, *, agreed: bool) -> bool:
    """Whether an answer is so long that the caller has also asked for something."""
    return len(heard_words(text)) > _WHOLE_ANSWER_WORDS[agreed]


def _begins(words: tuple[str, ...], phrases: Iterable[tuple[str, ...]]) -> bool:
    return any(words[: len(phrase)] == phrase for phrase in phrases)


def _holds(words: tuple[str, ...], phrases: Iterable[tuple[str, ...]]) -> bool:
    return any(_begins(words[start:], phrases) for start in range(len(words)))


def _without(words: tuple[str, ...], phrases: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
    """The words that belong to none of the phrases; longer phrases first."""
    left: list[str] = []
    while words:
        length = max((len(phrase) for phrase in phrases if words[: len(phrase)] == phrase), default=0)
        if not length:
            left.append(words[0])
        words = words[length or 1 :]
    return tuple(left)
