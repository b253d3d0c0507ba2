"""The marks that stand in the place of what was redacted."""

from collections.abc import Iterable
from dataclasses import dataclass

CARD, PHONE, EMAIL = "[card]", "[phone]", "[email]"
DIGITS = "[digits]"
"""Digits that may be a part of a card number or a telephone number."""
MARKS = (CARD, PHONE, EMAIL, DIGITS)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, and what stands in its place."""

    start: int
    end: int
    mark: str


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that overlap as one with the mark of the first."""
    done: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if done and span.start < done[-1].end:
            done[-1] = Span(done[-1].start, max(done[-1].end, span.end), done[-1].mark)
        else:
            done.append(span)
    return done


def marked(text: str, spans: Iterable[Span]) -> str:
    """The text with marks in the place of the spans, which are in order.

    A span that the text ends in, or that reaches beyond it, has its whole mark: what is left of a beginning of a text
    is a beginning of what is left of the text.
    """
    parts, at = [], 0
    for span in spans:
        if span.start >= len(text):
            break
        parts += [text[at : span.start], span.mark]
        at = span.end
    return "".join([*parts, text[at:]]) if parts else text


def is_marked(text: str) -> bool:
    """Whether something of the text was redacted."""
    return "[" in text and any(mark in text for mark in MARKS)
