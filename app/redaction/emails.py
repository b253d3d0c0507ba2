"""E-mail addresses in a text, written or spoken in Russian or English: "ivan точка petrov собака mail точка ru".

The at sign is found first; the address is what belongs to it on both sides::

    почта: ivan точка petrov собака mail точка ru
           <----- local ---> <-at-> <-- domain --->
"""

import re
from dataclasses import dataclass

from app.redaction.labels import last_match
from app.redaction.marks import EMAIL, Span
from app.spoken_digits import NUMBER_WORDS, words

_AT = words("@ собака собачка собакой эт at")
_AT_OF_ANYTHING = "at"
"""Stands in sentences that hold no address, too."""
_DOT = words(". точка dot point")
_SIGNS = _DOT | words("- + дефис тире минус плюс подчеркивание underscore dash hyphen minus plus")
_BEFORE_SIGNS = words("нижнее нижний")
"""With the word after it, one sign: "нижнее подчёркивание"."""
_LOW_LINE = words("подчеркивание пробел")
_PROVIDERS = words(
    "gmail google yahoo hotmail outlook icloud mail yandex proton protonmail aol rambler bk inbox list gmx web live me"
    " яндекс мейл мэйл гмейл джимейл рамблер"
)
_TOPS = words("ru com net org edu gov io uk co de рф ру ком нет орг")
_LEADING = words("ну вот так да и and then yes")
_TOKEN = re.compile(r"\w+(?:['%]\w+)*|[^\w\s]")
_TOP = re.compile(r"[^\W\d_]{2,24}")
_LABEL = re.compile(
    r"\b(?:e-?mails?|имейл\w*|и-мейл\w*|мейл\w*|мэйл\w*|электронн\w+ (?:почт\w+|адрес\w*)|почт(?:а|у|ы|е|ой))\b"
    r"(?: address| адрес)?(?:\s(?:is|это|будет|такая|такой))?(?:\s?[:—–-])?(?:\s(?:is|it's|это|будет|мой|моя)\b)?\s*",
    re.IGNORECASE,
)
_LABEL_REACH = 80
"""How many letters may stand between the label and the address: a name that is spelt has many."""
_HINT = re.compile(r"@|\b(?:собак|собачк|эт\b|at\b|точка|dot\b|point\b)", re.IGNORECASE)
_STRUCTURED = re.compile(
    r"[\d._+-]|\b(?:dot|point|точка|underscore|подчеркивание|подчёркивание|dash|дефис)\b", re.IGNORECASE
)
_LATIN = re.compile(r"[A-Za-z]")
_OWN_LOCAL = re.compile(r"[\w.+-]{4,}")


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    word: str
    """In lower case, with ``е`` for ``ё``."""


@dataclass(frozen=True, slots=True)
class _Address:
    """What belongs to one at sign: places in the text, and whether it is whole."""

    start: int
    end: int
    local: str
    """Empty when nothing before the at sign belongs to it."""
    sign: str
    """In lower case."""
    domain: str
    is_whole: bool
    """Whether the domain has a dot and a name after it."""

    @property
    def is_structured(self) -> bool:
        """Whether no plain word stands before the at sign."""
        return bool(_STRUCTURED.search(self.local))


def email_spans(text: str, *, was_asked: bool = False, is_partial: bool = False) -> list[Span]:
    """The places of addresses, and of what may be the beginning of one at the end of the text.

    ``was_asked`` is whether the agent has asked for an address. ``is_partial`` is for the words of a turn that is not
    over: everything after "my e-mail is" may be a part of one.
    """
    has_hint = bool(_HINT.search(text))
    if not has_hint and not is_partial:
        return []
    label = last_match(_LABEL, text)
    knows = was_asked or label is not None
    if not has_hint and not knows:
        return []
    tokens = [_Token(m.start(), m.end(), m[0].lower().replace("ё", "е")) for m in _TOKEN.finditer(text)]
    reader = _Reader(text, tokens)
    found = [reader.address(index) for index, token in enumerate(tokens) if token.word in _AT]
    spans = [_span(text, each) for each in found if _is_address(text, each, knows=knows)]
    return spans or _begun(text, label, reader, found, was_asked=was_asked, is_partial=is_partial)


def local_part(address: str) -> str | None:
    """The part before the at sign of a written address, in lower case, if it is no mere word."""
    local, at, _ = address.partition("@")
    return local.lower() if at and re.search(r"[\d._+-]", local) and _OWN_LOCAL.fullmatch(local) else None


class _Reader:
    """Finds what belongs to the at signs of a text."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text, self._tokens = text, tokens

    def address(self, at: int) -> _Address:
        """What belongs to the at sign that is that token."""
        first, last = self._local(at), self._domain(at)
        tokens = self._tokens
        has_dot = any(token.word in _DOT for token in tokens[at + 1 : last + 1])
        is_whole = has_dot and bool(_TOP.fullmatch(tokens[last].word)) and tokens[last].word not in _SIGNS
        start, end = tokens[first].start, tokens[last].end
        local, domain = self._text[start : tokens[at].start], self._text[tokens[at].end : end].strip()
        return _Address(start, end, local, tokens[at].word, domain, is_whole)

    def word(self, index: int) -> str:
        return self._tokens[index].word

    def ends_in_a_part(self) -> bool:
        """Whether the text ends in a sign and a word, or in a sign: "ivan точка", "ivan точка petrov"."""
        spoken = [token.word for token in self._tokens]
        while spoken and spoken[-1] in {".", ",", "!", "?"}:
            spoken.pop()
        return len(spoken) > 1 and any(word in _SIGNS and word not in {".", "-"} for word in spoken[-2:])

    def _local(self, at: int) -> int:
        index = at
        while index > 0:
            if self._is_atom(index - 1):
                index -= 1
            else:
                break
            signs = self._signs_before(index)
            if signs and index > signs and self._is_atom(index - signs - 1):
                index -= signs
            elif not self._goes_on_before(index):
                break
        return index

    def _goes_on_before(self, index: int) -> bool:
        """Whether the word before belongs to it without a sign: spelt letters, numbers in words."""
        word, before = self.word(index), self.word(index - 1) if index else ""
        if not before or not self._is_atom(index - 1) or not self._is_near(index - 1):
            return False
        return word in NUMBER_WORDS or word.isdecimal() or (len(word) == 1 and len(before) == 1)

    def _domain(self, at: int) -> int:
        index = at
        if not (at + 1 < len(self._tokens) and self._is_atom(at + 1)):
            return at
        index = at + 1
        while True:
            signs = self._signs_after(index)
            after = index + signs + 1
            if not signs:
                return index
            if after < len(self._tokens) and self._is_atom(after):
                index = after
            else:
                return index + signs if self.word(index + signs) != "." else index

    def _signs_before(self, index: int) -> int:
        """How many tokens before it are one sign."""
        if index < 1 or not self._is_sign(index - 1):
            if index > 1 and self.word(index - 1) in _LOW_LINE and self.word(index - 2) in _BEFORE_SIGNS:
                return 2
            return 0
        return 2 if index > 1 and self.word(index - 2) in _BEFORE_SIGNS else 1

    def _signs_after(self, index: int) -> int:
        after = index + 1
        if after >= len(self._tokens):
            return 0
        if self.word(after) in _BEFORE_SIGNS and after + 1 < len(self._tokens):
            return 2 if self.word(after + 1) in _LOW_LINE else 0
        return 1 if self._is_sign(after) else 0

    def _is_sign(self, index: int) -> bool:
        """Whether it joins two parts of an address. A full stop or a hyphen that ends a sentence does not."""
        token = self._tokens[index]
        if token.word not in _SIGNS:
            return False
        if token.word[0].isalpha():
            return True
        is_joined = index + 1 < len(self._tokens) and self._tokens[index + 1].start == token.end
        return is_joined or (index + 1 < len(self._tokens) and self.word(index + 1) in _TOPS)

    def _is_atom(self, index: int) -> bool:
        word = self.word(index)
        return (word[0].isalnum() or word[0] == "_") and word not in _AT and word not in _DOT

    def _is_near(self, index: int) -> bool:
        return self._text[self._tokens[index].end : self._tokens[index + 1].start].strip(" -") == ""


def _is_address(text: str, found: _Address, *, knows: bool) -> bool:
    """Whether it is a whole address, or the whole second half of one."""
    if not found.is_whole:
        return False
    if not found.local and not _is_beginning(text[: found.start]):
        return found.sign == "@" or knows
    if found.sign != _AT_OF_ANYTHING or knows:
        return True
    return found.is_structured or _TOKEN.findall(found.domain.lower())[0] in _PROVIDERS


def _is_beginning(before: str) -> bool:
    return all(word.lower() in _LEADING for word in re.findall(r"\w+", before))


def _span(text: str, found: _Address) -> Span:
    """The address, from behind its label on: a name that is spelt has words that no sign joins."""
    label = last_match(_LABEL, text[: found.start])
    is_labelled = label is not None and found.start - label.end() <= _LABEL_REACH
    return Span(label.end() if is_labelled and label is not None else found.start, found.end, EMAIL)


def _begun(
    text: str,
    label: re.Match[str] | None,
    reader: _Reader,
    found: list[_Address],
    *,
    was_asked: bool,
    is_partial: bool,
) -> list[Span]:
    """What may be the first half of an address."""
    start = label.end() if label is not None else 0 if was_asked else len(text)
    has_part = bool(found) and found[-1].start >= start
    if text[start:].strip() and (is_partial or has_part or reader.ends_in_a_part()):
        return [Span(start, len(text), EMAIL)]
    for each in found:
        is_last = each.local and not text[each.end :].strip(" .,!?")
        is_latin = each.sign != _AT_OF_ANYTHING and _LATIN.search(each.local)
        if is_last and (each.sign == "@" or each.is_structured or is_latin):
            return [Span(each.start, len(text), EMAIL)]
    return []
