"""The turns of ``bench.turn_ends``: how callers answer a question, with natural pauses, and how that sounds.

A seed decides the pauses. In spontaneous speech, pauses are medium, 0.2 to 1 s, or long, over 1 s (Campione and
Véronis, "A large-scale multilingual study of silent pause duration", Speech Prosody 2002); both are lognormal. The
share of long ones is an assumption: a third when people look for a word, a sixth between groups of digits.

The seed also decides how sure the recogniser is of an end, so that it errs. At the end of a turn its confidence reaches
0.7 after 0.26 s (median) to 1.5 s (95th percentile), which are published figures for Flux. At a pause within a turn it
does so after 1 s (median), and in one of twenty pauses after 0.4 s already, which is an assumption.
"""

import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

from sandbox.vendors.profiles import Delay
from sandbox.vendors.stage import Utterance
from sandbox.vendors.voice import Speech, synthesize

RATE = 16000
LANGUAGES = {"ru": "turns_russian.txt", "en": "turns_english.txt"}
TURNS_OF_A_KIND = 25
_RECOGNISED_SHARE = 0.6
"""The sandbox guesses when a word is said. The guess must be early, so that all words are known at a pause."""
_LEAD_SECONDS = 0.3
_TAIL_SECONDS = 7.0
_SPEEDS = (0.9, 1.3)
_MEDIUM, _LONG = Delay(0.5, 0.95), Delay(1.3, 2.2)
_LEAST_PAUSE_SECONDS = 0.25
_LONG_SHARE = {"number": 1 / 6}
_LONG_SHARE_ELSEWHERE = 1 / 3
_SURE_AT_THE_END, _SURE_AT_A_PAUSE = Delay(0.26, 1.5), Delay(1.0, 2.5)
_BLANK = re.compile(r"\{(\w+)\}")
_NAMES = {"ru": ("смирнов", "кузнецова", "волков", "орлова"), "en": ("Smith", "Johnson", "Walker", "Parker")}
_MAILS = {"ru": ("иван", "ольга точка смирнова", "алекс"), "en": ("john", "mary dot smith", "alex")}
_DIGITS = {
    "ru": ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"),
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}
_TENS = {
    "ru": ("двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто"),
    "en": ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
}
_HUNDREDS = ("сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a caller; ``chunks`` are what they say between pauses."""

    kind: str
    language: str
    question: str
    chunks: tuple[str, ...]
    pauses: tuple[float, ...]
    sure_after: tuple[float, ...]
    speed: float

    @property
    def script(self) -> Utterance:
        """What the sandbox hears."""
        pauses_at = tuple(accumulate(len(chunk.split()) for chunk in self.chunks[:-1]))
        spoken = sum(self._speech(chunk).words[-1].end for chunk in self.chunks)
        return Utterance(
            " ".join(self.chunks),
            spoken * _RECOGNISED_SHARE,
            self.language,
            pauses_at=pauses_at,
            sure_after=self.sure_after,
        )

    def sound(self) -> tuple[bytes, float]:
        """16-bit samples with silence around them, and where the turn ends, in seconds."""
        audio, end = _silence(_LEAD_SECONDS), 0.0
        for chunk, pause in zip(self.chunks, (*self.pauses, 0.0), strict=True):
            speech = self._speech(chunk)
            end = len(audio) / 2 / RATE + speech.words[-1].end
            audio += speech.pcm[: round(speech.words[-1].end * RATE) * 2] + _silence(pause)
        return audio + _silence(_TAIL_SECONDS), end

    def _speech(self, chunk: str) -> Speech:
        return synthesize(chunk, self.language, RATE, self.speed)


def turns(language: str, seed: int) -> list[Turn]:
    """A hundred turns: 25 of each kind."""
    chance = Random(f"{seed}/{language}")  # noqa: S311 - pauses, no secrets
    kinds: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / LANGUAGES[language]).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            kinds[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            kinds[list(kinds)[-1]].append(line)
    return [
        _turn(kind, language, line, chance)
        for kind, lines in kinds.items()
        for line in [*lines, *chance.sample(lines, TURNS_OF_A_KIND - len(lines))]
    ]


def _turn(kind: str, language: str, line: str, chance: Random) -> Turn:
    question, said = line.split(" | ")
    chunks = tuple(_BLANK.sub(lambda found: _fill(found[1], language, chance), part) for part in said.split(" / "))
    pauses = tuple(_pause(kind, chance) for _ in chunks[1:])
    sure_after = (*(_SURE_AT_A_PAUSE.draw(chance) for _ in pauses), _SURE_AT_THE_END.draw(chance))
    return Turn(kind, language, question, chunks, pauses, sure_after, chance.uniform(*_SPEEDS))


def _pause(kind: str, chance: Random) -> float:
    is_long = chance.random() < _LONG_SHARE.get(kind, _LONG_SHARE_ELSEWHERE)
    return max(_LEAST_PAUSE_SECONDS, (_LONG if is_long else _MEDIUM).draw(chance))


def _fill(blank: str, language: str, chance: Random) -> str:
    """The words for a blank; digits are said one by one, or in Russian also as a number."""
    if blank == "name":
        return chance.choice(_NAMES[language])
    if blank == "mail":
        return chance.choice(_MAILS[language])
    count = int(blank)
    if count in (2, 3) and (language == "ru" or count == 2) and chance.random() < 1 / 2:
        hundreds = [chance.choice(_HUNDREDS)] if count == 3 else []
        return " ".join([*hundreds, chance.choice(_TENS[language]), chance.choice(_DIGITS[language][1:])])
    return " ".join(chance.choice(_DIGITS[language]) for _ in range(count))


def _silence(seconds: float) -> bytes:
    return bytes(round(seconds * RATE) * 2)
