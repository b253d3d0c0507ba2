"""What several connections have heard of one open turn: its words, in seconds of the call's audio.

A connection that hears a turn again reports its words one by one. Until it has caught up, what was known behind them
still counts::

    known          when do you open
    heard again    when do
    together       when do you open
"""

from dataclasses import replace

from app.clients.fallback.hearing_link import Listener
from app.ports.streams import Transcript

_SAME_MOMENT_SECONDS = 0.1
"""How differently two recognisers may place the same word."""


def before(known: Transcript | None, moment: float) -> Transcript:
    """The words of the turn that ended before that moment."""
    words = tuple(word for word in (known.words if known is not None else ()) if word.end <= moment)
    return Transcript(" ".join(word.text for word in words), words, language=known.language if known else None)


def behind(listener: Listener, heard: Transcript) -> Transcript:
    """What a link has heard, behind the words that were kept."""
    kept, offset = listener.kept, listener.offset
    shifted = tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in heard.words)
    return replace(
        heard,
        text=f"{kept.text} {heard.text}".strip(),
        words=(*kept.words, *shifted),
        language=heard.language or kept.language,
        way=listener.link.name,
    )


def is_shorter(heard: Transcript, known: Transcript) -> bool:
    """Whether words are missing at its end that were known."""
    return len(heard.text.split()) < len(known.text.split()) and bool(_rest(known, heard))


def with_rest_of(known: Transcript, heard: Transcript) -> Transcript:
    """The transcript with the known words behind it."""
    texts, words = _rest(known, heard), known.words
    rest = words[-len(texts) :] if texts and len(words) == len(known.text.split()) else ()
    return replace(heard, text=" ".join([*heard.text.split(), *texts]), words=(*heard.words, *rest))


def _rest(known: Transcript, heard: Transcript) -> list[str]:
    """The known words behind the heard ones: by their places, unless what was heard is what was known."""
    texts, heard_texts = known.text.split(), heard.text.split()
    same = [_plain(text) for text in texts[: len(heard_texts)]] == [_plain(text) for text in heard_texts]
    if same or not heard.words or len(known.words) != len(texts):
        return texts[len(heard_texts) :]
    until = heard.words[-1].end - _SAME_MOMENT_SECONDS
    return [text for text, word in zip(texts, known.words, strict=True) if word.start >= until]


def _plain(word: str) -> str:
    return "".join(filter(str.isalnum, word.casefold()))
