"""Answers from what the instructions say is known: quotes the line that has most words of the question."""

import re
from collections.abc import Iterable, Iterator

from sandbox.vendors.stage import Reply

_KNOWN = re.compile(r"<knowledge>\n(.*?)\n</knowledge>", re.DOTALL)
_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile(r"^[\s#>*+-]+|[*_`]|\s*\|[-:|\s]*")
"""Marks of markdown, which nobody says."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_BEGINNING = 4
"""So many letters of a word tell what it is about; its ending may differ."""
_WORDS_MIN = 2
"""A line with only one word of the question may be about anything."""


def quoted_answer(instructions: Iterable[str], heard: str) -> Reply | None:
    """The sentence that fits the question best, of what is known last; None if none has two of its words."""
    known = [block for text in instructions for block in _KNOWN.findall(text)]
    asked = _beginnings(heard)
    best, fit = "", 0
    for heading, sentence in _sentences(known[-1]) if known else ():
        words = len(asked & (_beginnings(sentence) | _beginnings(heading)))
        own = len(asked & _beginnings(sentence))
        if own and words >= _WORDS_MIN and words * 10 + own > fit:
            best, fit = sentence, words * 10 + own
    return Reply(best) if best else None


def _sentences(known: str) -> Iterator[tuple[str, str]]:
    """Each sentence with the heading above it, or the source in brackets."""
    heading = ""
    for line in known.splitlines():
        if line.startswith(("[", "#")):
            heading = line
            continue
        for sentence in _SENTENCE.split(" ".join(_MARKS.sub(lambda mark: " " * ("|" in mark.group()), line).split())):
            if sentence:
                yield heading, sentence


def _beginnings(text: str) -> set[str]:
    return {word[:_BEGINNING] for word in _WORD.findall(text.casefold()) if len(word) >= _BEGINNING or word.isdigit()}
