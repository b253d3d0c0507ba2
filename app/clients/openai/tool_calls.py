"""Assembles tool calls from the pieces that Chat Completions servers stream."""

from dataclasses import dataclass
from typing import Any

from app.clients.openai.values import arguments_text, object_of, readable_arguments, string_of
from app.ports.streams import ToolCall


@dataclass(slots=True)
class _Call:
    """A tool call as far as it has arrived."""

    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def whole(self) -> bool:
        """Whether the arguments are complete, that is, a JSON object."""
        return bool(self.arguments.strip()) and readable_arguments(self.arguments) is not None


class ChatCalls:
    """The tool calls of one answer.

    OpenAI numbers the calls, and sends id and name with the first piece of each. Other servers number every call 0,
    omit the number, or send no ids. There a new id, a new name, or a name after complete arguments begins the next.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._numbered: dict[int | str, _Call] = {}
        self._given = 0

    def add(self, piece: dict[str, Any]) -> str:
        """Add a piece of a call; returns its part of the arguments."""
        function = object_of(piece.get("function"))
        call_id, name = string_of(piece.get("id")), string_of(function.get("name"))
        arguments = arguments_text(function.get("arguments"))
        call = self._call_of(piece.get("index"), call_id, name)
        call.id, call.name = call.id or call_id, name or call.name
        call.arguments += arguments
        return arguments

    def names(self) -> list[str]:
        """The names of the calls so far."""
        return [call.name for call in self._calls if call.name]

    @property
    def whole(self) -> bool:
        """Whether there are calls and all of them are complete."""
        return bool(self._calls) and all(call.whole for call in self._calls)

    def take(self, *, cut_off: bool) -> list[ToolCall]:
        """Take the calls not taken yet; with ``cut_off`` only complete ones. A call without a name is dropped."""
        calls, self._given = self._calls[self._given :], len(self._calls)
        named = [call for call in calls if call.name and (call.whole or not cut_off)]
        return [tool_call(call.id, call.name, call.arguments) for call in named]

    def _call_of(self, index: Any, call_id: str, name: str) -> _Call:
        """The call that a piece belongs to; a new one if the piece begins it."""
        index = index if isinstance(index, int | str) else None
        if index is not None:
            call = self._numbered.get(index)
        elif call_id:
            call = next((each for each in self._calls if each.id == call_id), self._last_without_id())
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or _begins_another(call, call_id, name):
            call = _Call()
            self._calls.append(call)
        if index is not None:
            self._numbered[index] = call
        return call

    def _last_without_id(self) -> _Call | None:
        return self._calls[-1] if self._calls and not self._calls[-1].id else None


def tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    """The event for a tool call; unreadable arguments stay as they are."""
    readable = readable_arguments(arguments)
    return ToolCall(call_id, name, arguments if readable is None else readable)


def _begins_another(call: _Call, call_id: str, name: str) -> bool:
    if call_id and call.id:
        return call_id != call.id
    return bool(name and call.name) and (name != call.name or call.whole)
