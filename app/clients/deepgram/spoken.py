"""Readers for what Flux and Nova have in common: a transcript and its words.

Each field is read by itself. A field that cannot be read is left out or estimated from its neighbours, and affects
nothing else.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, cast

from app.clients.messages import Unreadable, as_list, as_number, as_object, as_text, readable
from app.clients.phrase import Clock, Phrase, main_language
from app.ports.streams import HeardWord

_SECONDS_MAX = 86_400
_WORD_MAX = 1000
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Message(TypedDict, total=False):
    """The fields of every message. Any may be absent or of a wrong type: see :mod:`app.clients.messages`."""

    type: str
    request_id: str


class Word(TypedDict, total=False):
    """A word. Times are seconds since the first sample of the socket. Only Nova sends ``punctuated_word``."""

    word: str
    punctuated_word: str
    start: float
    end: float
    confidence: float
    language: str


class Spoken(TypedDict, total=False):
    """A transcript with its words. ``confidence`` is that of the whole, from 0 to 1."""

    transcript: str
    words: list[Word]
    confidence: float
    languages: list[str]


@dataclass(frozen=True, slots=True)
class _ReadWord:
    """What could be read of a word. Times are seconds of the socket."""

    text: str
    start: float | None
    end: float | None
    confidence: float | None
    language: str | None


def read_phrase(source: Spoken, at: Clock, *, moment: float, languages: object = None) -> Phrase | None:
    """Read a phrase. Returns None when the transcript cannot be read and there are no words.

    Raises Unreadable when neither the transcript nor any word can be read. ``moment``, in seconds of the socket, is
    used for words without a time whose neighbours have none either. ``languages`` takes precedence over the source's.
    """
    read = [word for item in _items(source.get("words")) if (word := readable(partial(_read_word, item))) is not None]
    text = readable(lambda: as_text(source.get("transcript"), "transcript"))
    if text is None:
        if not read and source.get("words") == []:
            return None
        if not read:
            raise Unreadable("neither a transcript nor a word")
        text = " ".join(word.text for word in read)
    words = _heard_words(read, at, moment=moment, confidence=_readable_confidence(source.get("confidence")))
    spoken = zip((word.language for word in read), (word.end - word.start for word in words), strict=True)
    named = _first_language(languages) or _first_language(source.get("languages"))
    return Phrase(text.strip(), words, named or main_language(spoken))


def read_seconds(value: object) -> float | None:
    """Read a time of the socket, in seconds. Returns None for anything else."""
    return readable(lambda: as_number(value, "a time", least=0, most=_SECONDS_MAX))


def read_token(value: object) -> str | None:
    """Read a code or id of Deepgram's. Returns None for anything else, which could be the caller's words."""
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _read_word(item: object) -> _ReadWord:
    """Read a word. Raises Unreadable when it has no text."""
    word = cast(Word, as_object(item, "a word"))
    texts = (
        readable(partial(as_text, each, longest=_WORD_MAX)) for each in (word.get("punctuated_word"), word.get("word"))
    )
    text = next((each for each in texts if each and each.strip()), None)
    if text is None:
        raise Unreadable("a word is no text")
    return _ReadWord(
        text,
        read_seconds(word.get("start")),
        read_seconds(word.get("end")),
        _readable_confidence(word.get("confidence")),
        _language(word.get("language")),
    )


def _heard_words(read: list[_ReadWord], at: Clock, *, moment: float, confidence: float | None) -> tuple[HeardWord, ...]:
    """A word without a time is placed between its neighbours. One without a confidence gets that of the others."""
    known = [word.confidence for word in read if word.confidence is not None]
    if confidence is None:
        confidence = sum(known) / len(known) if known else 1.0  # no reason to doubt it
    words: list[HeardWord] = []
    before: float | None = None
    for index, word in enumerate(read):
        start = word.start
        if start is None:
            after = next((other.start for other in read[index:] if other.start is not None), moment)
            start = before if before is not None else after
        before = max(start, word.end if word.end is not None else start)
        begins = at(start)
        sure = word.confidence if word.confidence is not None else confidence
        words.append(HeardWord(word.text, begins, max(begins, at(before)), sure))
    return tuple(words)


def _items(value: object) -> list[object]:
    return readable(lambda: as_list(value, "words")) or []


def _readable_confidence(value: object) -> float | None:
    return readable(lambda: as_number(value, "confidence", least=0, most=1))


def _first_language(value: object) -> str | None:
    return _language(value[0]) if isinstance(value, list) and value else None


def _language(value: object) -> str | None:
    return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None
