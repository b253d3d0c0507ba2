"""The core's deadlines: one time for each name, so that no stale deadline can be left."""

from enum import StrEnum


class Deadline(StrEnum):
    """What is due."""

    ANSWER = "answer"
    """The call should have been answered."""
    LIMIT = "limit"
    """The call has lasted long enough."""
    IDLE = "idle"
    """Nobody has said anything for a while."""
    TURN = "turn"
    """The transcript has not changed for a while, yet no end of turn has come."""
    PAUSE = "pause"
    """The caller has been silent for as long as their words need."""
    DIGITS = "digits"
    """The last key was pressed a while ago."""
    FILLER = "filler"
    """The answer is late: play a filler."""
    REPLY = "reply"
    """No answer has come: give it up."""
    START = "start"
    """A fixed line should have begun."""
    STALL = "stall"
    """The voice should have come to its next clause or to its end."""
    RESUME = "resume"
    """No words have followed the sound: it was a false interruption, so the voice goes on."""
    TRANSFER = "transfer"
    """The transfer should have had an outcome."""
    MESSAGE = "message"
    """The caller has said nothing more of their message for a while."""
    STT_OUTAGE = "stt_outage"
    """Speech to text has been gone for too long."""


_OLD_NAMES = {"ears": Deadline.STT_OUTAGE}
"""What deadlines were called in the rows of older versions."""


def deadline_named(name: str) -> Deadline | None:
    """The deadline that a row names, even an old row. None for a name that this version does not know."""
    if name in _OLD_NAMES:
        return _OLD_NAMES[name]
    return Deadline(name) if name in set(Deadline) else None


class Deadlines:
    """Times by name, in seconds since the call was created."""

    def __init__(self) -> None:
        self._at: dict[Deadline, float] = {}

    def __contains__(self, name: Deadline) -> bool:
        return name in self._at

    def at(self, name: Deadline) -> float | None:
        """The time of a deadline; None when it is not set."""
        return self._at.get(name)

    def set(self, name: Deadline, at: float) -> None:
        """Set the time, and replace any earlier one."""
        self._at[name] = at

    def clear(self, *names: Deadline) -> None:
        """Clear the deadlines of these names."""
        for name in names:
            self._at.pop(name, None)

    def clear_all(self) -> None:
        """Clear all deadlines."""
        self._at.clear()

    def keep_only(self, *names: Deadline) -> None:
        """Clear all deadlines but those of these names."""
        self._at = {name: at for name, at in self._at.items() if name in names}

    def next(self) -> tuple[float, Deadline] | None:
        """The earliest time and its name."""
        return min(((at, name) for name, at in self._at.items()), default=None)

    def take(self, name: Deadline, now: float) -> bool:
        """Whether the deadline is due now. If so, clear it."""
        at = self._at.get(name)
        if at is None or at > now:
            return False
        del self._at[name]
        return True
