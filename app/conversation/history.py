"""The history of a conversation: the caller's turns, what they heard of the agent, and the results of its tools."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

_NOT_SHOWN = '{"status": "done", "message": "It was used. With what, and what came of it, cannot be shown."}'
_ORDER = {"user": 0, "tool": 1, "assistant": 2, "system": 2}
"""Within a turn."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that was run for the agent."""

    id: str
    name: str
    arguments: str
    is_running: bool = True


@dataclass(frozen=True, slots=True)
class Remark:
    """What one side said in one turn, or the result of a tool."""

    turn: int
    role: str
    """``user``, ``assistant``, ``tool``, or ``system`` for anything else that the agent did."""
    text: str
    tool: ToolUse | None = None
    """The tool whose result this is; the text is empty while the tool runs."""


class ConversationHistory:
    """Remarks in the order of their turns, the caller's before the agent's, whatever the order of the events."""

    def __init__(self) -> None:
        self._remarks: list[Remark] = []
        self._left_out: set[int] = set()

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._remarks)

    def __len__(self) -> int:
        return len(self._remarks)

    def add(self, turn: int, role: str, text: str) -> None:
        """Add a remark; an empty one is not kept."""
        if text:
            self._insert(Remark(turn, role, text))

    def leave_out(self, first: int, last: int) -> None:
        """Hide from the model what the caller said in these turns, because its vendor refuses that."""
        turns = {remark.turn for remark in self._remarks if remark.role == "user"}
        self._left_out |= {turn for turn in turns if first <= turn <= last}

    def shown(self) -> Iterator[Remark]:
        """What the model sees. That a tool was used stays visible, so that the model does not do the same twice."""
        for remark in self._remarks:
            if remark.turn not in self._left_out:
                yield remark
            elif remark.tool is not None:
                yield replace(remark, text=_NOT_SHOWN, tool=replace(remark.tool, arguments="{}"))

    def tool_called(self, turn: int, tool_id: str, name: str, arguments: str) -> None:
        """A tool has begun to run."""
        self._insert(Remark(turn, "tool", "", ToolUse(tool_id, name, arguments)))

    def tool_finished(self, tool_id: str, result: str) -> bool:
        """Keep the tool's result. Returns False, and drops the result, if no such tool runs."""
        for place, remark in enumerate(self._remarks):
            tool = remark.tool
            if tool is not None and tool.id == tool_id and tool.is_running:
                self._remarks[place] = replace(remark, text=result, tool=replace(tool, is_running=False))
                return True
        return False

    def break_off_tools(self, outcome: str) -> None:
        """Whatever runs will never be heard of again: its outcome is this one."""
        for remark in list(self._remarks):
            if remark.tool is not None and remark.tool.is_running:
                self.tool_finished(remark.tool.id, outcome)

    def has_tool(self, turn: int, name: str | None) -> bool:
        """Whether a tool of that name was used in that turn."""
        return any(each.turn == turn and each.tool is not None and each.tool.name == name for each in self._remarks)

    def _insert(self, remark: Remark) -> None:
        place = len(self._remarks)
        while place and _order(self._remarks[place - 1]) > _order(remark):
            place -= 1
        self._remarks.insert(place, remark)


def _order(remark: Remark) -> tuple[int, int]:
    return remark.turn, _ORDER[remark.role]
