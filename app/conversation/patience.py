"""What callers say while the agent makes them wait: that they will wait, or whether anybody is still there.

Neither is a new question, so the core must not drop the answer that is being made. The rules know Russian and English
in every call, and are tested on the sentences of ``tests/conversation/test_patience.py``.
"""

from app.conversation.echo_text import heard_words

_WORDS_MAX = 12

_Phrases = frozenset[tuple[str, ...]]


def _phrases(listed: str) -> _Phrases:
    return frozenset(tuple(heard_words(phrase)) for phrase in listed.split(","))


_SMALL = _phrases(
    "да, ага, угу, ну, хорошо, ладно, окей, ок, конечно, понятно, понял, поняла, спасибо, пожалуйста, и, я, "
    "тогда, ничего, давайте, yes, yeah, ok, okay, sure, alright, all right, fine, of course, thanks, thank you, "
    "please, well, right, oh, great, good, hey, so, got it, cool"
)
_WILL_WAIT = _phrases(
    "жду, подожду, я жду, буду ждать, мы подождем, ждем, не торопитесь, без проблем, ничего страшного, не "
    "страшно, на линии, остаюсь на линии, я никуда не тороплюсь, время есть, смотрите, проверяйте, посмотрите, "
    "проверьте, жду жду, i'll wait, i will wait, i can wait, i'm waiting, waiting, i'll hold, i can hold, "
    "holding, take your time, no problem, no worries, no rush, that's fine, that's okay, that's ok, i'm here, i'm "
    "still here, still here, go ahead, not a problem, i'll stay on the line, i'll be here"
)
_WHETHER_THERE = _phrases(
    "алло, але, вы тут, вы здесь, вы еще тут, вы еще здесь, вы на линии, вы еще на линии, вы меня слышите, "
    "слышите меня, меня слышно, кто-нибудь есть, есть кто-нибудь, вы где, ну что там, как там, долго еще, еще "
    "долго, сколько еще ждать, hello, are you there, are you still there, you there, still there, can you hear "
    "me, is anybody there, is anyone there, anybody there, anyone there, how much longer, how long, any news, any "
    "luck"
)


def is_patient(text: str, *, is_whole: bool = True) -> bool:
    """Whether the caller only says that they will wait, or asks whether anybody is there.

    ``is_whole`` is False while more words may come: then the last words may be the beginning of such a phrase.
    """
    return _consists_of(tuple(heard_words(text)), _SMALL | _WILL_WAIT | _WHETHER_THERE, partial=not is_whole)


def asks_whether_there(text: str) -> bool:
    """Whether the caller asks for a sign of life: "алло?", "are you still there?", "долго ещё?"."""
    words = tuple(heard_words(text))
    return _consists_of(words, _SMALL | _WHETHER_THERE, partial=False) and not _consists_of(
        words, _SMALL, partial=False
    )


def _consists_of(words: tuple[str, ...], phrases: _Phrases, *, partial: bool) -> bool:
    """Whether the words are one such phrase after another. With ``partial``, the last phrase may be incomplete."""
    if not 0 < len(words) <= _WORDS_MAX:
        return False
    fitting = {0}
    for start in range(len(words)):
        if start in fitting:
            fitting |= {start + len(phrase) for phrase in phrases if words[start : start + len(phrase)] == phrase}
            if partial and any(phrase[: len(words) - start] == words[start:] for phrase in phrases):
                return True
    return len(words) in fitting
