"""Which parts of a greeting the caller must hear even if they interrupt it: the name, the notice, the disclosure."""

from app.conversation.backchannels import is_hello
from app.conversation.questions import Asked, sentences, what_was_asked


def unheard_statements(greeting: str, heard: str) -> str:
    """The statements of a greeting that the caller did not hear to their end. They have heard ``heard`` of it.

    Its question is not among them, because the caller has answered it. A mere "hello" is not, either.
    """
    start, unheard = 0, []
    for sentence in sentences(greeting):
        end, start = start + len(sentence.rstrip()), start + len(sentence)
        if end > len(heard.rstrip()) and what_was_asked(sentence) is Asked.NOTHING and not is_hello(sentence):
            unheard.append(sentence.strip())
    return " ".join(unheard)
