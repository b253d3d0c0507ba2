"""A caller whom a model plays: it gets a goal and facts, says one line at a time, and may interrupt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.shape import Persona
from app.agent_tests.transcript import being_said, transcript
from app.calls.text.caller import Action, HangsUp, Interrupts, OverAgent, Says, Silent
from app.models import JournalRow, Message
from app.ports.vendors import TextGenerator

_ROLE = (
    "You play a person who calls a company by telephone. You are the caller, and never the agent. Say one thing at a "
    "time, in one or two short spoken sentences. Say only what the facts hold, when it is asked for or needed. "
)
_INSTRUCTIONS = (
    f"{_ROLE}When you have what you called for, or see that you will not get it, say goodbye and hang up.\n"
    "says: your next words. hangs_up: whether you hang up after them."
)
_INTERRUPTING = (
    f"{_ROLE}The agent is speaking. Interrupt only if a person like you would: they know enough, or it leads nowhere.\n"
    "interrupts: whether you interrupt now. says: your words; empty if you hear the agent out."
)
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"says": {"type": "string"}, "hangs_up": {"type": "boolean"}},
    "required": ["says", "hangs_up"],
    "additionalProperties": False,
}
_INTERRUPTING_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"interrupts": {"type": "boolean"}, "says": {"type": "string"}},
    "required": ["interrupts", "says"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Line:
    """What a persona says next."""

    text: str
    """Empty if they just hang up."""
    hangs_up: bool
    """Whether it is their last line."""


class PersonaLines:
    """Asks a model for the lines of a persona, until it hangs up or has said enough."""

    def __init__(
        self,
        persona: Persona,
        generator: TextGenerator,
        model: str,
        kept: KeptAnswers,
        *,
        language: str | None,
    ) -> None:
        self._persona = persona
        self._generator = generator
        self._model = model
        self._kept = kept
        self._language = language
        self._lines = 0
        self._interruptions = 0
        self.is_done = False
        """Whether they have said their last line."""

    @property
    def patience_seconds(self) -> float:
        """How long they listen to the agent before they may interrupt."""
        return self._persona.patience

    @property
    def may_interrupt(self) -> bool:
        """Whether they may interrupt once more."""
        return not self.is_done and self._interruptions < self._persona.interrupts

    async def next(self, rows: Sequence[JournalRow]) -> Line:
        """The next line. Raises ProviderError, ValueError."""
        answer = await self._ask(_INSTRUCTIONS, self._asked(rows), _SCHEMA)
        self._lines += 1
        text = str(answer.get("says") or "").strip()
        self.is_done = answer.get("hangs_up") is True or self._lines >= self._persona.turns or not text
        return Line(text, self.is_done)

    async def interruption(self, rows: Sequence[JournalRow]) -> str | None:
        """What they say over the agent; None if they hear the agent out. Raises ProviderError, ValueError."""
        spoken = being_said(rows)
        if not self.may_interrupt or not spoken:
            return None
        asked = f"{self._asked(rows)}\n\nThe agent is saying: {spoken}"
        answer = await self._ask(_INTERRUPTING, asked, _INTERRUPTING_SCHEMA)
        text = str(answer.get("says") or "").strip()
        if answer.get("interrupts") is not True or not text:
            return None
        self._interruptions += 1
        return text

    async def _ask(self, instructions: str, text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        messages = [Message("system", instructions), Message("user", text)]
        return await self._kept.ask(self._generator, self._model, messages, schema)

    def _asked(self, rows: Sequence[JournalRow]) -> str:
        persona = self._persona
        facts = "\n".join(f"- {name}: {value}" for name, value in persona.facts.items()) or "- none"
        manner = f"How you talk: {persona.manner}\n" if persona.manner else ""
        language = f"You speak the language with the code {self._language}.\n" if self._language else ""
        return (
            f"{language}{manner}Your goal: {persona.goal}\nThe facts:\n{facts}\n\nThe call so far:\n{transcript(rows)}"
        )


class PersonaCaller:
    """A persona as the caller of a call in text."""

    def __init__(self, lines: PersonaLines, *, listens_seconds: float) -> None:
        """``listens_seconds``: how long they stay on the line after their last line."""
        self._lines = lines
        self._listens_seconds = listens_seconds

    async def next(self, rows: Sequence[JournalRow]) -> Action:
        """The next line. Raises ProviderError, ValueError."""
        if self._lines.is_done:
            seconds, self._listens_seconds = self._listens_seconds, 0.0
            return Silent(seconds) if seconds else HangsUp()
        line = await self._lines.next(rows)
        return Says(line.text) if line.text else HangsUp()

    async def over_agent(self, rows: Sequence[JournalRow], speech_seconds: float) -> OverAgent | None:
        """An interruption, once their patience is over. Raises ProviderError, ValueError."""
        patience = self._lines.patience_seconds
        if speech_seconds <= patience or (text := await self._lines.interruption(rows)) is None:
            return None
        return Interrupts(text, patience)
