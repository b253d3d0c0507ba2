"""What answers the agent where nothing real shall happen: tools that are not called, and transfers without dialling."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.calls.agent.lookup import LOOKUP
from app.clients.http_tools import RequestValues, ToolAnswer
from app.errors import TransferFailed, TransferFailure
from app.ports.services import TransferMethod

DRY_ANSWER = '{"status": "ok", "note": "dry run: nothing was done"}'
"""What every tool answers in a dry run."""
_NO_ANSWER = json.dumps({"error": "no_answer_is_fixed", "message": "The test fixes no answer for these arguments."})
_NOT_FOUND = 404
_OK = 200


@dataclass(frozen=True, slots=True)
class FixedAnswer:
    """What a tool answers to calls with these arguments, and any others."""

    text: str = DRY_ANSWER
    status: int = _OK
    when: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the call must have; empty for any call."""

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Whether it answers a call with these arguments."""
        return all(name in arguments and arguments[name] == value for name, value in self.when.items())


@dataclass(slots=True)
class FixedTool:
    """A tool that is not called: it answers what is fixed, or 404 when nothing is fixed for the arguments.

    Several answers that fit are given one after another, and the last one from then on.
    """

    name: str
    answers: Sequence[FixedAnswer] = (FixedAnswer(),)
    on_call: Callable[[str, Mapping[str, Any]], None] = lambda _name, _arguments: None
    """Gets the name and the arguments of each call, with those that the agent's file fixes."""
    given: dict[int, int] = field(default_factory=dict)
    """How often each answer was given, by its position."""

    async def call(
        self, arguments: Mapping[str, Any], *, call_id: str, tool_call_id: str, values: RequestValues
    ) -> ToolAnswer:
        """Answer without a request."""
        sent = {**arguments, **values.arguments}
        self.on_call(self.name, sent)
        fitting = [index for index, answer in enumerate(self.answers) if answer.fits(sent)]
        if not fitting:
            return ToolAnswer(_NOT_FOUND, _NO_ANSWER)
        index = next((index for index in fitting if index not in self.given), fitting[-1])
        self.given[index] = self.given.get(index, 0) + 1
        return ToolAnswer(self.answers[index].status, self.answers[index].text)


NOTHING_KNOWN = FixedTool(LOOKUP, (FixedAnswer("{}"),))
"""A lookup that knows nobody."""


@dataclass(frozen=True, slots=True)
class TextTelephony:
    """Transfers without a telephone: the human answers, or the transfer fails for that reason."""

    failure: TransferFailure | None = None

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> TransferMethod:
        """Transfer nobody to ``to``. Raises TransferFailed."""
        on_dial()
        if self.failure is not None:
            raise TransferFailed(self.failure)
        return "dialled"

    async def follow_dial(self) -> None:
        """Nobody else dials anybody. Raises TransferFailed."""
        raise TransferFailed("no_answer")
