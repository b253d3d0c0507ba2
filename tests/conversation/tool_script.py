"""The language of the tests for calls whose agent has tools of its own."""

from typing import Any

from app.conversation import events as ev
from tests.conversation.script import Call, Utterance


class CallWithTools(Call):
    """A call, and what becomes of the tools that the model wants."""

    def __init__(self, **manners: Any) -> None:
        self._tools = 0
        super().__init__(**manners)

    def model_wants(
        self, tool: str, *, line: str | None = None, timeout: float = 8.0, patience: float = 0.0,
        speech: Utterance | None = None,
    ) -> "CallWithTools":  # fmt: skip
        """A tool of the agent's own; of the last reply, if none is named."""
        speech = speech or self.replies[-1]
        self._tools += 1
        tool_id = f"tool-{self._tools}"
        self._happens(ev.AgentToolCalled(speech.turn, speech.number, tool_id, tool, "{}", timeout, line, patience))
        return self

    def tool_gives(self, result: str, *, ok: bool = True, given_up: bool = False) -> "CallWithTools":
        """The tool that was called last has come to its end."""
        called = self.facts("agent.tool_called")[-1]
        speech = self._of(called["speech"])
        self._happens(
            ev.AgentToolFinished(
                speech.turn, speech.number, called["id"], called["name"], ok, 200 if ok else None, 1.0, result, given_up
            )
        )
        return self

    def tool_fails(self) -> "CallWithTools":
        """Nobody answers."""
        speech = self.replies[-1]
        self._happens(ev.ProviderFailed("tools", "act", "provider_timeout", False, speech.turn, speech.number))
        return self.tool_gives("it did not work", ok=False)
