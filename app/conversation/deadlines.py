"""The core's deadlines: plain moments with names, so that none can be stale."""

from enum import StrEnum


class Deadline(StrEnum):
    """What is due when the time has come."""

    ANSWER = "answer"
    """The call should have been answered."""
    LIMIT = "limit"
    """The call has lasted long enough."""
    IDLE = "idle"
    """Nobody has said anything."""
    TURN = "turn"
    """The caller's words stand still, yet nobody says that the turn has ended."""
    DIGITS = "digits"
    """The last key was pressed a while ago."""
    FILLER = "filler"
    """The answer is late: say something."""
    REPLY = "reply"
    """The answer does not come."""
    START = "start"
    """A fixed line should have begun."""
    STALL = "stall"
    """The voice should have come to its end, or to its next clause."""
    RESUME = "resume"
    """The voice was held back for nothing."""
    TRANSFER = "transfer"
    """The caller should be with the human to whom he is being handed over."""
    STT_OUTAGE = "stt_outage"
    """The caller has not been heard for too long, because the speech-to-text service is gone."""


_OLD_NAMES = {"ears": Deadline.STT_OUTAGE}
"""What deadlines were called in the rows of older versions."""


def deadline_named(name: str) -> Deadline | None:
    """The deadline of a row, of an older version, too; None for a name that this version does not know."""
    if name in _OLD_NAMES:
        return _OLD_NAMES[name]
    return Deadline(name) if name in set(Deadline) else None


class Deadlines:
    """Moments by name, in call seconds."""

    def __init__(self) -> None:
        self._at: dict[Deadline, float] = {}

    def __contains__(self, name: Deadline) -> bool:
        return name in self._at

    def set(self, name: Deadline, at: float) -> None:
        """Due at that moment, whatever was set before."""
        self._at[name] = at

    def clear(self, *names: Deadline) -> None:
        """No longer due."""
        for name in names:
            self._at.pop(name, None)

    def clear_all(self) -> None:
        """Nothing is due any more."""
        self._at.clear()

    def next(self) -> tuple[float, Deadline] | None:
        """The earliest moment and its name."""
        return min(((at, name) for name, at in self._at.items()), default=None)

    def take(self, name: Deadline, now: float) -> bool:
        """Whether it is due now; then it is cleared."""
        at = self._at.get(name)
        if at is None or at > now:
            return False
        del self._at[name]
        return True
