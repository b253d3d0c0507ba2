"""What the caller is told while they wait for an answer, and when.

======================  ====================================================================================
the agent waits for     the caller hears
======================  ====================================================================================
the model               a filler when the answer is late, and another some seconds after it
a tool                  the tool's own words, if it is not done within its patience (0.4 s unless the agent's
                        file says otherwise); after 6 s a second line, then one every 10 s
======================  ====================================================================================

No line is said twice in a turn.
"""

from dataclasses import dataclass, field

from app.conversation.policy import CallPolicy, Lines


@dataclass(slots=True)
class AwaitedTool:
    """A tool that runs while the caller waits."""

    id: str
    phrase: str | None
    """What to say while it runs; None when the answer itself has just said something."""
    patience_seconds: float
    """How long the tool may run before the agent says anything."""
    called_t: float
    ends_t: float
    """When the call gives the tool up."""
    lines: int = 0
    """How many lines the caller has heard during the tool or just before it."""
    line_t: float = 0.0
    """When the last of them was said, if it was said during the tool."""


@dataclass(slots=True)
class Wait:
    """The wait for the answer to one turn."""

    late_t: float = 0.0
    """When the answer counts as late and a filler is due."""
    tool: AwaitedTool | None = None
    last_line_t: float | None = None
    """When the last line ended."""
    _said: set[str] = field(default_factory=set)
    _quiet_until_t: float = 0.0
    """Until then no filler is due: a tool has just finished, and its answer gets a moment to begin."""

    @property
    def is_bridged(self) -> bool:
        """Whether the caller knows that they are waiting, or a tool runs."""
        return self.tool is not None or bool(self._said)

    def begin_tool(self, tool: AwaitedTool, policy: CallPolicy, lines: Lines, *, is_heard: bool) -> None:
        """Note that a tool runs. ``is_heard``: whether the agent is saying a line now."""
        recent = self.last_line_t is not None and tool.called_t - self.last_line_t < policy.filler_repeat_seconds
        if tool.phrase is None or is_heard or (recent and tool.phrase in lines.fillers):
            tool.lines = 1
        self.tool = tool

    def end_tool(self, tool_id: str, now: float, policy: CallPolicy) -> bool:
        """Note that a tool has finished. Returns False if it is not the awaited one."""
        if self.tool is None or self.tool.id != tool_id:
            return False
        self.tool, self._quiet_until_t = None, now + policy.tool_patience_seconds
        return True

    def due_t(self, policy: CallPolicy, *, has_begun: bool) -> float | None:
        """When the next line is due. ``has_begun``: whether the caller has heard some of the answer."""
        tool = self.tool
        if tool is not None:
            if tool.lines == 0:
                return tool.called_t + tool.patience_seconds
            if tool.lines == 1:
                return tool.called_t + policy.long_wait_seconds
            return tool.line_t + policy.long_wait_repeat_seconds
        if has_begun:
            return None
        late_t = self.late_t if self.last_line_t is None else self.last_line_t + policy.filler_repeat_seconds
        return max(late_t, self._quiet_until_t)

    def next_line(self, lines: Lines) -> str | None:
        """What to say next; None when every line has been said."""
        if self.tool is None:
            fitting: tuple[str | None, ...] = lines.fillers
        elif self.tool.lines == 0:
            fitting = (self.tool.phrase, *lines.fillers)
        else:
            fitting = (*lines.long_wait, *lines.fillers)
        return next((line for line in fitting if line is not None and line not in self._said), None)

    def say(self, line: str, now: float) -> None:
        """Note that the agent says the line."""
        self._said.add(line)
        if self.tool is not None:
            self.tool.lines += 1
            self.tool.line_t = now

    def tool_seconds_left(self, now: float) -> float:
        """How much longer the awaited tool may take."""
        return max(0.0, self.tool.ends_t - now) if self.tool is not None else 0.0
