"""What of a greeting must be heard although the caller has cut in: the name, the notice, the disclosure."""

from app.conversation.backchannels import is_hello
from app.conversation.questions import Asked, sentences, what_was_asked


def unheard_statements(greeting: str, heard: str) -> str:
    """The statements of a greeting that were not heard to their end, of which the caller has heard ``heard``.

    Its question is not among them, because the caller has answered it, and neither is a mere "hello".
    """
    start, unheard = 0, []
    for sentence in sentences(greeting):
        end, start = start + len(sentence.rstrip()), start + len(sentence)
        if end > len(heard.rstrip()) and what_was_asked(sentence) is Asked.NOTHING and not is_hello(sentence):
            unheard.append(sentence.strip())
    return " ".join(unheard)
