"""A run of the caller's words, whichever vendor has recognised them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from math import inf

from app.ports.streams import HeardWord

Clock = Callable[[float], float]
"""Translates seconds of the socket into seconds of the stream."""

_SAME_WORD_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Phrase:
    """A run of the caller's words. Times are seconds of the stream."""

    text: str
    words: tuple[HeardWord, ...] = ()
    language: str | None = None

    @property
    def seconds(self) -> float:
        """How long its words take."""
        return sum(word.end - word.start for word in self.words)

    def before(self, moment: float) -> "Phrase | None":
        """The words that ended before that moment."""
        words = tuple(word for word in self.words if word.end <= moment)
        return Phrase(" ".join(word.text for word in words), words, self.language) if words else None

    def after(self, told: str) -> "Phrase":
        """The words behind ``told``, when it begins with all of these words; otherwise all of it."""
        known, spoken = told.split(), self.text.split()
        if not known or [_plain(word) for word in spoken[: len(known)]] != [_plain(word) for word in known]:
            return self
        return replace(self, text=" ".join(spoken[len(known) :]), words=self.words[len(known) :])

    def without(self, told: Sequence[HeardWord], *, since: float) -> "Phrase":
        """What is new in it, after ``told``: it may begin with the same words, and cover the same sound.

        ``since`` is where it begins; what was told before that is not in it.
        """
        known = [_plain(word.text) for word in told if word.start >= since - _SAME_WORD_SECONDS]
        until = max((word.end for word in told), default=-inf) - _SAME_WORD_SECONDS
        spoken = self.text.split()
        same = len(list(takewhile(lambda pair: _plain(pair[0]) == pair[1], zip(spoken, known, strict=False))))
        if not self.words:
            return replace(self, text=" ".join(spoken[same:]))
        words = tuple(word for at, word in enumerate(self.words) if at >= same and word.start >= until)
        return replace(self, text=" ".join(word.text for word in words), words=words)


def mean_confidence(words: Iterable[tuple[float, float]]) -> float | None:
    """Mean of ``(confidence, seconds)`` weighted by seconds; unweighted if all are 0. None without words."""
    pairs = list(words)
    if not pairs:
        return None
    total = sum(seconds for _, seconds in pairs)
    if total <= 0:
        return sum(confidence for confidence, _ in pairs) / len(pairs)
    return sum(confidence * seconds for confidence, seconds in pairs) / total


def main_language(spoken: Iterable[tuple[str | None, float]]) -> str | None:
    """The language with the most seconds among ``(code, seconds)``; the first on a tie; None without any code."""
    totals: dict[str, float] = {}
    for code, seconds in spoken:
        if code:
            totals[code] = totals.get(code, 0.0) + seconds
    return max(totals, key=totals.__getitem__) if totals else None


def _plain(word: str) -> str:
    return "".join(filter(str.isalnum, word.lower()))
