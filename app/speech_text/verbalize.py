"""The spoken form of a written text, and how much of the written text the spoken words cover.

A language model writes for the eye: markdown, digits, signs. A voice reads them badly, above all in Russian, so they
are written out in words before synthesis. The history keeps what the model wrote.
"""

from dataclasses import dataclass

from app.speech_text import english as spoken_en
from app.speech_text import other as spoken_elsewhere
from app.speech_text.mapped_text import MappedText, Rule, tidied, without_markup
from app.speech_text.russian import rules as spoken_ru

_RULES: dict[str, tuple[Rule, ...]] = {"ru": spoken_ru.RULES, "en": spoken_en.RULES}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as it is said.

    It is empty when the written text holds nothing to say, such as an emoji by itself.
    """

    text: str
    word_ends: tuple[int, ...]
    """For each word of ``text`` (separated by white space): how many written characters are covered once it begins."""
    written_chars: int
    """The length of the written text."""

    def written_length(self, spoken_words: int) -> int:
        """How many written characters are covered when this many words of ``text`` have begun.

        Never falls when ``spoken_words`` grows; 0 for none, the whole text for all. What was written as one sign and is
        said in several words ("1500 ₽") is covered by the first of them. Where there is nothing to say, the written
        text counts as covered from the start.
        """
        if spoken_words >= len(self.word_ends):
            return self.written_chars
        return self.word_ends[spoken_words - 1] if spoken_words > 0 else 0


def speakable(text: str, language: str) -> Spoken:
    """The spoken form of ``text``: words for digits and signs, no markup, no emoji, single spaces.

    Args:
        text: what a model wrote; any string.
        language: a code such as ``ru`` or ``en-US``. In languages other than Russian and English, only numbers and
            dates are written out; their voices read other signs themselves.

    A space at the end stays, so that the clauses of a reply can be put together again.
    """
    code = language.lower().partition("-")[0]
    mapped = without_markup(MappedText.of(text)).apply(_RULES.get(code) or spoken_elsewhere.rules(code))
    mapped = tidied(mapped)
    if not any(char.isalnum() for char in mapped.text):
        return Spoken("", (), len(text))
    return Spoken(mapped.text, _word_ends(mapped), len(text))


def _word_ends(mapped: MappedText) -> tuple[int, ...]:
    """The source position at the end of each word."""
    ends: list[int] = []
    for index, char in enumerate(mapped.text):
        following = mapped.text[index + 1 : index + 2]
        if not char.isspace() and (not following or following.isspace()):
            ends.append(mapped.ends[index])
    return tuple(ends)
