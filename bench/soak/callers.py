"""The callers of the soak: what each kind does, and over which line. Everything follows from the caller's chance."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sandbox.caller.media_format import MediaFormat
from sandbox.caller.score import (
    Score,
    Step,
    backchannels,
    coughs,
    hangs_up,
    holds,
    interrupts,
    presses,
    says,
    waits,
    waits_for_agent,
    waits_for_end,
)
from sandbox.carrier.telephone import Telephone

_QUIET_SECONDS = 1.2
_PATIENCE_SECONDS = 25.0
_HANGS_UP: Final[dict[str, Any]] = {"tool_calls": [{"name": "end_call", "arguments": {}}]}
FORMATS: Final = (MediaFormat("mulaw", 8000), MediaFormat("pcm_s16le", 8000), MediaFormat("pcm_s16le", 16000))


@dataclass(frozen=True, slots=True)
class Words:
    """What is said in one language."""

    question: str
    another: str
    goodbye: str
    uh_huh: str
    answer: str
    farewell: str


WORDS: Final = {
    "ru": Words(
        "Когда вы открыты?",
        "Подождите, а сколько стоит приём?",
        "Спасибо, до свидания!",
        "угу",
        "Мы открыты ежедневно с девяти утра и до восьми вечера, без перерыва на обед. В субботу мы работаем до обеда.",
        "До свидания!",
    ),
    "en": Words(
        "When are you open?",
        "Wait, how much is a visit?",
        "Thank you, goodbye!",
        "uh-huh",
        "We are open every day from nine in the morning to eight in the evening. On Saturday we close at noon.",
        "Goodbye!",
    ),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be made."""

    kind: str
    score: Score
    telephone: Telephone

    @property
    def owes_turns(self) -> bool:
        """Whether the agent owes this caller an answer to everything; a silent caller is left in peace at first."""
        return self.kind != "silent"


def _plain(words: Words, _chance: Random) -> list[Step]:
    return [says(words.question), waits_for_agent(_QUIET_SECONDS), says(words.goodbye), waits_for_end()]


def _interrupting(words: Words, chance: Random) -> list[Step]:
    cuts_in = interrupts(words.another, after=chance.uniform(0.6, 3.0))
    return [says(words.question), cuts_in, waits_for_agent(_QUIET_SECONDS), hangs_up()]


def _listening(words: Words, chance: Random) -> list[Step]:
    heard = backchannels(words.uh_huh, after=chance.uniform(0.8, 2.0))
    coughed = coughs(after=chance.uniform(0.5, 1.0), seconds=0.2)
    return [says(words.question), heard, coughed, waits_for_agent(_QUIET_SECONDS), hangs_up()]


def _leaving(words: Words, chance: Random) -> list[Step]:
    return [says(words.question), waits(chance.uniform(0.1, 4.0)), hangs_up()]


def _pressing(words: Words, _chance: Random) -> list[Step]:
    return [presses("12#"), waits_for_agent(_QUIET_SECONDS), says(words.goodbye), waits_for_end()]


def _holding(words: Words, chance: Random) -> list[Step]:
    held = holds(chance.uniform(0.5, 4.0))
    return [says(words.question), waits_for_agent(_QUIET_SECONDS), held, says(words.goodbye), waits_for_end()]


def _silent(_words: Words, chance: Random) -> list[Step]:
    return [waits(chance.uniform(2.0, 12.0)), hangs_up()]


KINDS: Final[dict[str, Callable[[Words, Random], list[Step]]]] = {
    "plain": _plain,
    "interrupting": _interrupting,
    "listening": _listening,
    "leaving": _leaving,
    "pressing": _pressing,
    "holding": _holding,
    "silent": _silent,
}
"""What a caller does after the greeting, by the kind of caller."""


def drawn(chance: Random, telephone: Telephone | None = None) -> Call:
    """The next call; ``telephone`` when it comes through a room, where nobody hears in another format."""
    kind, language = chance.choice(sorted(KINDS)), chance.choice(sorted(WORDS))
    words = WORDS[language]
    steps = (waits_for_agent(_QUIET_SECONDS), *KINDS[kind](words, chance))
    says_goodbye = any(getattr(step, "text", "") == words.goodbye for step in steps)
    answers = [step for step in steps if step.do in ("says", "interrupts", "presses")]
    replies: list[dict[str, Any]] = [{"text": words.answer}] * len(answers)
    if says_goodbye:
        replies[-1] = {"text": words.farewell, **_HANGS_UP}
    score = Score(kind, language, steps, tuple(replies), _PATIENCE_SECONDS)
    return Call(kind, score, telephone or Telephone(chance.choice(FORMATS)))
