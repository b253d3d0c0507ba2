"""A caller who follows a script, step by step, whatever the agent says."""

from collections import deque
from collections.abc import Sequence

from app.calls.text.caller import Action, HangsUp, Interrupts, Noise, OverAgent, Says, Silent
from app.models import JournalRow

Step = Action | OverAgent


class ScriptedCaller:
    """Does one step after another. At the end they listen for a while, in case the agent hangs up, and then hang up."""

    def __init__(self, steps: Sequence[Step], *, listens_seconds: float = 0.0) -> None:
        """``listens_seconds``: how long they stay on the line after the last step."""
        self._steps = deque(steps, maxlen=max(1, len(steps)))
        self._listens_seconds = listens_seconds

    async def next(self, rows: Sequence[JournalRow]) -> Action:
        """The next step. What was to be said over words of the agent that were too short is said after them."""
        while self._steps:
            match self._steps.popleft():
                case Noise() | Interrupts(is_optional=True):
                    continue
                case Interrupts(text, language=language):
                    return Says(text, language)
                case step:
                    return step
        seconds, self._listens_seconds = self._listens_seconds, 0.0
        return Silent(seconds) if seconds else HangsUp()

    async def over_agent(self, rows: Sequence[JournalRow], speech_seconds: float) -> OverAgent | None:
        """The next step, if it comes over words as long as these."""
        step = self._steps[0] if self._steps else None
        if isinstance(step, Interrupts | Noise) and step.after_seconds < speech_seconds:
            self._steps.popleft()
            return step
        return None
