"""The outcome of each of the agent's own tools, computed from the rows of a call.

``agent.tool_finished`` gives ``ok`` or ``failed``. Without that row the tool is ``running`` while the call is live.
Once the call has ended it is ``unknown``: the caller hung up or the process died meanwhile, and the tool may have done
its work or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.models import JournalRow


@dataclass(slots=True)
class ToolRecord:
    """A tool that the model called; ``called_at`` is seconds since the call was answered."""

    id: str
    name: str
    number: int
    """The number of the turn."""
    called_at: float
    outcome: str = "running"
    """``ok``, ``failed``, ``running`` or ``unknown``."""
    status: int | None = None
    """The HTTP status of the answer."""
    seconds: float | None = None


class ToolReader:
    """Reads the rows of tools in their order."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolRecord] = {}

    def called(self, row: JournalRow, called_at: float) -> None:
        """Take a row ``agent.tool_called``. Built-in tools, which have no timeout, are left out."""
        data = row.data
        if data.get("timeout_seconds"):
            self._tools[data["id"]] = ToolRecord(data["id"], data["name"], row.turn or 0, called_at)

    def finished(self, row: JournalRow) -> None:
        """Take a row ``agent.tool_finished``."""
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
