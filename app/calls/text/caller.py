"""What a caller does in a call in text, and who decides it: a person who types, a script, or a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.models import JournalRow

LETTERS_PER_SECOND = 15.0
"""How fast both sides speak. Only a call with sound knows better."""


@dataclass(frozen=True, slots=True)
class Says:
    """Says something when the agent has finished, and listens to the answer."""

    text: str
    language: str | None = None
    """Code of the language, as speech recognition would detect it; None if it would not."""


@dataclass(frozen=True, slots=True)
class Interrupts:
    """Says something over the agent's next words, after that many seconds of them; after them if they are shorter."""

    text: str
    after_seconds: float
    language: str | None = None
    is_optional: bool = False
    """Whether nothing is said when the agent's words are too short."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Makes a noise without words over the agent's next words, after that many seconds of them."""

    after_seconds: float


@dataclass(frozen=True, slots=True)
class Silent:
    """Says nothing for that many seconds, whatever the agent does."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Presses:
    """Presses keys: ``0-9*#A-D``."""

    digits: str


@dataclass(frozen=True, slots=True)
class HangsUp:
    """Ends the call."""


Action = Says | Silent | Presses | HangsUp
OverAgent = Interrupts | Noise


class TextCaller(Protocol):
    """Decides what the caller does. The time of the call stands still meanwhile."""

    async def next(self, rows: Sequence[JournalRow]) -> Action:
        """What the caller does now that the agent is silent. ``rows`` is the journal so far."""

    async def over_agent(self, rows: Sequence[JournalRow], speech_seconds: float) -> OverAgent | None:
        """What the caller does during words of the agent that take so long; None if they listen to them.

        Asked once for each utterance, when all of its words are known. ``rows`` is the journal so far.
        """


def spoken_seconds(text: str) -> float:
    """How long it takes to say a text."""
    return len(text.strip()) / LETTERS_PER_SECOND
