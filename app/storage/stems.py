"""Words as they are searched for: in lower case, with their stems, and without those that every text has.

Snowball's stemmers know the endings. PyStemmer is their own binding, in C: an index of 200 kB takes milliseconds.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

_WORD = re.compile(r"[^\W_]+")
_CYRILLIC = re.compile(r"[а-яё]")
_RUSSIAN, _ENGLISH = "ru", "en"
_COMMON = frozenset(
    _WORD.findall(
        """
        а без бы был была было быть в вам вас ваш ваша ваше ваши вот все вы где да для до его ее если есть еще
        же за здравствуйте и из или им их к как какая какие какое какой когда кто ли мне мной может можно мой моя мы
        на над надо нас наш не нет ни но ну о об он она они оно от по под подскажите пожалуйста при про с сейчас
        сколько скажите со спасибо так там то только тоже тут ты у уже хорошо хочу хотел хотела что чтобы чем эта
        эти это этот я могу
        a about am an and any are as at be been but by can could do does for from get has have hello hi how i if in
        into is it its me my no not of on or our please say so some tell thank thanks that the their them there they
        this to us was we what when where which who why will with would yes you your
        """
    )
)
"""Words that a question has whatever it is about."""
_BEGINNING, _ENDING = 4, 3
"""Letters that a beginning has at least, and that an ending has at most."""
_KEPT_WORDS = 20_000


@dataclass(frozen=True, slots=True)
class SearchedWord:
    """A word in two forms: stemmers err, so either may find it."""

    word: str
    stem: str

    @property
    def beginning(self) -> str | None:
        """What all forms of the word begin with, if it is long enough to tell: ``прием`` has the stem ``при``."""
        length = len(self.word)
        return self.word[: max(_BEGINNING, length - _ENDING)] if length > _BEGINNING else None


def searched_words(text: str, language: str) -> list[SearchedWord]:
    """The words that tell texts apart, in their order.

    Cyrillic words have Russian endings; others have those of ``language``, or English ones if it is not known.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    words = (word for word in _WORD.findall(folded) if word not in _COMMON)
    return [SearchedWord(word, _stem(word, _RUSSIAN if _CYRILLIC.search(word) else language)) for word in words]


@lru_cache(maxsize=_KEPT_WORDS)
def _stem(word: str, language: str) -> str:
    return str(_stemmer(language).stemWord(word))


@lru_cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    try:
        return Stemmer.Stemmer(language, 0)  # a stemmer with a cache of its own cannot be shared by threads
    except KeyError:
        return Stemmer.Stemmer(_ENGLISH, 0)
