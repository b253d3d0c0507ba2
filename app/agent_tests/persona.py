"""A caller whom a model plays: it gets a goal and facts, and says one line at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.shape import Persona
from app.agent_tests.transcript import transcript
from app.calls.text.caller import Action, HangsUp, OverAgent, Says, Silent
from app.models import JournalRow, Message
from app.ports.vendors import TextGenerator

_INSTRUCTIONS = (
    "You play a person who calls a company by telephone. You are the caller, and never the agent. Say one thing at a "
    "time, in one or two short spoken sentences. Say only what the facts hold, when it is asked for or needed. "
    "When you have what you called for, or see that you will not get it, say goodbye and hang up.\n"
    "says: your next words. hangs_up: whether you hang up after them."
)
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"says": {"type": "string"}, "hangs_up": {"type": "boolean"}},
    "required": ["says", "hangs_up"],
    "additionalProperties": False,
}


class PersonaCaller:
    """Plays the persona with a model until it hangs up, or has said enough."""

    def __init__(
        self,
        persona: Persona,
        generator: TextGenerator,
        model: str,
        kept: KeptAnswers,
        *,
        language: str | None,
        listens_seconds: float,
    ) -> None:
        self._persona = persona
        self._generator = generator
        self._model = model
        self._kept = kept
        self._language = language
        self._listens_seconds = listens_seconds
        self._lines = 0
        self._is_done = False

    async def next(self, rows: Sequence[JournalRow]) -> Action:
        """The next line. Raises ProviderError, ValueError."""
        if self._is_done or self._lines >= self._persona.turns:
            seconds, self._listens_seconds = self._listens_seconds, 0.0
            return Silent(seconds) if seconds else HangsUp()
        answer = await self._kept.ask(self._generator, self._model, self._messages(rows), _SCHEMA)
        self._lines += 1
        self._is_done = answer.get("hangs_up") is True
        text = str(answer.get("says") or "").strip()
        return Says(text) if text else HangsUp()

    def over_agent(self, speech_seconds: float) -> OverAgent | None:
        """A persona hears the agent out."""
        return None

    def _messages(self, rows: Sequence[JournalRow]) -> list[Message]:
        persona = self._persona
        facts = "\n".join(f"- {name}: {value}" for name, value in persona.facts.items()) or "- none"
        manner = f"How you talk: {persona.manner}\n" if persona.manner else ""
        language = f"You speak the language with the code {self._language}.\n" if self._language else ""
        text = (
            f"{language}{manner}Your goal: {persona.goal}\nThe facts:\n{facts}\n\nThe call so far:\n{transcript(rows)}"
        )
        return [Message("system", _INSTRUCTIONS), Message("user", text)]
