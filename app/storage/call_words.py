"""The words of ended calls, by which they are found. They are personal data, and erased with their call.

``call_texts`` has the distinct words of each call, so that its erasure knows what to remove; ``call_words`` has a row
for each of them. SQLite's FTS5 is not used: before SQLite 3.42 it keeps deleted words on the disk.
"""

import re
import unicodedata
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, delete, false, func, insert, literal, or_, select, update

from app.storage.dialects.statements import position
from app.storage.schema import call_texts, call_words, calls

_WORD = re.compile(r"[^\W_]+")
_WORD_LENGTH = 40
"""Only this many letters of a longer word count."""
_WORDS_MAX = 5000
"""The most words of one call; a long call has about a thousand."""
_PREFIX_LENGTH = 3
"""From this length on, a term also finds the words that begin with it."""
_COMMON = 20_000
"""A word, or a beginning of words, is common from so many rows on."""
_DIGIT = re.compile(r"[0-9]")
_LAST = "\U0010ffff"
_NUMBER = re.compile(r"\+?[0-9]+")
_BETWEEN_DIGITS = re.compile(r"[\s().-]")


def words_of(texts: Iterable[str]) -> list[str]:
    """The distinct words, in lower case and in order, with ``ё`` as ``е``."""
    folded = (unicodedata.normalize("NFKC", text).casefold().replace("ё", "е") for text in texts)
    return sorted({word[:_WORD_LENGTH] for text in folded for word in _WORD.findall(text)})[:_WORDS_MAX]


def as_number(text: str) -> str | None:
    """A number without what people write between its digits; None if it is no number."""
    bare = _BETWEEN_DIGITS.sub("", text)
    return bare if _NUMBER.fullmatch(bare) else None


def store_words(connection: Connection, call_id: str, texts: Iterable[str]) -> None:
    """Make the call findable by its words, as part of a larger transaction."""
    words = words_of(texts)
    if not words:
        return
    stored = connection.execute(insert(call_texts).values(words=" ".join(words)))
    (words_id,) = stored.inserted_primary_key or (None,)
    connection.execute(insert(call_words), [{"word": word, "words_id": words_id} for word in words])
    connection.execute(update(calls).where(calls.c.call_id == call_id).values(words_id=words_id))


def erase_words(connection: Connection, call_id: str) -> None:
    """Erase the words of a call, as part of a larger transaction."""
    found = select(call_texts).join(calls, calls.c.words_id == call_texts.c.words_id).where(calls.c.call_id == call_id)
    text = connection.execute(found).one_or_none()
    if text is not None:
        for word in text.words.split():
            connection.execute(
                delete(call_words).where(call_words.c.word == word, call_words.c.words_id == text.words_id)
            )
        connection.execute(delete(call_texts).where(call_texts.c.words_id == text.words_id))


def common_words(connection: Connection, text: str) -> frozenset[str]:
    """Those words of a search that so many calls have that nobody should collect these calls."""
    words = {word for term in terms_of(text) for word in words_of([term])}
    return frozenset(word for word in words if _is_common(connection, word))


def terms_of(text: str) -> list[str]:
    """What a search looks for: a number, or terms that must all be found."""
    number = as_number(text)
    return text.split() if number is None else [number]


def matches(text: str, common: frozenset[str]) -> ColumnElement[bool]:
    """Calls in which every term is a word that was said, or a part of a number; one term may also begin the call's id.

    ``common`` comes from :func:`common_words`.
    """
    terms = terms_of(text)
    if not terms:
        return false()
    if len(terms) == 1:
        [term] = terms
        return or_(_has_term(term, common), func.substr(calls.c.call_id, 1, len(term)) == term, *_has_part(term))
    return and_(*(or_(_has_term(term, common), *(_has_part(term) if _DIGIT.search(term) else ())) for term in terms))


def _has_part(term: str) -> tuple[ColumnElement[bool], ...]:
    part = as_number(term) or term
    return tuple(position(number, part) > 0 for number in (calls.c.caller_number, calls.c.called_number))


def _has_term(term: str, common: frozenset[str]) -> ColumnElement[bool]:
    words = words_of([term])
    return and_(*(_has_word(word, is_common=word in common) for word in words)) if words else false()


def _has_word(word: str, *, is_common: bool) -> ColumnElement[bool]:
    """A rare word is looked up once; for a common one each call is asked, and a page is soon full."""
    if not is_common:
        return calls.c.words_id.in_(select(call_words.c.words_id).where(_is_word(word)))
    wanted = f" {word}" if len(word) >= _PREFIX_LENGTH else f" {word} "
    said = position(literal(" ").concat(call_texts.c.words).concat(" "), wanted) > 0
    return select(call_texts.c.words_id).where(call_texts.c.words_id == calls.c.words_id, said).exists()


def _is_word(word: str) -> ColumnElement[bool]:
    if len(word) < _PREFIX_LENGTH:
        return call_words.c.word == word
    return and_(call_words.c.word >= word, call_words.c.word < f"{word}{_LAST}")


def _is_common(connection: Connection, word: str) -> bool:
    some = select(call_words.c.words_id).where(_is_word(word)).limit(_COMMON).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() >= _COMMON
