"""What became of each tool of the agent's own, worked out from the rows of a call.

``agent.tool_finished`` tells ``ok`` and ``failed``. Without that row the tool is ``running`` while the call lives. Once
the call has ended it is ``unknown``: the caller hung up meanwhile, or the process died, and what the tool was to do may
have been done or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.models import JournalRow


@dataclass(slots=True)
class ToolRecord:
    """A tool that was called for the agent; ``called_at`` is seconds since the call was answered."""

    id: str
    name: str
    number: int
    """Of the turn."""
    called_at: float
    outcome: str = "running"
    """``ok``, ``failed``, ``running`` or ``unknown``."""
    status: int | None = None
    """Of the HTTP answer."""
    seconds: float | None = None


class ToolReader:
    """Takes the rows of tools in their order."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolRecord] = {}

    def called(self, row: JournalRow, called_at: float) -> None:
        """A row ``agent.tool_called``; built-in tools, which have no time to wait for, are none of these."""
        data = row.data
        if data.get("timeout_seconds"):
            self._tools[data["id"]] = ToolRecord(data["id"], data["name"], row.turn or 0, called_at)

    def finished(self, row: JournalRow) -> None:
        """A row ``agent.tool_finished``."""
        data = row.data
        tool = self._tools.get(data.get("id", ""))
        if tool is not None:
            tool.outcome = "ok" if data["ok"] else "failed"
            tool.status, tool.seconds = data.get("status"), data.get("seconds")

    def read(self, rows: Iterable[JournalRow]) -> list[ToolRecord]:
        """All of them, from a whole journal; ``called_at`` counts from its beginning."""
        has_ended = False
        for row in rows:
            match row.type:
                case "agent.tool_called":
                    self.called(row, row.t)
                case "agent.tool_finished":
                    self.finished(row)
                case "call.ended":
                    has_ended = True
                case _:
                    pass
        return self.tools(has_ended=has_ended)

    def tools(self, *, has_ended: bool) -> list[ToolRecord]:
        """All of them, in the order of their calls."""
        for tool in self._tools.values():
            if has_ended and tool.outcome == "running":
                tool.outcome = "unknown"
        return list(self._tools.values())
