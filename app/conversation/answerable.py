"""Whether "yes" is an answer or only a sign of listening, by what the agent is saying and how much of it was heard."""

from app.conversation.echo_text import heard_words
from app.conversation.questions import Asked, sentences, what_was_asked

_LAST_WORDS = 1
"""With this many words left before the end of the whole utterance, a backchannel is an answer."""
_LAST_WORDS_OF_A_QUESTION = 4
_WORDS_SINCE_A_QUESTION = 2
"""An answer may come this many words into the sentence after a question."""


def can_be_answered(text: str, heard: str, *, is_whole: bool, yes: bool) -> bool:
    """Whether a backchannel of the caller answers ``text``, of which they have heard ``heard``.

    During about the last word it does, whatever the agent says; inside a statement it never does. Inside a question or
    a request, a "yes" (``yes``) is an answer anywhere, and an "uh-huh" only near the end. ``is_whole`` says whether
    ``text`` is all that will be said; otherwise it ends with the clause that has begun.
    """
    if not heard.strip():
        return False
    at = min(len(heard), len(text))
    if is_whole and len(heard_words(text[at:])) <= _LAST_WORDS:
        return True
    start, asked_before = 0, False
    for sentence in sentences(text):
        end = start + len(sentence)
        asks = what_was_asked(sentence) is not Asked.NOTHING
        if at <= end:
            if asks and (yes or len(heard_words(text[at:end])) <= _LAST_WORDS_OF_A_QUESTION):
                return True
            return asked_before and len(heard_words(text[start:at])) <= _WORDS_SINCE_A_QUESTION
        start, asked_before = end, asks
    return False
