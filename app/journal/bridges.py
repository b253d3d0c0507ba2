"""Which answers waited for a tool while a line bridged the wait.

Such a wait is intended: what counts is whether the agent went to work in time, so the answer is late only if its first
tool was called later than the answer itself should have begun.
"""

from app.models import JournalRow


class BridgeReader:
    """Reads the rows of tools and fillers in their order."""

    def __init__(self) -> None:
        self._running: dict[str, int | None] = {}
        """The turns of the tools that run, by the tools' ids."""
        self._called_t: dict[int | None, float] = {}
        """When the first tool of a turn was called, in call seconds."""
        self._bridged: set[int | None] = set()

    def tool_called(self, row: JournalRow) -> None:
        """Take a row ``agent.tool_called``. Built-in tools and refused ones are not waited for."""
        if row.data.get("timeout_seconds") and not row.data.get("refused"):
            self._running[row.data["id"]] = row.turn
            self._called_t.setdefault(row.turn, row.t)

    def tool_finished(self, row: JournalRow) -> None:
        """Take a row ``agent.tool_finished``."""
        self._running.pop(row.data.get("id", ""), None)

    def filler_started(self, turn: int | None) -> None:
        """A filler is heard in that turn."""
        if turn in self._running.values():
            self._bridged.add(turn)

    @property
    def a_tool_runs(self) -> bool:
        """Whether a tool that was called has not finished."""
        return bool(self._running)

    def is_bridged(self, turn: int | None) -> bool:
        """Whether a line has bridged the wait for a tool in that turn."""
        return turn in self._bridged

    def is_in_time(self, turn: int | None, last_voiced_t: float, total: float, budget: float) -> bool:
        """Whether an answer that began ``total`` seconds after the caller's last sound, in call seconds, is in time."""
        if self.is_bridged(turn):
            total = min(total, self._called_t[turn] - last_voiced_t)
        return total <= budget
