"""The calls of the bench: who calls, what they do and when. Kind, language and seed decide all of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.talk.lines import LINES, Lines
from bench.talk.voice import PAUSE
from sandbox.caller.echo_path import EchoPath
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.noises import BURSTS
from sandbox.caller.score import (
    Score,
    Step,
    backchannels,
    coughs,
    interrupts,
    overhears,
    says,
    waits_for_agent,
)
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.voice import synthesize

LANGUAGES = ("ru", "en")
SAMPLE_RATE = 8000
_FORMAT = MediaFormat("mulaw", SAMPLE_RATE)
_VOICE_DBFS = -21.0
"""The level of a caller's voice."""
_PATIENCE_SECONDS = 8.0
_HESITATION = (1.0, 2.0)
_INTERRUPTS_WITH_ECHO = 0.4
"""The share of callers with an echo who interrupt."""
_BEGINS_SECONDS, _BEFORE_THE_END_SECONDS = 0.5, 1.6
"""An event over a clause begins at least this long after the clause begins, and this long before it ends."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One call."""

    kind: str
    language: str
    seed: int
    score: Score
    telephone: Telephone

    @property
    def name(self) -> str:
        """For ``--only`` and ``--seed``."""
        return f"{self.kind}-{self.language}-{self.seed}"


@dataclass(frozen=True, slots=True)
class _Cast:
    """What a scene needs to be made."""

    chance: Random
    lines: Lines
    language: str

    def story(self) -> tuple[str, ...]:
        return self.chance.choice(self.lines.stories)

    def within(self, clause: str) -> float:
        """Seconds after the beginning of a clause, well before its end."""
        length = len(synthesize(clause, self.language, SAMPLE_RATE).pcm) / 2 / SAMPLE_RATE
        return round(self.chance.uniform(_BEGINS_SECONDS, max(_BEGINS_SECONDS, length - _BEFORE_THE_END_SECONDS)), 2)

    def hesitantly(self, text: str) -> str:
        """The text with this caller's own pauses, up to twice as long as written."""

        def stretched(pause: re.Match[str]) -> str:
            return f"[{float(pause[1]) * self.chance.uniform(*_HESITATION):.2f}]"

        return PAUSE.sub(stretched, text)


def _opening(clause: str) -> str:
    """The first words, by which to recognise a clause that begins; the service may cut it after them."""
    return " ".join(clause.split()[:3])


_Parts = tuple[list[Step], list[str], Telephone]
"""What the caller does, what the model answers, and the caller's line."""


def _plain(cast: _Cast) -> _Parts:
    asked = cast.chance.sample(cast.lines.questions, 3)
    return _talk([says(text) for text in asked]), list(cast.lines.answers[:3]), Telephone(_FORMAT)


def _interrupting(cast: _Cast) -> _Parts:
    first, second = cast.chance.sample(cast.lines.stories, 2)
    asked, cutting = cast.chance.sample(cast.lines.questions, 2), cast.chance.sample(cast.lines.interruptions, 2)
    steps: list[Step] = [
        says(asked[0]),
        interrupts(cutting[0], after=round(cast.chance.uniform(0.6, 4.0), 2)),
        waits_for_agent(),
        says(asked[1]),
        interrupts(cutting[1], over=_opening(second[-1]), after=cast.within(second[-1])),
    ]
    replies = [" ".join(first), cast.lines.answers[0], " ".join(second), cast.lines.answers[1]]
    return [waits_for_agent(), *steps, waits_for_agent()], replies, Telephone(_FORMAT)


def _over_two_stories(cast: _Cast, event: Callable[[str, float], Step]) -> _Parts:
    """Two answers; something happens over one of the first clauses of one, and over the last clause of the other."""
    steps: list[Step] = [waits_for_agent()]
    replies = []
    asked, stories = cast.chance.sample(cast.lines.questions, 2), cast.chance.sample(cast.lines.stories, 2)
    for question, story, place in zip(asked, stories, (cast.chance.randrange(2), -1), strict=True):
        steps += [says(question), event(story[place], cast.within(story[place])), waits_for_agent()]
        replies.append(" ".join(story))
    return steps, replies, Telephone(_FORMAT)


def _backchannelling(cast: _Cast) -> _Parts:
    words = iter(cast.chance.sample(cast.lines.backchannels, 2))
    return _over_two_stories(cast, lambda clause, after: backchannels(next(words), over=_opening(clause), after=after))


def _coughing(cast: _Cast) -> _Parts:
    def cough(clause: str, after: float) -> Step:
        seconds = round(cast.chance.uniform(0.15, 0.5), 2)
        return coughs(over=_opening(clause), after=after, seconds=seconds, kind=cast.chance.choice(BURSTS))

    return _over_two_stories(cast, cough)


def _bystander(cast: _Cast) -> _Parts:
    words = iter(cast.chance.sample(cast.lines.overheard, 2))

    def speaks(clause: str, after: float) -> Step:
        loss = round(cast.chance.uniform(12.0, 20.0), 1)
        return overhears(next(words), over=_opening(clause), after=after, loss_db=loss)

    return _over_two_stories(cast, speaks)


def _echoing(cast: _Cast) -> _Parts:
    path = EchoPath(
        delay_seconds=round(cast.chance.choice((cast.chance.uniform(0.02, 0.3), cast.chance.uniform(0.3, 1.5))), 3),
        loss_db=round(cast.chance.uniform(6.0, 30.0), 1),
    )
    asked = cast.chance.sample(cast.lines.questions, 2)
    replies = [" ".join(cast.story()), cast.lines.answers[0]]
    sayings: list[Step] = [says(text) for text in asked]
    if cast.chance.random() < _INTERRUPTS_WITH_ECHO:
        after = round(cast.chance.uniform(1.0, 4.0), 2)
        sayings[1] = interrupts(cast.chance.choice(cast.lines.interruptions), after=after)
        return [waits_for_agent(), *sayings, waits_for_agent()], replies, Telephone(_FORMAT, echo=path)
    return _talk(sayings), replies, Telephone(_FORMAT, echo=path)


def _noisy(cast: _Cast) -> _Parts:
    level = round(_VOICE_DBFS - cast.chance.uniform(8.0, 15.0), 1)
    asked = cast.chance.sample(cast.lines.questions, 2)
    replies = [" ".join(cast.story()), cast.lines.answers[0]]
    return _talk([says(text) for text in asked]), replies, Telephone(_FORMAT, noise_dbfs=level, noise="street")


def _greeting(cast: _Cast) -> _Parts:
    hello = backchannels(cast.chance.choice(cast.lines.hellos), after=round(cast.chance.uniform(0.1, 1.5), 2))
    steps = [hello, *_talk([says(cast.chance.choice(cast.lines.questions))])]
    return steps, [cast.lines.answers[0]], Telephone(_FORMAT)


def _slow(cast: _Cast) -> _Parts:
    asked = cast.chance.sample(cast.lines.hesitations, 2)
    return _talk([says(cast.hesitantly(text)) for text in asked]), list(cast.lines.answers[:2]), Telephone(_FORMAT)


def _spelling(cast: _Cast) -> _Parts:
    asked, spelt = cast.chance.choice(cast.lines.spellings)
    steps = _talk([says(cast.lines.ask_to_spell), says(cast.hesitantly(spelt))])
    return steps, [asked, cast.lines.answers[3]], Telephone(_FORMAT)


def _talk(sayings: list[Step]) -> list[Step]:
    """Say the texts one after the other, each when the agent has finished."""
    steps: list[Step] = [waits_for_agent()]
    for saying in sayings:
        steps += [saying, waits_for_agent()]
    return steps


_KINDS: dict[str, Callable[[_Cast], _Parts]] = {
    "plain": _plain,
    "interrupting": _interrupting,
    "backchannelling": _backchannelling,
    "coughing": _coughing,
    "noisy": _noisy,
    "echoing": _echoing,
    "bystander": _bystander,
    "greeting": _greeting,
    "slow": _slow,
    "spelling": _spelling,
}
KINDS = tuple(_KINDS)


def scene(kind: str, language: str, seed: int) -> Scene:
    """The call of this kind and seed. Raises KeyError for an unknown kind or language."""
    cast = _Cast(Random(f"{kind}/{language}/{seed}"), LINES[language], language)  # noqa: S311 - scenes, no secrets
    steps, texts, telephone = _KINDS[kind](cast)
    replies: tuple[dict[str, Any], ...] = tuple({"text": text} for text in texts)
    name = f"{kind}-{language}-{seed}"
    return Scene(kind, language, seed, Score(name, language, tuple(steps), replies, _PATIENCE_SECONDS), telephone)
